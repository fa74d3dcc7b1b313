/* dedupe against a slow reference over random streams, and with too little memory. */
#include "capture.h"
#include "harness.h"
#include "messages.h"
#include "noise.h"
#include "pledge.h"
#include "policy/dedupe_table.h"
#include "policy/plan.h"

enum { NAMES = 40, WINDOW = 1000 };

static struct options options;

static struct step *step_new(const char *const *given, unsigned count)
{
    const struct option_spec *const tables[OPTION_TABLES] = {dedupe_step.options,
                                                             policy_step_options};
    struct error error = {{0}};
    options = (struct options){0};
    assert_true(options_lay_out(&options, tables, &error));
    for (unsigned i = 0; i < count; i += 2)
        assert_true(options_give(&options, given[i], given[i + 1], &error));
    struct step *step = dedupe_step.new(&options, &error);
    if (!step)
        fail_msg("%s", error.text);
    return step;
}

static void step_end(struct step *step)
{
    dedupe_step.free(step);
    options_free(&options);
}

/* What the reference remembers of a key: since when, and how many more came. */
struct memory {
    bool there;
    int64_t until;
    uint64_t repeats;
    unsigned first; /* number of the message */
};

struct out {
    unsigned first;
    uint64_t repeats;
};

static unsigned id_of(struct frame frame, uint64_t *repeats)
{
    struct dnstap_view view;
    assert_true(dnstap_scan(frame, &view));
    *repeats = view.repeats;
    assert_int_equal(dnstap_has(&view, DNSTAP_HAS_REPEATS), view.repeats > 0);
    unsigned number;
    assert_int_equal(view.extra.len, sizeof number);
    memcpy(&number, view.extra.data, sizeof number);
    return number;
}

static void collect(struct step *step, int64_t now, struct out *outs, unsigned *count)
{
    struct subject s;
    while (dedupe_step.release(step, now, &s)) {
        outs[*count].first = id_of(s.frame, &outs[*count].repeats);
        ++*count;
        ticket_drop(&s.ticket);
    }
}

/* The reference lets go of all whose time is over, the oldest first. */
static void forget(struct memory *memory, int64_t now, struct out *outs, unsigned *count)
{
    for (;;) {
        struct memory *oldest = NULL;
        for (unsigned i = 0; i < NAMES * 2; i++) {
            if (memory[i].there && memory[i].until <= now &&
                (!oldest || memory[i].first < oldest->first))
                oldest = &memory[i];
        }
        if (!oldest)
            return;
        outs[(*count)++] = (struct out){oldest->first, oldest->repeats};
        oldest->there = false;
    }
}

static struct message numbered(unsigned name, unsigned type, unsigned number)
{
    char text[64];
    /* the case of a name makes no difference, and neither does its query's number */
    snprintf(text, sizeof text, number % 2 ? "HOST-%u.example" : "host-%u.EXAMPLE", name);
    struct recipe recipe = {.type = (int)type,
                            .qname = text,
                            .qtype = 1,
                            .id = (uint16_t)number,
                            .client = "192.0.2.1"};
    struct message message = message_new(&recipe);
    message.data = realloc(message.data, message.len + 2 + sizeof number);
    uint8_t *at = message.data + message.len;
    *at++ = 3 << 3 | 2; /* extra */
    *at++ = sizeof number;
    memcpy(at, &number, sizeof number);
    message.len += 2 + (uint32_t)sizeof number;
    return message;
}

static void like_the_reference(void **state)
{
    (void)state;
    const unsigned total = (unsigned)work_for_build(60000);
    struct step *step = step_new((const char *const[]){"window", "1s"}, 2);
    struct memory memory[NAMES * 2] = {{0}};
    struct out *got = calloc(total, sizeof *got), *want = calloc(total, sizeof *want);
    unsigned got_count = 0, want_count = 0;
    uint64_t noise = 4711;
    int64_t now = 1;
    for (unsigned number = 0; number < total; number++) {
        now += noise_below(&noise, 100) == 0 ? noise_below(&noise, 3 * WINDOW)
                                             : noise_below(&noise, 20);
        unsigned name = noise_below(&noise, 1 + noise_below(&noise, NAMES)),
                 type = 5 + noise_below(&noise, 2);
        struct message message = numbered(name, type, number);
        struct subject s;
        dedupe_step.tick(step, now);
        collect(step, now, got, &got_count);
        forget(memory, now, want, &want_count);
        struct memory *m = &memory[name * 2 + type % 2];
        subject_init(&s, (struct frame){message.data, message.len}, (struct ticket){0});
        enum verdict verdict = dedupe_step.judge(step, &s);
        assert_int_equal(verdict, m->there ? VERDICT_TAKE_OUT : VERDICT_HELD);
        if (m->there)
            m->repeats++;
        else
            *m = (struct memory){.there = true, .until = now + WINDOW, .first = number};
        message_free(&message);
    }
    collect(step, INT64_MAX, got, &got_count);
    forget(memory, INT64_MAX, want, &want_count);
    assert_int_equal(got_count, want_count);
    uint64_t sum = 0;
    for (unsigned i = 0; i < got_count; i++) {
        assert_int_equal(got[i].first, want[i].first);
        assert_int_equal(got[i].repeats, want[i].repeats);
        sum += 1 + got[i].repeats;
    }
    assert_int_equal(sum, total);
    free(got);
    free(want);
    step_end(step);
}

