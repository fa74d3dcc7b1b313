/* Policies from a file to what they let through: each step against what is written of it, and the
 * account of it all. */
#include "policy/policy.h"

#include <stdlib.h>
#include <unistd.h>

#include "harness.h"
#include "messages.h"
#include "pledge.h"

enum { KEPT = 4096 };

/* What came out of a policy. */
struct bin {
    struct frame frames[KEPT];
    unsigned count;
    struct batch *batches[KEPT];
    unsigned batch_count;
};

struct rig {
    struct policy *policy;
    struct account account;
    struct bin passed;
    struct bin rejected[PLAN_STEPS];
    bool nobody; /* rejects find no taker */
};

static void put_in(struct bin *bin, struct batch *batch)
{
    struct reader r = reader_over(batch->data, batch->len);
    struct frame frame;
    unsigned before = bin->count;
    while (bin->count < KEPT && frame_next(&r, &frame))
        bin->frames[bin->count++] = frame;
    assert_int_equal(bin->count - before, batch->count);
    batch_ref(batch, 1);
    bin->batches[bin->batch_count++] = batch;
}

static void pass(void *arg, struct batch *batch, struct account *account)
{
    struct rig *rig = arg;
    assert_ptr_equal(account, &rig->account);
    put_in(&rig->passed, batch);
    account_settle(account, OUTCOME_DELIVERED, batch->count);
}

static bool reject(void *arg, unsigned nth, struct batch *batch, struct account *account)
{
    struct rig *rig = arg;
    assert_ptr_equal(account, &rig->account);
    if (rig->nobody)
        return false;
    put_in(&rig->rejected[nth], batch);
    return true;
}

static void empty(struct bin *bin)
{
    while (bin->batch_count > 0)
        batch_unref(bin->batches[--bin->batch_count]);
    bin->count = 0;
}

static bool read_policy(const char *text, struct plan *plan, struct error *error)
{
    char path[] = "/tmp/policy-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    bool ok = plan_read_file(plan, path, error);
    unlink(path);
    return ok;
}

static struct rig *rig_new(const char *text)
{
    struct plan plan = {0};
    struct error error = {{0}};
    struct rig *rig = aligned_alloc(_Alignof(struct rig), sizeof *rig);
    assert_non_null(rig);
    *rig = (struct rig){0};
    bool ok = read_policy(text, &plan, &error);
    rig->policy = ok ? policy_new(&plan, &error) : NULL;
    if (!rig->policy)
        fail_msg("%s", error.text);
    policy_connect(rig->policy, &(struct policy_exits){.pass = pass, .reject = reject, .arg = rig});
    return rig;
}

static void rig_free(struct rig *rig)
{
    struct tally t = account_read(&rig->account);
    assert_int_equal(t.in_flight, 0);
    policy_free(rig->policy);
    empty(&rig->passed);
    for (int i = 0; i < PLAN_STEPS; i++)
        empty(&rig->rejected[i]);
    free(rig);
}

static void run(struct rig *rig, const struct message *messages, unsigned count)
{
    struct batch *batch = messages_batch(messages, count);
    account_received(&rig->account, count);
    policy_run(rig->policy, batch, &rig->account);
    batch_unref(batch);
}

/* Does the policy let this message through, as it is? */
static bool lets_through(const char *text, const struct message *message)
{
    struct rig *rig = rig_new(text);
    run(rig, message, 1);
    bool through = rig->passed.count == 1;
    if (through)
        assert_memory_equal(rig->passed.frames[0].data, message->data, message->len);
    else
        assert_int_equal(account_read(&rig->account).filtered, 1);
    rig_free(rig);
    return through;
}

