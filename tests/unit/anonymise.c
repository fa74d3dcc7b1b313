/* Anonymising: addresses are planted wherever they can stand in the messages of real servers, and
 * nothing of them may come out; what comes out is a valid dnstap message with a valid DNS message
 * in it. */
#include <arpa/inet.h>
#include <unistd.h>

#include "capture.h"
#include "dnstap.pb-c.h"
#include "harness.h"
#include "messages.h"
#include "noise.h"
#include "policy/plan.h"
#include "policy/rebuild.h"
#include "scan/dns_check.h"
#include "scan/dns_cut.h"
#include "scan/dns_type.h"

static const char *const corpora[] = {"bind", "dnsdist", "knot", "nsd", "recursor", "unbound"};

/* NULL with the error. */
static struct step *try_step(struct plan *plan, const char *options, struct error *error)
{
    char path[] = "/tmp/policy-XXXXXX", text[300];
    int fd = mkstemp(path);
    int len = snprintf(text, sizeof text, "- anonymise: { %s }\n", options);
    assert_int_equal(write(fd, text, (size_t)len), len);
    close(fd);
    bool ok = plan_read_file(plan, path, error);
    unlink(path);
    return ok ? anonymise_step.new(&plan->steps[0].options, error) : NULL;
}

static struct step *step_of(struct plan *plan, const char *options)
{
    struct error error = {{0}};
    struct step *step = try_step(plan, options, &error);
    if (!step)
        fail_msg("%s: %s", options, error.text);
    return step;
}

static void step_free(struct plan *plan, struct step *step)
{
    plan->steps[0].ops->free(step);
    plan_free(plan);
}

static void put16(struct buffer *out, unsigned value)
{
    const uint8_t octets[2] = {(uint8_t)(value >> 8), (uint8_t)value};
    buffer_put(out, octets, 2);
}

static void put_option(struct buffer *out, unsigned code, const void *data, size_t len)
{
    put16(out, code);
    put16(out, (unsigned)len);
    buffer_put(out, data, len);
}

/* The address in every option that could hold it. */
static void put_planted_options(struct buffer *out, struct octets address)
{
    uint8_t subnet[20] = {0, address.len == 4 ? 1 : 2, (uint8_t)(address.len * 8)};
    memcpy(subnet + 4, address.data, address.len);
    put_option(out, 8, subnet, 4 + address.len);
    put_option(out, 10, address.data, address.len);
    put_option(out, 12, address.data, address.len);
    put_option(out, 65001, address.data, address.len);
    put_option(out, 3, "ns1", 3);
}

/* The message with those options in its OPT record, or in a new one; with `more`, a record stands
 * behind it. */
static bool plant(struct octets dns, struct octets address, bool more, struct buffer *out)
{
    struct dns_walk walk;
    struct dns_record record, opt = {0};
    struct buffer options = {0};
    buffer_clear(out);
    enum { OPCODE = 0x7800, UPDATE = 5 << 11, TKEY = 249, TSIG = 250 };
    if (dns.len <= 12 || !dns_message_ok(dns) || !dns_walk_begin(&walk, dns))
        return false;
    if ((walk.header.flags & OPCODE) == UPDATE)
        return false; /* left out altogether: tested apart from these */
    while (dns_walk_record(&walk, &record)) {
        if (record.type == TKEY || record.type == TSIG)
            return false; /* cut off, or left out: likewise */
        if (record.type == DNS_TYPE_OPT && opt.type == DNS_TYPE_OPT)
            return false; /* two of them: who can tell what that says */
        if (record.type == DNS_TYPE_OPT)
            opt = record;
    }
    bool has_opt = opt.type == DNS_TYPE_OPT;
    if (walk.left > 0 || (has_opt && opt.rdata + opt.rdata_len != walk.at))
        return false;
    put_planted_options(&options, address);
    buffer_put(out, dns.data, walk.at);
    if (has_opt) {
        unsigned len = opt.rdata_len + (unsigned)options.len;
        out->data[opt.rdata - 2] = (uint8_t)(len >> 8);
        out->data[opt.rdata - 1] = (uint8_t)len;
    } else {
        static const uint8_t head[] = {0, 0, 41, 4, 208, 0, 0, 0, 0};
        buffer_put(out, head, sizeof head);
        put16(out, (unsigned)options.len);
    }
    buffer_put(out, options.data, options.len);
    if (more) {
        static const uint8_t a[] = {1, 'x', 0, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 203, 0, 113, 9};
        buffer_put(out, a, sizeof a);
    }
    unsigned count = walk.header.count[DNS_ADDITIONAL] + (has_opt ? 0u : 1u) + (more ? 1u : 0u);
    out->data[10] = (uint8_t)(count >> 8);
    out->data[11] = (uint8_t)count;
    buffer_put(out, address.data, address.len); /* behind the last record, where nobody looks */
    buffer_free(&options);
    return true;
}