/* More keys than there is room for: the oldest go on early, every message is one that goes on, or
 * is counted in one. */
static void with_too_little_memory(void **state)
{
    (void)state;
    const unsigned total = (unsigned)work_for_build(200000);
    struct step *step = step_new((const char *const[]){"window", "1h", "memory", "1MiB"}, 4);
    struct out *got = calloc(total, sizeof *got);
    unsigned got_count = 0, passed = 0;
    uint64_t noise = 99, sum = 0;
    for (unsigned number = 0; number < total; number++) {
        struct message message = numbered(noise_below(&noise, total / 4), 5, number);
        struct subject s;
        dedupe_step.tick(step, 1000 + number / 100);
        if (number % 64 == 0)
            collect(step, 1000 + number / 100, got, &got_count);
        subject_init(&s, (struct frame){message.data, message.len}, (struct ticket){0});
        passed += dedupe_step.judge(step, &s) == VERDICT_PASS;
        message_free(&message);
    }
    assert_true(dedupe_step.memory(step) <= 1 << 20);
    collect(step, INT64_MAX, got, &got_count);
    for (unsigned i = 0; i < got_count; i++)
        sum += 1 + got[i].repeats;
    assert_int_equal(sum + passed, total);
    assert_int_equal(passed, 0);
    assert_int_equal(dedupe_step.due(step), -1);
    free(got);
    step_end(step);
}

/* The table alone: entries of all sizes come and go, around the circle again and again, and the
 * index finds them. */
static void the_table(void **state)
{
    (void)state;
    enum { KEYS = 3000 };
    static uint8_t octets[60000];
    static uint32_t lengths[KEYS];
    struct dedupe_table *table = dedupe_table_new(1 << 20);
    uint64_t noise = 5, first = 0, next = 0;
    for (uint64_t i = 0; i < work_for_build(400000); i++) {
        struct dedupe_key key = {next, next % 7 * 1000003}; /* many at one place of the index */
        uint32_t len =
            noise_below(&noise, 50) ? noise_below(&noise, 300) : noise_below(&noise, sizeof octets);
        memset(octets, (int)(next & 0xff), len < 300 ? len : 300);
        assert_null(dedupe_table_find(table, key));
        struct dedupe_entry *entry = next - first < KEYS - 1
                                         ? dedupe_table_add(table, key, (struct frame){octets, len})
                                         : NULL;
        if (entry)
            lengths[next++ % KEYS] = len;
        else
            assert_true(next > first);
        for (uint32_t k = entry ? noise_below(&noise, 3) : 5; k > 0 && first < next; k--, first++) {
            const struct dedupe_entry *old = dedupe_table_take(table);
            assert_int_equal(old->key.high, first);
            assert_int_equal(old->len, lengths[first % KEYS]);
            assert_true(old->len == 0 || old->data[0] == (first & 0xff));
            assert_null(dedupe_table_find(table, old->key));
        }
        if (first < next) {
            uint64_t some = first + noise_below(&noise, (uint32_t)(next - first));
            assert_non_null(
                dedupe_table_find(table, (struct dedupe_key){some, some % 7 * 1000003}));
        }
    }
    assert_true(first > 1000);
    dedupe_table_free(table);
}

static enum verdict judge(struct step *step, const struct recipe *recipe)
{
    struct message message = message_new(recipe);
    struct subject s;
    subject_init(&s, (struct frame){message.data, message.len}, (struct ticket){0});
    enum verdict verdict = dedupe_step.judge(step, &s);
    message_free(&message);
    return verdict;
}

#define ANSWER_HEAD "\x12\x34\x81\x80\0\1\0\2\0\0\0\0\1a\7example\0\0\1\0\1"