static void each_criterion(void **state)
{
    (void)state;
    static const struct {
        const char *lists;
        bool fits;
    } cases[] = {
        {"type: CLIENT_RESPONSE", true},
        {"type: [CLIENT_QUERY, client_response]", true},
        {"type: CLIENT_QUERY", false},
        {"type: EVENT", false},
        {"protocol: UDP", true},
        {"protocol: [TCP, DOT]", false},
        {"identity: ns1", true},
        {"identity: NS1", false},
        {"identity: [ns, ns12]", false},
        {"client: 192.0.2.0/24", true},
        {"client: 192.0.2.1", true},
        {"client: 192.0.2.2", false},
        {"client: [\"2001:db8::/32\", 192.0.2.0/31]", true},
        {"client: 192.0.2.0/32", false},
        {"client: 0.0.0.0/0", true},
        {"client: \"::/0\"", false},
        {"server: \"2001:db8::/32\"", false},
        {"server: 198.51.100.53", true},
        {"qtype: A", true},
        {"qtype: [AAAA, TYPE1]", true},
        {"qtype: [AAAA, TYPE257]", false},
        {"qname: www.example.org", true},
        {"qname: WWW.Example.ORG.", true},
        {"qname: \"w\\\\119w.example.org\"", true},
        {"qname: example.org", false},
        {"qname: \"*.example.org\"", true},
        {"qname: \"*.org\"", true},
        {"qname: \"*.\"", true},
        {"qname: \"*\"", true},
        {"qname: \"*.www.example.org\"", false},
        {"qname: \"*.ample.org\"", false},
        {"qname: [a.example, \"*.test\"]", false},
        {"rcode: NOERROR", false},
        {"rcode: [3, SERVFAIL]", true},
        {"bailiwick: example.org", true},
        {"bailiwick: \"*.org\"", true},
        {"bailiwick: \"*.example.org\"", false},
        {"type: CLIENT_RESPONSE, qname: \"*.org\", qtype: A", true},
        {"type: CLIENT_RESPONSE, qname: \"*.org\", qtype: AAAA", false},
    };
    struct message message = message_new(&(struct recipe){.type = 6,
                                                          .identity = "ns1",
                                                          .client = "192.0.2.1",
                                                          .server = "198.51.100.53",
                                                          .qname = "wWw.exAmple.org",
                                                          .qtype = 1,
                                                          .rcode = 3,
                                                          .zone = "example.org"});
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[200];
        snprintf(text, sizeof text, "- keep: { %s }\n", cases[i].lists);
        if (lets_through(text, &message) != cases[i].fits)
            fail_msg("keep: %s", cases[i].lists);
        snprintf(text, sizeof text, "policy: [ { drop: { %s } } ]\n", cases[i].lists);
        if (lets_through(text, &message) == cases[i].fits)
            fail_msg("drop: %s", cases[i].lists);
    }
    message_free(&message);
}

/* A response may leave its question out, or bear another one than the query beside it. */
static void questions_of_both_messages(void **state)
{
    (void)state;
    static const uint8_t query[] = "\0\1\1\0\0\1\0\0\0\0\0\0\4host\10internal\0\0\1\0\1";
    static const uint8_t bare[] = "\0\1\x81\1\0\0\0\0\0\0\0\0";
    static const uint8_t other[] = "\0\1\x81\1\0\1\0\0\0\0\0\0\7example\0\0\x1c\0\1";
    static const struct {
        const char *policy;
        bool bare_passes, other_passes;
    } cases[] = {
        {"- drop: { qname: \"*.internal\" }", false, false},
        {"- drop: { qname: example }", true, false},
        {"- drop: { qtype: A }", false, false},
        {"- drop: { qtype: MX }", true, true},
        {"- keep: { qname: \"*.internal\" }", true, false},
        {"- keep: { qname: example }", false, false},
        {"- keep: { qname: [ example, \"*.internal\" ] }", true, true},
        {"- keep: { qtype: A }", true, false},
        {"- keep: { qtype: [ A, AAAA ] }", true, true},
    };
    struct recipe recipe = {.type = 6, .query = query, .query_len = sizeof query - 1};
    recipe.dns = bare;
    recipe.dns_len = sizeof bare - 1;
    struct message without = message_new(&recipe);
    recipe.dns = other;
    recipe.dns_len = sizeof other - 1;
    struct message with = message_new(&recipe);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (lets_through(cases[i].policy, &without) != cases[i].bare_passes)
            fail_msg("no question: %s", cases[i].policy);
        if (lets_through(cases[i].policy, &with) != cases[i].other_passes)
            fail_msg("another question: %s", cases[i].policy);
    }
    message_free(&without);
    message_free(&with);
}