/* No two octets are alike, and none is 0 or 255: not to be found by chance, one hopes; the seed is
 * fixed. */
static struct octets plant_address(uint64_t *noise, uint8_t room[16])
{
    struct octets address = {room, noise_below(noise, 2) ? 16 : 4};
    for (uint32_t i = 0; i < address.len; i++)
        room[i] = (uint8_t)(129 + (noise_below(noise, 100) + i * 7) % 120);
    room[address.len - 1] |= 1; /* no prefix shorter than all of it leaves it as it is */
    return address;
}

static bool holds(struct octets haystack, struct octets needle)
{
    return memmem(haystack.data, haystack.len, needle.data, needle.len) != NULL;
}

/* A real message with a planted client: in its field, in what the operator adds, in rules, in EDNS,
 * in a field that no schema knows. */
static bool planted_message(struct frame frame, struct octets address, bool more,
                            struct buffer *out)
{
    static struct buffer query, response;
    struct dnstap_view view;
    if (!dnstap_scan(frame, &view) || !dnstap_has(&view, DNSTAP_HAS_MESSAGE))
        return false;
    if (dnstap_has(&view, DNSTAP_HAS_QUERY_MESSAGE)) {
        if (!plant(view.query_message, address, more, &query))
            return false;
        view.query_message = (struct octets){query.data, (uint32_t)query.len};
    }
    if (dnstap_has(&view, DNSTAP_HAS_RESPONSE_MESSAGE)) {
        if (!plant(view.response_message, address, more, &response))
            return false;
        view.response_message = (struct octets){response.data, (uint32_t)response.len};
    }
    view.has |= DNSTAP_HAS_QUERY_ADDRESS | DNSTAP_HAS_EXTRA | DNSTAP_HAS_POLICY |
                DNSTAP_HAS_POLICY_MATCH | DNSTAP_HAS_POLICY_RULE | DNSTAP_HAS_POLICY_VALUE;
    view.query_address = view.extra = view.policy_rule = view.policy_value = address;
    view.policy_match = 2;
    buffer_clear(out);
    dnstap_rebuild(&view, out);
    const uint8_t unknown[2] = {13 << 3 | 2, (uint8_t)address.len}; /* a field 13 */
    buffer_put(out, unknown, 2);
    buffer_put(out, address.data, address.len);
    return true;
}

static void check_valid(struct frame frame)
{
    struct dnstap_view view;
    Dnstap__Dnstap *proto = dnstap__dnstap__unpack(NULL, frame.len, frame.data);
    assert_non_null(proto);
    dnstap__dnstap__free_unpacked(proto, NULL);
    assert_true(dnstap_scan(frame, &view));
    if (dnstap_has(&view, DNSTAP_HAS_QUERY_MESSAGE))
        assert_true(dns_message_ok(view.query_message));
    if (dnstap_has(&view, DNSTAP_HAS_RESPONSE_MESSAGE))
        assert_true(dns_message_ok(view.response_message));
}

/* What is not about the client stays as it was: all records but OPT. */
static void check_records(struct octets before, struct octets after)
{
    struct dns_walk a, b;
    struct dns_record x, y;
    assert_true(dns_walk_begin(&a, before) && dns_walk_begin(&b, after));
    assert_memory_equal(before.data, after.data, 12);
    while (dns_walk_record(&a, &x)) {
        assert_true(dns_walk_record(&b, &y));
        assert_int_equal(x.type, y.type);
        if (x.type != DNS_TYPE_OPT) {
            assert_int_equal(x.rdata_len, y.rdata_len);
            assert_memory_equal(before.data + x.rdata, after.data + y.rdata, x.rdata_len);
        }
    }
    assert_false(dns_walk_record(&b, &y));
}

static unsigned run_corpus(struct step *step, const char *name, uint64_t *noise, bool records_stay)
{
    char path[200];
    struct buffer file = {0}, planted = {0};
    struct frame frame;
    unsigned count = 0;
    snprintf(path, sizeof path, TEST_DATA "/%s.fstrm.gz", name);
    assert_true(capture_load(path, &file));
    struct reader r = reader_over(file.data, file.len);
    const uint64_t most = 200 + work_for_build(100000);
    while (count < most && capture_next(&r, &frame)) {
        uint8_t room[16];
        const struct octets address = plant_address(noise, room);
        if (!planted_message(frame, address, count % 2, &planted))
            continue;
        struct subject subject;
        subject_init(&subject, (struct frame){planted.data, (uint32_t)planted.len},
                     (struct ticket){0});
        struct dnstap_view before = *subject_view(&subject), after;
        assert_int_equal(anonymise_step.judge(step, &subject), VERDICT_PASS);
        if (holds((struct octets){subject.frame.data, subject.frame.len}, address))
            fail_msg("%s: message %u still tells the address", name, count);
        check_valid(subject.frame);
        assert_true(dnstap_scan(subject.frame, &after));
        if (records_stay && dnstap_has(&before, DNSTAP_HAS_RESPONSE_MESSAGE))
            check_records(before.response_message, after.response_message);
        if (records_stay && dnstap_has(&before, DNSTAP_HAS_QUERY_MESSAGE))
            check_records(before.query_message, after.query_message);
        count++;
    }
    buffer_free(&file);
    buffer_free(&planted);
    return count;
}