/* The same answers in another order, with another TTL, and not compressed, are the same; other
 * answers are not. */
static void answers(void **state)
{
    (void)state;
    static const char one[] = ANSWER_HEAD
        "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\1\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\2";
    static const char turned[] = ANSWER_HEAD
        "\xc0\x0c\0\1\0\1\0\0\0\x11\0\4\xc0\0\2\2\1A\7EXAMPLE\0\0\1\0\1\0\0\0\x11\0\4\xc0\0\2\1";
    static const char other[] = ANSWER_HEAD
        "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\1\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\3";
    struct step *step = step_new(NULL, 0);
    dedupe_step.tick(step, 1);
    assert_int_equal(
        judge(step,
              &(struct recipe){.type = 6, .dns = (const uint8_t *)one, .dns_len = sizeof one - 1}),
        VERDICT_HELD);
    assert_int_equal(judge(step, &(struct recipe){.type = 6,
                                                  .dns = (const uint8_t *)turned,
                                                  .dns_len = sizeof turned - 1}),
                     VERDICT_TAKE_OUT);
    assert_int_equal(judge(step, &(struct recipe){.type = 6,
                                                  .dns = (const uint8_t *)other,
                                                  .dns_len = sizeof other - 1}),
                     VERDICT_HELD);
    step_end(step);
}

static void keys(void **state)
{
    (void)state;
    static const struct recipe base = {.type = 6,
                                       .qname = "a.example",
                                       .qtype = 1,
                                       .client = "192.0.2.1",
                                       .server = "192.0.2.53",
                                       .identity = "ns1"};
    struct recipe by_client = base, by_identity = base, by_type = base, by_rcode = base,
                  by_qtype = base;
    by_client.client = "192.0.2.2";
    by_identity.identity = "ns2";
    by_type.type = 4;
    by_rcode.rcode = 3;
    by_qtype.qtype = 28;
    const struct {
        const char *key;
        const struct recipe *other;
        bool alike;
    } cases[] = {
        {NULL, &by_client, true},      {NULL, &by_identity, true},
        {NULL, &by_type, false},       {NULL, &by_rcode, false},
        {NULL, &by_qtype, false},      {"client", &by_client, false},
        {"client", &by_type, true},    {"identity", &by_identity, false},
        {"identity", &by_qtype, true}, {"qname", &by_rcode, true},
        {"rcode", &by_rcode, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct step *step =
            step_new((const char *const[]){"key", cases[i].key}, cases[i].key ? 2 : 0);
        dedupe_step.tick(step, 1);
        assert_int_equal(judge(step, &base), VERDICT_HELD);
        assert_int_equal(judge(step, cases[i].other),
                         cases[i].alike ? VERDICT_TAKE_OUT : VERDICT_HELD);
        step_end(step);
    }
}

/* A message that stands for others already adds them; what cannot be compared goes on by itself. */
static void sums_and_strangers(void **state)
{
    (void)state;
    struct step *step = step_new(NULL, 0);
    struct message message =
        message_new(&(struct recipe){.type = 5, .qname = "a.example", .qtype = 1});
    uint8_t with[200];
    memcpy(with, message.data, message.len);
    memcpy(with + message.len, "\xc8\x3e\x07", 3); /* stands for seven more */
    struct subject s;
    dedupe_step.tick(step, 1);
    for (int i = 0; i < 3; i++) {
        subject_init(&s, (struct frame){with, message.len + 3}, (struct ticket){0});
        assert_int_equal(dedupe_step.judge(step, &s), i ? VERDICT_TAKE_OUT : VERDICT_HELD);
    }
    assert_true(dedupe_step.release(step, INT64_MAX, &s));
    assert_int_equal(subject_view(&s)->repeats, 7 + 2 * 8);
    message_free(&message);
    assert_int_equal(judge(step, &(struct recipe){.type = 5}), VERDICT_PASS);
    assert_int_equal(
        judge(step, &(struct recipe){.type = 5, .dns = (const uint8_t *)"\1\2\3", .dns_len = 3}),
        VERDICT_PASS);
    subject_init(&s, (struct frame){(const uint8_t *)"\xff\xff", 2}, (struct ticket){0});
    assert_int_equal(dedupe_step.judge(step, &s), VERDICT_MALFORMED);
    step_end(step);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(like_the_reference),
        cmocka_unit_test(with_too_little_memory),
        cmocka_unit_test(the_table),
        cmocka_unit_test(answers),
        cmocka_unit_test(keys),
        cmocka_unit_test(sums_and_strangers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