/* ::ffff:192.0.2.1 is 192.0.2.1, for every step. */
static void one_client_in_two_forms(void **state)
{
    (void)state;
    struct message messages[2];
    static const char *const clients[2] = {"192.0.2.1", "::ffff:192.0.2.1"};
    for (int i = 0; i < 2; i++)
        messages[i] = message_new(&(struct recipe){
            .type = 5, .client = clients[i], .server = clients[1 - i], .qname = "example", .qtype = 1});
    for (int i = 0; i < 2; i++) {
        assert_true(lets_through("- keep: { client: 192.0.2.0/24, server: 192.0.2.1 }", &messages[i]));
        assert_false(lets_through("- drop: { client: \"::ffff:192.0.2.0/120\" }", &messages[i]));
        assert_false(lets_through("- keep: { client: \"::/0\" }", &messages[i]));
    }
    for (unsigned seed = 0; seed < 20; seed++) {
        char text[100];
        snprintf(text, sizeof text, "- sample: { one-in: 2, by: client, seed: %u }", seed);
        assert_int_equal(lets_through(text, &messages[0]), lets_through(text, &messages[1]));
    }
    struct rig *rig = rig_new("- dedupe: { key: [ client, server ] }");
    run(rig, messages, 2);
    policy_tick(rig->policy, true);
    assert_int_equal(account_read(&rig->account).filtered, 1);
    rig_free(rig);
    message_free(&messages[0]);
    message_free(&messages[1]);
}

/* An rcode beyond the header's four bits is in EDNS. */
static void extended_rcodes(void **state)
{
    (void)state;
    struct message message =
        message_new(&(struct recipe){.type = 6, .qname = "example", .qtype = 1, .rcode = 16});
    assert_true(lets_through("- keep: { rcode: BADVERS }", &message));
    assert_false(lets_through("- keep: { rcode: NOERROR }", &message));
    message_free(&message);
    message = message_new(
        &(struct recipe){.type = 5, .qname = "example", .qtype = 1}); /* a query has no rcode */
    assert_false(lets_through("- keep: { rcode: NOERROR }", &message));
    message_free(&message);
}