static void nothing_of_the_client_is_left(void **state)
{
    (void)state;
    static const char key[] =
        "key: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789ABCDEF";
    static const struct {
        const char *options;
        bool keyed, records_stay;
    } cases[] = {
        {"client: prefix", false, true},
        {"client: prefix, ipv4: 31, ipv6: 127, subnet: prefix", false, true},
        {"client: prefix, ipv4: 0, ipv6: 0, subnet: prefix", false, true},
        {"client: crypto-pan", true, true},
        {"client: pseudonym", true, true},
        {"client: remove", false, true},
        {"client: remove, ports: remove, identity: remove, version: remove, server: remove", false,
         true},
        {"client: prefix, qname: registered", false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct plan plan = {0};
        char options[300];
        uint64_t noise = 20261125 + i;
        snprintf(options, sizeof options, "%s%s%s", cases[i].options, cases[i].keyed ? ", " : "",
                 cases[i].keyed ? key : "");
        struct step *step = step_of(&plan, options);
        for (size_t k = 0; k < sizeof corpora / sizeof corpora[0]; k++)
            assert_true(run_corpus(step, corpora[k], &noise, cases[i].records_stay) > 100);
        step_free(&plan, step);
    }
}

/* What one asks for is what one gets, and no more. */
static void each_thing_by_itself(void **state)
{
    (void)state;
    static const struct {
        const char *options;
        unsigned without; /* of DNSTAP_HAS */
    } cases[] = {
        {"ports: remove", DNSTAP_HAS_QUERY_PORT | DNSTAP_HAS_RESPONSE_PORT},
        {"identity: remove", DNSTAP_HAS_IDENTITY},
        {"version: remove", DNSTAP_HAS_VERSION},
        {"extra: remove", DNSTAP_HAS_EXTRA},
        {"client: remove, extra: keep", DNSTAP_HAS_QUERY_ADDRESS},
        {"server: remove", DNSTAP_HAS_RESPONSE_ADDRESS},
    };
    const unsigned all = DNSTAP_HAS_QUERY_PORT | DNSTAP_HAS_RESPONSE_PORT | DNSTAP_HAS_IDENTITY |
                         DNSTAP_HAS_VERSION | DNSTAP_HAS_EXTRA | DNSTAP_HAS_QUERY_ADDRESS |
                         DNSTAP_HAS_RESPONSE_ADDRESS;
    struct message message = message_new(&(struct recipe){.type = 6,
                                                          .identity = "ns1",
                                                          .version = "some server 1.0",
                                                          .extra = "more",
                                                          .client = "192.0.2.77",
                                                          .server = "198.51.100.53",
                                                          .qname = "www.example.co.uk",
                                                          .qtype = 1});
    struct dnstap_view with, view;
    struct buffer rich = {0};
    assert_true(dnstap_scan((struct frame){message.data, message.len}, &with));
    with.has |= DNSTAP_HAS_QUERY_PORT | DNSTAP_HAS_RESPONSE_PORT;
    dnstap_rebuild(&with, &rich);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct plan plan = {0};
        struct step *step = step_of(&plan, cases[i].options);
        struct subject s;
        subject_init(&s, (struct frame){rich.data, (uint32_t)rich.len}, (struct ticket){0});
        assert_int_equal(anonymise_step.judge(step, &s), VERDICT_PASS);
        assert_true(dnstap_scan(s.frame, &view));
        assert_int_equal(view.has & all, all & ~cases[i].without);
        assert_int_equal(view.response_message.len, with.response_message.len);
        step_free(&plan, step);
    }
    buffer_free(&rich);
    message_free(&message);
}

static void address_after(const char *options, const char *client, char text[INET6_ADDRSTRLEN])
{
    struct plan plan = {0};
    struct step *step = step_of(&plan, options);
    struct message message =
        message_new(&(struct recipe){.type = 5, .client = client, .qname = "example", .qtype = 1});
    struct subject s;
    subject_init(&s, (struct frame){message.data, message.len}, (struct ticket){0});
    assert_int_equal(anonymise_step.judge(step, &s), VERDICT_PASS);
    const struct dnstap_view *view = subject_view(&s);
    inet_ntop(view->query_address.len == 4 ? AF_INET : AF_INET6, view->query_address.data, text,
              INET6_ADDRSTRLEN);
    step_free(&plan, step);
    message_free(&message);
}