static void lists_from_files(void **state)
{
    (void)state;
    char path[] = "/tmp/names-XXXXXX", text[100];
    int fd = mkstemp(path);
    FILE *file = fdopen(fd, "w");
    const unsigned names = (unsigned)work_for_build(1000000);
    fprintf(file, "# a list\n\n  spaced.example   # with a comment\r\n*.below.example\n");
    for (unsigned i = 0; i < names; i++)
        fprintf(file, "name-%u.test\n", i);
    fclose(file);
    snprintf(text, sizeof text, "- keep: { qname: [\"file:%s\", here.example] }", path);
    struct rig *rig = rig_new(text);
    assert_true(policy_memory(rig->policy) > names * 10);
    static const struct {
        const char *name;
        bool fits;
    } cases[] = {{"spaced.example", true}, {"a.b.below.example", true}, {"below.example", false},
                 {"name-0.test", true},    {"name-999.test", true},     {"here.example", true},
                 {"name-x.test", false},   {"a.name-0.test", false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        unsigned before = rig->passed.count;
        struct message message =
            message_new(&(struct recipe){.type = 5, .qname = cases[i].name, .qtype = 1});
        run(rig, &message, 1);
        if ((rig->passed.count > before) != cases[i].fits)
            fail_msg("%s", cases[i].name);
        message_free(&message);
    }
    rig_free(rig);
    unlink(path);
}

/* How many of `count` messages pass at this time. */
static unsigned pass_limit(struct step *step, int64_t now, unsigned count)
{
    struct subject s;
    unsigned passed = 0;
    subject_init(&s, (struct frame){0}, (struct ticket){0});
    limit_step.tick(step, now);
    for (unsigned i = 0; i < count; i++)
        passed += limit_step.judge(step, &s) == VERDICT_PASS;
    return passed;
}

/* A burst smaller than what a batch gathers bounds a quiet time's credit, and not the rate. */
static void a_limit_with_a_small_burst(void **state)
{
    (void)state;
    struct plan plan = {0};
    struct error error = {{0}};
    assert_true(read_policy("- limit: { rate: 10000/s, burst: 1 }", &plan, &error));
    struct step *step = limit_step.new(&plan.steps[0].options, &error);
    unsigned passed = 0;
    assert_int_equal(pass_limit(step, 1000, 50), 1);
    for (int64_t now = 1001; now <= 2000; now++)
        passed += pass_limit(step, now, 50);
    assert_int_equal(passed, 10000);
    assert_int_equal(pass_limit(step, 2000, 50), 0);
    assert_int_equal(pass_limit(step, 90000, 5000), 100); /* after a long time: 10 ms of it */
    assert_int_equal(pass_limit(step, 90000, 50), 0);
    assert_int_equal(pass_limit(step, 80000, 50), 0); /* a clock that goes back brings nothing */
    assert_int_equal(pass_limit(step, 80001, 50), 10);
    limit_step.free(step);
    plan_free(&plan);
}

/* Of a batch some pass, some go elsewhere, some are filtered, some are no dnstap at all: each once,
 * in order. */
static void ways(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    struct rig *rig =
        rig_new("- drop: { qtype: A, rejects: a }\n- keep: { qtype: [AAAA, MX], rejects: b }\n"
                "- drop: { qtype: MX }\n");
    static const uint16_t types[] = {1, 28, 15, 2, 0};
    static struct message messages[COUNT];
    for (int i = 0; i < COUNT; i++) {
        uint16_t type = types[i % 5];
        messages[i] = type ? message_new(&(struct recipe){
                                 .type = 5, .qname = "example", .qtype = type, .id = (uint16_t)i})
                           : message_of("\xff\xff\xff", 3);
    }
    run(rig, messages, COUNT);
    struct tally t = account_read(&rig->account);
    assert_int_equal(t.delivered, COUNT / 5);
    assert_int_equal(t.filtered, COUNT / 5);
    assert_int_equal(t.rejected, 2 * COUNT / 5);
    assert_int_equal(t.malformed, COUNT / 5);
    assert_int_equal(rig->rejected[0].count, COUNT / 5);
    assert_int_equal(rig->rejected[1].count, COUNT / 5);
    for (int i = 0; i < COUNT / 5; i++) {
        assert_memory_equal(rig->passed.frames[i].data, messages[5 * i + 1].data,
                            messages[5 * i + 1].len);
        assert_memory_equal(rig->rejected[0].frames[i].data, messages[5 * i].data,
                            messages[5 * i].len);
        assert_memory_equal(rig->rejected[1].frames[i].data, messages[5 * i + 3].data,
                            messages[5 * i + 3].len);
    }
    rig->nobody = true; /* nobody takes what is rejected: it failed */
    run(rig, messages, 1);
    assert_int_equal(account_read(&rig->account).failed, 1);
    for (int i = 0; i < COUNT; i++)
        message_free(&messages[i]);
    rig_free(rig);
}

/* A batch that passes whole is not copied. */
static void whole_batches_are_handed_on(void **state)
{
    (void)state;
    struct rig *rig = rig_new("- keep: { qname: \"*\" }");
    struct message message =
        message_new(&(struct recipe){.type = 5, .qname = "example", .qtype = 1});
    struct batch *batch = messages_batch(&message, 1);
    account_received(&rig->account, 1);
    policy_run(rig->policy, batch, &rig->account);
    assert_ptr_equal(rig->passed.batches[0], batch);
    batch_unref(batch);
    message_free(&message);
    rig_free(rig);
}

/* Query and response, at every hop, whatever the case of the name: one fate. And about one in so
 * many is left. */
static void samples(void **state)
{
    (void)state;
    enum { COUNT = 3000 };
    struct rig *one = rig_new("- sample: { one-in: 10 }"),
               *two = rig_new("- sample: { one-in: 10, by: pair }");
    struct rig *other = rig_new("- sample: { one-in: 10, seed: 7 }");
    unsigned left = 0, differ = 0;
    for (int i = 0; i < COUNT; i++) {
        char client[20], name[40], same[40];
        snprintf(client, sizeof client, "10.0.%d.%d", i / 200, i % 200);
        snprintf(name, sizeof name, "host-%d.example", i);
        snprintf(same, sizeof same, "HOST-%d.eXample", i);
        struct message query =
            message_new(&(struct recipe){.type = 5, .client = client, .qname = name, .qtype = 1});
        struct message response = message_new(
            &(struct recipe){.type = 6, .client = client, .qname = same, .qtype = 1, .rcode = 3});
        unsigned before[3] = {one->passed.count, two->passed.count, other->passed.count};
        run(one, &query, 1);
        run(two, &response, 1);
        run(other, &query, 1);
        assert_int_equal(one->passed.count - before[0], two->passed.count - before[1]);
        left += one->passed.count - before[0];
        differ += one->passed.count - before[0] != other->passed.count - before[2];
        message_free(&query);
        message_free(&response);
    }
    assert_true(left > COUNT / 10 - 80 && left < COUNT / 10 + 80);
    assert_true(differ > 0);
    rig_free(one);
    rig_free(two);
    rig_free(other);
}

static void limits(void **state)
{
    (void)state;
    enum { COUNT = 500 };
    struct rig *rig = rig_new("- limit: { rate: 1/s, burst: 20, rejects: late }");
    struct message messages[COUNT];
    for (int i = 0; i < COUNT; i++)
        messages[i] = message_new(&(struct recipe){.type = 5, .qname = "example", .qtype = 1});
    run(rig, messages, COUNT);
    assert_int_equal(rig->passed.count, 20);
    assert_int_equal(rig->rejected[0].count, COUNT - 20);
    for (int i = 0; i < COUNT; i++)
        message_free(&messages[i]);
    rig_free(rig);
}

/* A source that is told when all is settled is told in time: what went elsewhere is still open. */
static unsigned released, kept;

static void note_release(struct pledge *pledge)
{
    released++;
    kept += pledge_kept(pledge);
}

static void pledges_follow_messages(void **state)
{
    (void)state;
    struct rig *rig = rig_new("- keep: { qtype: AAAA, rejects: b }");
    struct message messages[2] = {
        message_new(&(struct recipe){.type = 5, .qname = "example", .qtype = 1}),
        message_new(&(struct recipe){.type = 5, .qname = "example", .qtype = 28})};
    struct batch *batch = messages_batch(messages, 2);
    struct pledge pledge;
    pledge_init(&pledge, note_release);
    batch->pledge = &pledge;
    pledge_promise(&pledge, 2);
    account_received(&rig->account, 2);
    policy_run(rig->policy, batch, &rig->account);
    batch_unref(batch);
    assert_int_equal(released, 0);
    pledge_settle(&pledge, 1); /* our `pass` settles its account alone */
    assert_ptr_equal(rig->rejected[0].batches[0]->pledge, &pledge);
    empty(&rig->passed);
    assert_int_equal(released, 0);
    empty(&rig->rejected[0]);
    assert_int_equal(released, 1);
    assert_int_equal(kept, 1);
    message_free(&messages[0]);
    message_free(&messages[1]);
    rig_free(rig);
}

/* What a step holds has a share of the pledge, up to where the batch that it goes on in has one. */
static void pledges_outlive_what_is_held(void **state)
{
    (void)state;
    struct rig *rig = rig_new("- dedupe: { window: 1h }");
    struct message message = message_new(&(struct recipe){.type = 5, .qname = "example", .qtype = 1});
    struct batch *batch = messages_batch(&message, 1);
    struct pledge *pledge = malloc(sizeof *pledge);
    pledge_init(pledge, note_release);
    batch->pledge = pledge;
    pledge_promise(pledge, 1);
    account_received(&rig->account, 1);
    released = kept = 0;
    policy_run(rig->policy, batch, &rig->account);
    batch_unref(batch);
    policy_tick(rig->policy, true);
    assert_int_equal(released, 0);
    assert_ptr_equal(rig->passed.batches[0]->pledge, pledge);
    pledge_settle(pledge, 1);
    empty(&rig->passed);
    assert_int_equal(released, 1);
    assert_int_equal(kept, 1);
    free(pledge);
    message_free(&message);
    rig_free(rig);
}

static void mistakes(void **state)
{
    (void)state;
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"", "is empty"},
        {"keep: { type: A }", "expected a list of steps"},
        {"- kep: { qname: a }", "did you mean 'keep'"},
        {"- frobnicate: { qname: a }", "valid: keep, drop"},
        {"- keep: { qnam: a }", "did you mean 'qname'"},
        {"- keep: { zzz: a }", "valid: type"},
        {"- keep", "asks for nothing"},
        {"- keep: { rejects: a }", "asks for nothing"},
        {"- keep: { qname: a, }\n  drop: { qname: b }", "expected one step"},
        {"- keep: { type: CLIENT }", "not a message type"},
        {"- keep: { client: 1.2.3 }", "not ADDRESS"},
        {"- keep: { client: 1.2.3.4/33 }", "not ADDRESS"},
        {"- keep: { qname: a..b }", "not a domain name"},
        {"- keep: { type: EVENT, qname: [] }", "'qname' is an empty list"},
        {"- dedupe: { key: [] }", ":1:18: 'key' is an empty list"},
        {"- sample: { one-in: 2 }\n- keep: { qname: a..b }", ":2:3: keep: qname: 'a..b'"},
        {"- keep: { qname: \"file:/does/not/exist\" }", "/does/not/exist: cannot be read"},
        {"- keep: { rcode: 4096 }", "not an rcode"},
        {"- keep: { qtype: TYPE65536 }", "not a type of record"},
        {"- keep: { protocol: SCTP }", "not a socket protocol"},
        {"- sample: { one-in: 0 }", "takes 1 to"},
        {"- sample: { by: pair }", "one-in: is missing"},
        {"- limit: { burst: 1 }", "rate: is missing"},
        {"- keep: [", "invalid YAML"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct plan plan = {0};
        struct error error = {{0}};
        bool ok = read_policy(cases[i].text, &plan, &error);
        struct policy *policy = ok ? policy_new(&plan, &error) : NULL;
        if (policy || !strstr(error.text, cases[i].error))
            fail_msg("%s\n  says: %s\n  not: %s", cases[i].text, error.text, cases[i].error);
        plan_free(&plan);
    }
}

static void hash_of(const char *text, char hash[PLAN_HASH])
{
    char inside[PLAN_HASH];
    struct plan plan = {0};
    struct error error = {{0}};
    assert_true(read_policy(text, &plan, &error));
    struct policy *policy = policy_new(&plan, &error);
    if (!policy)
        fail_msg("%s: %s", text, error.text);
    assert_true(policy_hash(policy, hash, inside, &error));
    assert_int_equal(strlen(hash), 64);
    policy_free(policy);
    plan_free(&plan);
}

/* The same policy in other words has another hash only where it means something else. */
static void hashes(void **state)
{
    (void)state;
    static const char *const alike[][2] = {
        {"- keep: { qname: a }", "policy:\n  - keep:\n      qname: A.\n"},
        {"- keep: { qname: [ b, a, \"*.c\", a ] }", "- keep: { qname: [ \"*.C.\", \"\\\\097\", b ] }"},
        {"- keep: { client: [ 192.0.2.0/24, 10.0.0.1 ] }", "- keep: { client: [ 10.0.0.1/32, 192.0.2.7/24 ] }"},
        {"- keep: { type: [ CLIENT_QUERY, EVENT ], qtype: A }", "- keep: { qtype: TYPE1, type: [ event, client_query ] }"},
        {"- keep: { rcode: [ 3, NOERROR ] }", "- keep: { rcode: [ noerror, NXDOMAIN ] }"},
        {"- dedupe: { window: 10s }", "- dedupe: { window: 10000ms, memory: 16384KiB }"},
        {"- dedupe: { key: [ qname, type ] }", "- dedupe: { key: [ type, qname ] }"},
    };
    static const char *const unlike[][2] = {
        {"- keep: { qname: a }", "- keep: { qname: b }"},
        {"- keep: { qname: a }", "- keep: { qname: \"*.a\" }"},
        {"- keep: { qname: a }", "- drop: { qname: a }"},
        {"- keep: { qname: a }", "- keep: { bailiwick: a }"},
        {"- keep: { qname: a }", "- keep: { qname: a, rejects: c }"},
        {"- keep: { identity: a }", "- keep: { identity: A }"},
        {"- keep: { client: 10.0.0.0/8 }", "- keep: { server: 10.0.0.0/8 }"},
        {"- dedupe: { window: 10s }", "- dedupe: { window: 11s }"},
        {"- keep: { qname: a }\n- drop: { qname: b }", "- drop: { qname: b }\n- keep: { qname: a }"},
        {"- dedupe: { key: type }", "- dedupe: { key: qname }"},
    };
    char a[PLAN_HASH], b[PLAN_HASH];
    for (size_t i = 0; i < sizeof alike / sizeof alike[0]; i++) {
        hash_of(alike[i][0], a);
        hash_of(alike[i][1], b);
        if (strcmp(a, b) != 0)
            fail_msg("%s is %s", alike[i][0], alike[i][1]);
    }
    for (size_t i = 0; i < sizeof unlike / sizeof unlike[0]; i++) {
        hash_of(unlike[i][0], a);
        hash_of(unlike[i][1], b);
        if (strcmp(a, b) == 0)
            fail_msg("%s is not %s", unlike[i][0], unlike[i][1]);
    }
}