static void addresses(void **state)
{
    (void)state;
    static const struct {
        const char *options, *from, *to;
    } cases[] = {
        {"client: prefix", "192.0.2.77", "192.0.2.0"},
        {"client: prefix, ipv4: 20", "192.0.66.77", "192.0.64.0"},
        {"client: prefix, ipv4: 32", "192.0.66.77", "192.0.66.77"},
        {"client: prefix", "2001:db8:1:2:3::4", "2001:db8:1::"},
        {"client: prefix", "::ffff:192.0.2.77", "192.0.2.0"}, /* CoreDNS sends 16 octets */
        {"client: prefix, ipv6: 0", "::ffff:192.0.2.77", "192.0.2.0"},
        {"client: prefix, ipv6: 56", "2001:db8:1:2345::4", "2001:db8:1:2300::"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[INET6_ADDRSTRLEN];
        address_after(cases[i].options, cases[i].from, text);
        assert_string_equal(text, cases[i].to);
    }
}

static void crypto_pan_with_a_key_in_hexadecimal(void **state)
{
    (void)state;
    char text[INET6_ADDRSTRLEN];
    address_after(
        "client: crypto-pan, key: 1522178d33a4cf80130a5b1649907d10d8988f837979652762574c2d2a842202",
        "128.11.68.132", text);
    assert_string_equal(text, "135.242.180.132");
}

static void keep(struct dnstap_view *view, unsigned fields, const char *text)
{
    const struct octets octets = {(const uint8_t *)text, (uint32_t)strlen(text)};
    view->has |= fields | DNSTAP_HAS_POLICY;
    if (fields & DNSTAP_HAS_POLICY_RULE)
        view->policy_rule = octets;
    if (fields & DNSTAP_HAS_POLICY_VALUE)
        view->policy_value = octets;
    if (fields & DNSTAP_HAS_QUERY_ZONE)
        view->query_zone = octets;
    if (fields & DNSTAP_HAS_REJECTED)
        view->rejected = octets;
}

/* Whoever wants to get an address through writes it where it need not be looked for. */
static void fields_that_can_say_anything(void **state)
{
    (void)state;
    enum { RULE = DNSTAP_HAS_POLICY_RULE, MATCH = DNSTAP_HAS_POLICY_MATCH };
    static const struct {
        unsigned field;
        int match;
        const char *text;
        bool stays;
    } cases[] = {
        {RULE | MATCH, 1, "bad.example.rpz", true},
        {RULE | MATCH, 2, "bad.example.rpz", false},
        {RULE | MATCH, 1, "32.77.2.0.192.RPZ-client-ip.rpz", false},
        {RULE, 0, "32.77.2.0.192.rpz", false},
        {DNSTAP_HAS_POLICY_VALUE, 0, "192.0.2.77", false},
        {DNSTAP_HAS_QUERY_ZONE, 0, "192.0.2.77", false},
        {DNSTAP_HAS_REJECTED, 0, "192.0.2.77", false},
        {DNSTAP_HAS_REJECTED, 0, "a TTL that is too long", true},
        {DNSTAP_HAS_REJECTED, 0, "a TTL that is too long, for 192.0.2.77", false},
    };
    struct plan plan = {0};
    struct step *step = step_of(&plan, "client: prefix");
    struct message message =
        message_new(&(struct recipe){.type = 6, .qname = "example", .qtype = 1});
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buffer rich = {0};
        struct dnstap_view view;
        struct subject s;
        assert_true(dnstap_scan((struct frame){message.data, message.len}, &view));
        view.policy_match = cases[i].match;
        keep(&view, cases[i].field, cases[i].text);
        dnstap_rebuild(&view, &rich);
        subject_init(&s, (struct frame){rich.data, (uint32_t)rich.len}, (struct ticket){0});
        assert_int_equal(anonymise_step.judge(step, &s), VERDICT_PASS);
        const struct octets out = {s.frame.data, s.frame.len};
        const struct octets text = {(const uint8_t *)cases[i].text,
                                    (uint32_t)strlen(cases[i].text)};
        if (holds(out, text) != cases[i].stays)
            fail_msg("case %zu: %s", i, cases[i].text);
        buffer_free(&rich);
    }
    step_free(&plan, step);
    message_free(&message);
}