/* A list as others write it, and what of it fits. */
static void list_formats(void **state)
{
    (void)state;
    static const struct {
        const char *list, *text;
        unsigned len;
        const char *error; /* NULL: it holds ads.example.org, or the client 192.0.2.1 */
    } cases[] = {
#define TEXT(octets) octets, sizeof octets - 1
        {"qname", TEXT("# hosts\n0.0.0.0 ads.example.org\n"), NULL},
        {"qname", TEXT("127.0.0.1\tlocalhost\n::1 localhost\n0.0.0.0 0.0.0.0\n0.0.0.0 x.example ads.example.org # ads\n"), NULL},
        {"qname", TEXT("\xef\xbb\xbf" "ads.example.org\r\n"), NULL},
        {"qname", TEXT("ADS.example.org."), NULL},
        {"qname", TEXT("; zone\n*.example.org ; and all below\n"), NULL},
        {"bailiwick", TEXT("0.0.0.0 zone.example\n"), NULL},
        {"client", TEXT("192.0.2.0/24 ; SBL1\n"), NULL},
        {"client", TEXT("\xef\xbb\xbf# a\r\n192.0.2.1\r\n"), NULL},
        {"qname", TEXT(""), "has no entry"},
        {"qname", TEXT("# nothing\n\n\r\n"), "has no entry"},
        {"client", TEXT("\n"), "has no entry"},
        {"type", TEXT("#\n"), "has no entry"},
        {"identity", TEXT("\xef\xbb\xbf"), "has no entry"},
        {"qname", TEXT("a.example\n||ads.example.org^\n"), ":2: '||ads.example.org^' is not a domain name"},
        {"qname", TEXT("a.example\n! comment of another kind\n"), ":2: '!' is followed by"},
        {"qname", TEXT("address=/ads.example.org/\n"), ":1: "},
        {"qname", TEXT("local-zone: \"ads.example.org\" static\n"), ":1: "},
        {"qname", TEXT("http://ads.example.org/\n"), ":1: "},
        {"qname", TEXT("\n192.0.2.1\n"), ":2: '192.0.2.1' is an address"},
        {"qname", TEXT("ads.*.org\n"), ":1: "},
        {"qname", TEXT(".example.org\n"), ":1: "},
        {"qname", TEXT("a\0d\0s\0\n\0"), ":1: a NUL"},
        {"qname", TEXT("m\xfcnchen.example\n"), ":1: "},
        {"client", TEXT("0.0.0.0 ads.example.org\n"), ":1: "},
        {"qtype", TEXT("A\nA AAAA\n"), ":2: "},
    };
    struct message message = message_new(&(struct recipe){
        .type = 5, .client = "192.0.2.1", .qname = "ads.example.org", .qtype = 1, .zone = "zone.example"});
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char path[] = "/tmp/list-XXXXXX", text[100];
        struct plan plan = {0};
        struct error error = {{0}};
        int fd = mkstemp(path);
        assert_int_equal(write(fd, cases[i].text, cases[i].len), cases[i].len);
        close(fd);
        snprintf(text, sizeof text, "- keep: { %s: \"file:%s\" }", cases[i].list, path);
        if (!cases[i].error) {
            if (!lets_through(text, &message))
                fail_msg("case %zu", i);
        } else {
            assert_true(read_policy(text, &plan, &error));
            if (policy_new(&plan, &error) || !strstr(error.text, cases[i].error) || !strstr(error.text, path))
                fail_msg("case %zu: %s", i, error.text);
        }
        plan_free(&plan);
        unlink(path);
    }
    message_free(&message);
}

static void international_names(void **state)
{
    (void)state;
    struct message message =
        message_new(&(struct recipe){.type = 5, .qname = "www.xn--mnchen-3ya.example", .qtype = 1});
    assert_true(lets_through("- keep: { qname: \"www.M\u00dcNCHEN.example.\" }", &message));
    assert_true(lets_through("- keep: { qname: \"*.m\u00fcnchen.example\" }", &message));
    assert_true(lets_through("- keep: { qname: www.xn--mnchen-3ya.example }", &message));
    message_free(&message);
    message = message_new(&(struct recipe){.type = 5, .qname = "xn--strae-oqa.example", .qtype = 1});
    assert_true(lets_through("- keep: { qname: \"stra\u00dfe.example\" }", &message));
    message_free(&message);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_criterion),
        cmocka_unit_test(extended_rcodes),
        cmocka_unit_test(questions_of_both_messages),
        cmocka_unit_test(one_client_in_two_forms),
        cmocka_unit_test(lists_from_files),
        cmocka_unit_test(a_limit_with_a_small_burst),
        cmocka_unit_test(ways),
        cmocka_unit_test(whole_batches_are_handed_on),
        cmocka_unit_test(samples),
        cmocka_unit_test(limits),
        cmocka_unit_test(pledges_follow_messages),
        cmocka_unit_test(pledges_outlive_what_is_held),
        cmocka_unit_test(mistakes),
        cmocka_unit_test(hashes),
        cmocka_unit_test(list_formats),
        cmocka_unit_test(international_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