/* A message and an event in one: the name of one does not become the other's. */
static void a_message_with_an_event_in_it(void **state)
{
    (void)state;
    static const uint8_t event[] = "\x08\1\x2a\x0b\3big\5event\0";
    struct plan plan = {0};
    struct step *step = step_of(&plan, "qname: registered");
    struct message message = message_new(
        &(struct recipe){.type = 6, .qname = "example", .qtype = 1, .zone = "a.example.org"});
    struct buffer both = {0};
    struct dnstap_view view;
    struct subject s;
    assert_true(dnstap_scan((struct frame){message.data, message.len}, &view));
    view.has |= DNSTAP_HAS_EVENT;
    view.event = (struct octets){event, sizeof event - 1};
    dnstap_rebuild(&view, &both);
    subject_init(&s, (struct frame){both.data, (uint32_t)both.len}, (struct ticket){0});
    assert_int_equal(anonymise_step.judge(step, &s), VERDICT_PASS);
    const struct dnstap_view *after = subject_view(&s);
    assert_non_null(after);
    assert_int_equal(after->query_zone.len, 13);
    assert_memory_equal(after->query_zone.data, "\7example\3org", 13);
    buffer_free(&both);
    step_free(&plan, step);
    message_free(&message);
}

/* A name in the question and in records, compressed and not, in RDATA too; a signature's owner; a
 * text that stays. */
static void names_are_cut(void **state)
{
    (void)state;
    static const uint8_t dns[] =
        "\x12\x34\x81\x80\0\1\0\4\0\0\0\1"
        "\3www\7secrets\7example\2co\2uk\0\0\1\0\1"              /* the question */
        "\xc0\x0c\0\5\0\1\0\0\0\x3c\0\x0e\4user\3cdn\3net\0"     /* CNAME; not compressed */
        "\4user\3cdn\3net\0\0\1\0\1\0\0\0\x3c\0\4\xcb\0\x71\5"   /* A */
        "\xc0\x18\0\x0f\0\1\0\0\0\x3c\0\x09\0\x0a\4mail\xc0\x18" /* MX of example.co.uk */
        "\xc0\x0c\0\x10\0\1\0\0\0\x3c\0\6\5hello"                /* TXT */
        "\0\0\x29\4\xd0\0\0\0\0\0\0";
    static const uint8_t cut[] =
        "\x12\x34\x81\x80\0\1\0\4\0\0\0\1"
        "\7example\2co\2uk\0\0\1\0\1"
        "\7example\2co\2uk\0\0\5\0\1\0\0\0\x3c\0\x09\3cdn\3net\0"
        "\3cdn\3net\0\0\1\0\1\0\0\0\x3c\0\4\xcb\0\x71\5"
        "\7example\2co\2uk\0\0\x0f\0\1\0\0\0\x3c\0\x11\0\x0a\7example\2co\2uk\0"
        "\7example\2co\2uk\0\0\x10\0\1\0\0\0\x3c\0\6\5hello"
        "\0\0\x29\4\xd0\0\0\0\0\0\0";
    struct plan plan = {0};
    struct step *step = step_of(&plan, "qname: registered");
    struct message message = message_new(&(struct recipe){
        .type = 6, .dns = dns, .dns_len = sizeof dns - 1, .zone = "secrets.example.co.uk"});
    struct subject s;
    assert_true(dns_message_ok((struct octets){dns, sizeof dns - 1}));
    subject_init(&s, (struct frame){message.data, message.len}, (struct ticket){0});
    assert_int_equal(anonymise_step.judge(step, &s), VERDICT_PASS);
    const struct dnstap_view *view = subject_view(&s);
    assert_int_equal(view->response_message.len, sizeof cut - 1);
    assert_memory_equal(view->response_message.data, cut, sizeof cut - 1);
    assert_int_equal(view->query_zone.len, 15);
    assert_memory_equal(view->query_zone.data, "\7example\2co\2uk", 15);
    step_free(&plan, step);
    message_free(&message);
}

/* What a step makes of the DNS message of a message of this type; its length, 0 where it is left out. */
static uint32_t dns_after(const char *options, const struct recipe *recipe, uint8_t out[600])
{
    struct plan plan = {0};
    struct step *step = step_of(&plan, options);
    struct message message = message_new(recipe);
    struct subject s;
    subject_init(&s, (struct frame){message.data, message.len}, (struct ticket){0});
    assert_int_equal(anonymise_step.judge(step, &s), VERDICT_PASS);
    const struct dnstap_view *view = subject_view(&s);
    assert_non_null(view);
    struct octets dns = recipe->type % 2 ? view->query_message : view->response_message;
    assert_true(dns.len <= 600);
    if (dns.len > 0)
        memcpy(out, dns.data, dns.len);
    step_free(&plan, step);
    message_free(&message);
    return dns.len;
}

/* DNS messages in, and what is to come out. */
struct dns_case {
    const char *options;
    int type;
    const char *in;
    uint32_t in_len;
    const char *out; /* NULL: the message is left out */
    uint32_t out_len;
};
#define DNS(octets) octets, sizeof octets - 1

static void check_dns_cases(const struct dns_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint8_t out[600];
        const struct dns_case *c = &cases[i];
        const struct recipe recipe = {.type = c->type, .client = "192.0.2.77", .dns = (const uint8_t *)c->in,
                                      .dns_len = c->in_len};
        uint32_t len = dns_after(c->options, &recipe, out);
        if (len != c->out_len || (len > 0 && memcmp(out, c->out, len) != 0))
            fail_msg("case %zu: %u octets instead of %u, or others", i, len, c->out_len);
        assert_true(len <= c->in_len);
        if (len > 0 && dns_message_ok((struct octets){(const uint8_t *)c->in, c->in_len}))
            assert_true(dns_message_ok((struct octets){out, len}));
    }
}

#define QUERY "\x12\x34\1\0\0\1\0\0\0\0"
#define QUESTION "\3www\7example\0\0\1\0\1"
#define OPT "\0\0\x29\4\xd0\0\0\0\0"
#define RECORD "\1x\0\0\1\0\1\0\0\0\x3c\0\4\xcb\0\x71\x09"

/* A subnet whose length promises more octets than there are, and others that are not as they should be. */
static void subnets_that_are_broken(void **state)
{
    (void)state;
    static const struct dns_case cases[] = {
        {"subnet: prefix", 5, DNS(QUERY "\0\2" QUESTION OPT "\0\x08\0\x08\0\4\0\1\x18\0" RECORD),
         DNS(QUERY "\0\2" QUESTION OPT "\0\x08\0\x0c\0\4\0\0\0\0" RECORD)},
        {"subnet: prefix", 5, DNS(QUERY "\0\1" QUESTION OPT "\0\x08\0\x08\0\4\0\1\x18\0"),
         DNS(QUERY "\0\1" QUESTION OPT "\0\0")},
        {"subnet: prefix", 5, DNS(QUERY "\0\1" QUESTION OPT "\0\x09\0\x08\0\5\0\2\x80\0\x20"),
         DNS(QUERY "\0\1" QUESTION OPT "\0\0")},
        {"subnet: prefix", 5, DNS(QUERY "\0\2" QUESTION OPT "\0\x0c\0\x08\0\x08\0\1\x20\0\xc0\0\2\x4d" RECORD),
         DNS(QUERY "\0\2" QUESTION OPT "\0\x0c\0\x0c\0\x08\0\0\0\0\0\0\0\0" RECORD)},
        {"subnet: prefix", 5, DNS(QUERY "\0\1" QUESTION OPT "\0\x0c\0\x08\0\x08\0\1\x18\0\xc0\0\2\x4d"),
         DNS(QUERY "\0\1" QUESTION OPT "\0\x0b\0\x08\0\7\0\1\x18\0\xc0\0\2")},
    };
    check_dns_cases(cases, sizeof cases / sizeof cases[0]);
}

/* A name that points into an option is broken, or another one, without the option. */
static void names_that_point_into_options(void **state)
{
    (void)state;
    static const struct dns_case cases[] = {
        {"client: remove", 5, DNS(QUERY "\0\2\3www\7example\xc0\x2c\0\1\0\1" OPT "\0\6\0\x0a\0\2\1\0"),
         NULL, 0},
    };
    check_dns_cases(cases, sizeof cases / sizeof cases[0]);
}

#define TSIG                                                                                                           \
    "\x08" "customer\7example\0\0\xfa\0\xff\0\0\0\0\0\x1b\x08hmac-md5\0\0\0\0\0\0\1\1\x2c\0\1" "M\x12\x34\0\0\0\0"
#define SIG(covered)                                                                                                   \
    "\0\0\x18\0\xff\0\0\0\0\0\x1c\0" covered "\x08\0\0\0\0\0\0\0\0\1\0\0\0\0\0\1\x08" "customer\0"

/* TSIG and SIG(0) tell who signed, and so does a TKEY exchange. */
static void signatures(void **state)
{
    (void)state;
    static const struct dns_case cases[] = {
        {"client: prefix", 5, DNS(QUERY "\0\1" QUESTION TSIG), DNS(QUERY "\0\0" QUESTION)},
        {"signatures: remove", 5, DNS(QUERY "\0\2" QUESTION OPT "\0\0" TSIG),
         DNS(QUERY "\0\1" QUESTION OPT "\0\0")},
        {"client: prefix", 5, DNS(QUERY "\0\2" QUESTION OPT "\0\5\0\x0a\0\1x" TSIG),
         DNS(QUERY "\0\1" QUESTION OPT "\0\0")},
        {"client: prefix, signatures: keep", 5, DNS(QUERY "\0\1" QUESTION TSIG), DNS(QUERY "\0\1" QUESTION TSIG)},
        {"ports: remove", 5, DNS(QUERY "\0\1" QUESTION TSIG), DNS(QUERY "\0\1" QUESTION TSIG)},
        {"client: remove", 5, DNS(QUERY "\0\1" QUESTION SIG("\0")), DNS(QUERY "\0\0" QUESTION)},
        {"client: remove", 5, DNS(QUERY "\0\1" QUESTION SIG("\1")), DNS(QUERY "\0\1" QUESTION SIG("\1"))},
        {"client: remove", 5, DNS(QUERY "\0\2" QUESTION TSIG RECORD), NULL, 0}, /* not where it belongs */
        {"client: remove", 5, DNS(QUERY "\0\0\3key\7example\0\0\xf9\0\1"), NULL, 0},
        {"client: remove", 6, DNS("\x12\x34\x81\0\0\1\0\1\0\0\0\0" QUESTION "\3key\0\0\xf9\0\xff\0\0\0\0\0\0"),
         NULL, 0},
    };
    check_dns_cases(cases, sizeof cases / sizeof cases[0]);
}

/* A client can put anything where the protocol expects nothing from it. */
static void harmless_options_in_queries(void **state)
{
    (void)state;
    static const struct dns_case cases[] = {
        {"client: prefix", 5, DNS(QUERY "\0\1" QUESTION OPT "\0\x16\0\3\0\0\0\3\0\2me\0\x0f\0\4\0\0me\0\x13\0\0"),
         DNS(QUERY "\0\1" QUESTION OPT "\0\x08\0\3\0\0\0\x13\0\0")},
        {"client: prefix", 6, DNS(QUERY "\0\1" QUESTION OPT "\0\x0e\0\3\0\2ns\0\x0f\0\4\0\x0fno"),
         DNS(QUERY "\0\1" QUESTION OPT "\0\x0e\0\3\0\2ns\0\x0f\0\4\0\x0fno")},
        {"client: prefix, options: keep", 5, DNS(QUERY "\0\1" QUESTION OPT "\0\6\0\3\0\2me"),
         DNS(QUERY "\0\1" QUESTION OPT "\0\6\0\3\0\2me")},
    };
    check_dns_cases(cases, sizeof cases / sizeof cases[0]);
}

/* In an UPDATE a client gives its name and address; a question for the name of its own address gives that. */
static void messages_in_which_a_client_names_itself(void **state)
{
    (void)state;
    static const char update[] = "\x12\x34\x28\0\0\1\0\0\0\1\0\0\7example\0\0\6\0\1" RECORD;
    static const struct dns_case cases[] = {
        {"client: prefix", 13, DNS(update), NULL, 0},
        {"updates: remove", 13, DNS(update), NULL, 0},
        {"client: prefix, updates: keep", 13, DNS(update), DNS(update)},
        {"ports: remove", 13, DNS(update), DNS(update)},
        {"client: prefix", 5, DNS(QUERY "\0\0\00277\0012\0010\003192\7in-addr\4ARPA\0\0\x0c\0\1"), NULL, 0},
        {"client: prefix", 5, DNS(QUERY "\0\0\1b\00277\0012\0010\003192\7in-addr\4arpa\0\0\x10\0\1"), NULL, 0},
        {"client: prefix", 5, DNS(QUERY "\0\0\00278\0012\0010\003192\7in-addr\4arpa\0\0\x0c\0\1"),
         DNS(QUERY "\0\0\00278\0012\0010\003192\7in-addr\4arpa\0\0\x0c\0\1")},
        {"client: prefix, qname: registered", 5,
         DNS(QUERY "\0\0\00277\0012\0010\003192\7in-addr\4arpa\0\0\x0c\0\1"),
         DNS(QUERY "\0\0\003192\7in-addr\4arpa\0\0\x0c\0\1")},
    };
    check_dns_cases(cases, sizeof cases / sizeof cases[0]);
}

static void a_question_for_the_clients_ipv6_address(void **state)
{
    (void)state;
    uint8_t out[600], dns[600] = QUERY "\0\0";
    const char *name = "4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa";
    uint32_t len = 12 + message_name(name, dns + 12);
    memcpy(dns + len, "\0\x0c\0\1", 4);
    struct recipe recipe = {.type = 5, .client = "2001:db8::1:2:3:4", .dns = dns, .dns_len = len + 4};
    assert_int_equal(dns_after("client: pseudonym, key: "
                               "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
                               &recipe, out),
                     0);
    recipe.client = "2001:db8::1:2:3:5";
    assert_int_equal(dns_after("client: remove", &recipe, out), len + 4);
}

static int reallocs_left = -1; /* until one fails; -1: none does */

void *__real_realloc(void *data, size_t size);
void *__wrap_realloc(void *data, size_t size);
void *__wrap_realloc(void *data, size_t size)
{
    if (reallocs_left == 0)
        return NULL;
    reallocs_left -= reallocs_left > 0;
    return __real_realloc(data, size);
}

/* When memory runs out, wherever, the message has failed: it does not go on without a part. */
static void memory_that_runs_out(void **state)
{
    (void)state;
    static const char *const options[] = {"client: remove", "client: prefix, qname: registered"};
    struct message message = message_new(&(struct recipe){
        .type = 6, .client = "192.0.2.1", .qname = "www.example.org", .qtype = 1, .rcode = 16, .zone = "a.example.org"});
    for (int k = 0; k < 2; k++) {
        enum verdict verdict = VERDICT_FAILED;
        for (int left = 0; verdict == VERDICT_FAILED; left++) {
            struct plan plan = {0};
            struct step *step = step_of(&plan, options[k]);
            struct subject s;
            subject_init(&s, (struct frame){message.data, message.len}, (struct ticket){0});
            reallocs_left = left;
            verdict = anonymise_step.judge(step, &s);
            reallocs_left = -1;
            assert_true(verdict == VERDICT_PASS || (verdict == VERDICT_FAILED && left < 20));
            if (verdict == VERDICT_PASS)
                assert_true(left > 1 && dnstap_has(subject_view(&s), DNSTAP_HAS_RESPONSE_MESSAGE) &&
                            dnstap_has(subject_view(&s), DNSTAP_HAS_QUERY_ZONE));
            step_free(&plan, step);
        }
    }
    message_free(&message);
}

/* Damaged messages: whatever they are, what comes out is sound, and tells nothing. */
static void damaged_messages(void **state)
{
    (void)state;
    char path[] = TEST_DATA "/unbound.fstrm.gz";
    struct buffer file = {0}, planted = {0};
    struct frame frame;
    uint64_t noise = 99;
    struct plan plans[2] = {{0}};
    struct step *steps[2] = {step_of(&plans[0], "client: remove"),
                             step_of(&plans[1], "client: remove, qname: registered")};
    unsigned passed = 0;
    assert_true(capture_load(path, &file));
    for (uint64_t round = 0; round < 1 + work_for_build(20); round++) {
        struct reader r = reader_over(file.data, file.len);
        while (capture_next(&r, &frame)) {
            uint8_t room[16];
            const struct octets address = plant_address(&noise, room);
            if (!planted_message(frame, address, noise_below(&noise, 2), &planted))
                continue;
            uint32_t len = noise_damage(&noise, planted.data, (uint32_t)planted.len);
            struct subject s;
            subject_init(&s, (struct frame){planted.data, len}, (struct ticket){0});
            enum verdict verdict = anonymise_step.judge(steps[round % 2], &s);
            assert_true(verdict == VERDICT_PASS || verdict == VERDICT_MALFORMED);
            if (verdict != VERDICT_PASS)
                continue;
            struct dnstap_view view;
            assert_true(dnstap_scan(s.frame, &view));
            assert_false(dnstap_has(&view, DNSTAP_HAS_QUERY_ADDRESS) ||
                         dnstap_has(&view, DNSTAP_HAS_EXTRA));
            passed++;
        }
    }
    assert_true(passed > 100);
    for (int i = 0; i < 2; i++)
        step_free(&plans[i], steps[i]);
    buffer_free(&file);
    buffer_free(&planted);
}

static void mistakes(void **state)
{
    (void)state;
    static const struct {
        const char *options, *error;
    } cases[] = {
        {"client: keep", "keeps everything"},
        {"client: crypto-pan", "needs a key"},
        {"client: crypto-pan, key: abc", "64 hexadecimal digits"},
        {"client: pseudonym, key: \"env:NO_SUCH_VARIABLE_HERE\"", "NO_SUCH_VARIABLE_HERE"},
        {"client: prefix, ipv4: 33", "0 to 32"},
        {"client: hash", "takes keep|prefix"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct plan plan = {0};
        struct error error = {{0}};
        assert_null(try_step(&plan, cases[i].options, &error));
        if (!strstr(error.text, cases[i].error))
            fail_msg("%s: %s", cases[i].options, error.text);
        plan_free(&plan);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_of_the_client_is_left),
        cmocka_unit_test(each_thing_by_itself),
        cmocka_unit_test(addresses),
        cmocka_unit_test(crypto_pan_with_a_key_in_hexadecimal),
        cmocka_unit_test(fields_that_can_say_anything),
        cmocka_unit_test(a_message_with_an_event_in_it),
        cmocka_unit_test(names_are_cut),
        cmocka_unit_test(subnets_that_are_broken),
        cmocka_unit_test(names_that_point_into_options),
        cmocka_unit_test(signatures),
        cmocka_unit_test(harmless_options_in_queries),
        cmocka_unit_test(messages_in_which_a_client_names_itself),
        cmocka_unit_test(a_question_for_the_clients_ipv6_address),
        cmocka_unit_test(memory_that_runs_out),
        cmocka_unit_test(damaged_messages),
        cmocka_unit_test(mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
