/* validate on answers made by hand, sound and poisoned, and on those of real servers. */
#include "capture.h"
#include "harness.h"
#include "messages.h"
#include "policy/plan.h"

static struct options options;

static struct step *step_new(const char *name, const char *value)
{
    const struct option_spec *const tables[OPTION_TABLES] = {validate_step.options, policy_step_options};
    struct error error = {{0}};
    options = (struct options){0};
    assert_true(options_lay_out(&options, tables, &error));
    assert_true(!name || options_give(&options, name, value, &error));
    struct step *step = validate_step.new(&options, &error);
    assert_non_null(step);
    return step;
}

static void step_end(struct step *step)
{
    validate_step.free(step);
    options_free(&options);
}

/* A header with counts, and the question a.example A IN. */
#define HEAD(flags, an, ns, ar) "\x12\x34" flags "\0\1\0" an "\0" ns "\0" ar
#define QUESTION "\1a\7example\0\0\1\0\1"
#define A_RECORD "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\1"
#define EDNS "\0\0\x29\4\xd0\0\0\0\0\0\0"

struct answer {
    const char *what; /* it is said to be; NULL: sound */
    const char *dns;
    size_t len;
    const char *zone;
    const char *option, *value;
};
#define DNS(text) text, sizeof text - 1

static const struct answer answers[] = {
    {NULL, DNS(HEAD("\x81\x80", "\1", "\0", "\0") QUESTION A_RECORD), NULL, NULL, NULL},
    {NULL, DNS(HEAD("\x81\x80", "\1", "\0", "\1") QUESTION A_RECORD EDNS), "example", NULL, NULL},
    {NULL, DNS(HEAD("\x81\x80", "\1", "\0", "\0") QUESTION A_RECORD), "A.EXAMPLE", NULL, NULL},
    {NULL, DNS(HEAD("\x81\x83", "\0", "\0", "\0") QUESTION), "", NULL, NULL},
    /* glue from elsewhere, and an answer about another's name */
    {"outside of the bailiwick", DNS(HEAD("\x81\x80", "\1", "\0", "\1") QUESTION A_RECORD "\3www\4bank\4test\0\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\6"),
     "example", NULL, NULL},
    {NULL, DNS(HEAD("\x81\x80", "\1", "\0", "\1") QUESTION A_RECORD "\3www\4bank\4test\0\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\6"), "example",
     "bailiwick", "answers"},
    {NULL, DNS(HEAD("\x81\x80", "\1", "\0", "\1") QUESTION A_RECORD "\3www\4bank\4test\0\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\6"), "example",
     "bailiwick", "no"},
    {"outside of the bailiwick", DNS(HEAD("\x81\x80", "\1", "\0", "\0") QUESTION "\4bank\4test\0\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\6"), "example",
     "bailiwick", "answers"},
    /* notexample is not below example */
    {"outside of the bailiwick", DNS(HEAD("\x81\x80", "\1", "\0", "\0") QUESTION "\12notexample\0\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\6"), "example",
     NULL, NULL},
    {"outside of the bailiwick", DNS(HEAD("\x81\x80", "\1", "\0", "\0") QUESTION A_RECORD), "b.a.example", NULL, NULL},
    {"TTL that is too long", DNS(HEAD("\x81\x80", "\1", "\0", "\0") QUESTION "\xc0\x0c\0\1\0\1\x80\0\0\0\0\4\xc0\0\2\1"), NULL, NULL, NULL},
    {"TTL that is too long", DNS(HEAD("\x81\x80", "\1", "\0", "\0") QUESTION A_RECORD), NULL, "ttl-max", "59"},
    {"RDATA is broken", DNS(HEAD("\x81\x80", "\1", "\0", "\0") QUESTION "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\3\xc0\0\2"), NULL, NULL, NULL},
    {"RDATA is broken", DNS(HEAD("\x81\x80", "\1", "\0", "\0") QUESTION "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\0"), NULL, NULL, NULL},
    {"RDATA is broken", DNS(HEAD("\x81\x80", "\1", "\0", "\0") QUESTION "\xc0\x0c\0\x1c\0\1\0\0\0\x3c\0\4\xc0\0\2\1"), NULL, NULL, NULL},
    {"another class", DNS(HEAD("\x81\x80", "\1", "\0", "\0") QUESTION "\xc0\x0c\0\1\0\3\0\0\0\x3c\0\4\xc0\0\2\1"), NULL, NULL, NULL},
    {"that is none", DNS(HEAD("\x01\x00", "\1", "\0", "\0") QUESTION A_RECORD), NULL, NULL, NULL},
    {"fewer records", DNS(HEAD("\x81\x80", "\2", "\0", "\0") QUESTION A_RECORD), NULL, NULL, NULL},
    {"fewer records", DNS(HEAD("\x81\x80", "\1", "\0", "\1") QUESTION A_RECORD), NULL, NULL, NULL},
    {"behind the last record", DNS(HEAD("\x81\x80", "\1", "\0", "\0") QUESTION A_RECORD "x"), NULL, NULL, NULL},
    {"broken", DNS(HEAD("\x81\x80", "\1", "\0", "\0") QUESTION "\xc0\x40\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\1"), NULL, NULL, NULL},
    {"broken", DNS(HEAD("\x81\x80", "\1", "\0", "\0") QUESTION "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\x40\xc0\0\2\1"), NULL, NULL, NULL},
    {"outside of the additional", DNS(HEAD("\x81\x80", "\1", "\0", "\0") QUESTION EDNS), NULL, NULL, NULL},
    {"more than one OPT", DNS(HEAD("\x81\x80", "\0", "\0", "\2") QUESTION EDNS EDNS), NULL, NULL, NULL},
    {"OPT record that is broken", DNS(HEAD("\x81\x80", "\0", "\0", "\1") QUESTION "\0\0\x29\4\xd0\0\0\0\0\0\5\0\x0a\0\2x"), NULL, NULL, NULL},
    {"OPT record that is broken", DNS(HEAD("\x81\x80", "\0", "\0", "\1") QUESTION "\xc0\x0c\0\x29\4\xd0\0\0\0\0\0\0"), NULL, NULL, NULL},
    {"another class", DNS(HEAD("\x81\x80", "\1", "\0", "\0") QUESTION "\xc0\x0c\0\1\0\xff\0\0\0\x3c\0\4\xc0\0\2\1"), NULL, NULL, NULL},
    /* an UPDATE's prerequisites and deletions; a query's answer is not */
    {NULL, DNS("\x12\x34\xa8\0\0\1\0\2\0\2\0\0" "\7example\0\0\6\0\1" "\1a\xc0\x0c\0\xff\0\xfe\0\0\0\0\0\0" "\1a\xc0\x0c\0\1\0\xff\0\0\0\0\0\0"
               "\1b\xc0\x0c\0\1\0\xff\0\0\0\0\0\0" "\1b\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\1"), NULL, NULL, NULL},
    {"RDATA is broken", DNS("\x12\x34\xa8\0\0\1\0\1\0\0\0\0" "\7example\0\0\6\0\1" "\1a\xc0\x0c\0\1\0\1\0\0\0\0\0\0"), NULL, NULL, NULL},
    {"RDATA is broken", DNS("\x12\x34\xa8\0\0\1\0\1\0\0\0\0" "\7example\0\0\6\0\1" "\1a\xc0\x0c\0\1\0\xff\0\0\0\0\0\1x"), NULL, NULL, NULL},
    /* DSO: keepalive, of a client and of a server; cut off; with a count */
    {NULL, DNS("\x12\x34\xb0\0\0\0\0\0\0\0\0\0" "\0\1\0\x08\0\0\x3a\x98\0\0\x3a\x98"), NULL, NULL, NULL},
    {NULL, DNS("\0\0\x30\0\0\0\0\0\0\0\0\0" "\0\1\0\x08\0\0\x3a\x98\0\0\x3a\x98"), NULL, NULL, NULL},
    {"DSO message that is broken", DNS("\x12\x34\xb0\0\0\0\0\0\0\0\0\0" "\0\1\0\x08\0"), NULL, NULL, NULL},
    {"DSO message that is broken", DNS("\x12\x34\xb0\0\0\1\0\0\0\0\0\0" QUESTION), NULL, NULL, NULL},
    {"fewer questions", DNS("\x12\x34\x81\x80\0\1\0\0\0\0\0\0"), NULL, NULL, NULL},
};

static void made_by_hand(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        const struct answer *a = &answers[i];
        struct step *step = step_new(a->option, a->value);
        struct message message = message_new(
            &(struct recipe){.type = 4, .dns = (const uint8_t *)a->dns, .dns_len = (uint32_t)a->len, .zone = a->zone});
        struct subject s;
        subject_init(&s, (struct frame){message.data, message.len}, (struct ticket){0});
        enum verdict verdict = validate_step.judge(step, &s);
        if (a->what ? verdict != VERDICT_TAKE_OUT || !strstr(s.reason, a->what) : verdict != VERDICT_PASS)
            fail_msg("answer %zu: %s, not %s", i, s.reason ? s.reason : "sound", a->what ? a->what : "sound");
        message_free(&message);
        step_end(step);
    }
}

/* Query and response in one message. */
static bool match(const char *query, size_t query_len)
{
    static const char response[] = HEAD("\x81\x80", "\1", "\0", "\0") "\1A\7Example\0\0\1\0\1" A_RECORD;
    struct step *step = step_new(NULL, NULL);
    struct message message =
        message_new(&(struct recipe){.type = 6, .dns = (const uint8_t *)response, .dns_len = sizeof response - 1});
    /* the Message comes in two pieces, which merge: a second one with the query */
    uint8_t more[300] = {14 << 3 | 2, (uint8_t)(query_len + 4), 1 << 3, 6, 10 << 3 | 2, (uint8_t)query_len};
    memcpy(more + 6, query, query_len);
    uint8_t all[600];
    memcpy(all, message.data, message.len);
    memcpy(all + message.len, more, query_len + 6);
    struct subject s;
    subject_init(&s, (struct frame){all, message.len + (uint32_t)query_len + 6}, (struct ticket){0});
    assert_true(dnstap_has(subject_view(&s), DNSTAP_HAS_QUERY_MESSAGE));
    bool passes = validate_step.judge(step, &s) == VERDICT_PASS;
    assert_true(passes || strstr(s.reason, "another question"));
    message_free(&message);
    step_end(step);
    return passes;
}

static void questions(void **state)
{
    (void)state;
    assert_true(match(DNS(HEAD("\x01\x00", "\0", "\0", "\0") QUESTION)));
    assert_false(match(DNS(HEAD("\x01\x00", "\0", "\0", "\0") "\1b\7example\0\0\1\0\1")));
    assert_false(match(DNS(HEAD("\x01\x00", "\0", "\0", "\0") "\1a\7example\0\0\x1c\0\1")));
    assert_false(match(DNS("\x12\x35\x01\x00\0\1\0\0\0\0\0\0" QUESTION)));
}

/* A response that leaves its question out, beside this query. */
static bool answers_without_question(const char *query, size_t query_len, const char *response, size_t len)
{
    struct step *step = step_new(NULL, NULL);
    struct message message = message_new(&(struct recipe){.type = 6,
                                                          .query = (const uint8_t *)query,
                                                          .query_len = (uint32_t)query_len,
                                                          .dns = (const uint8_t *)response,
                                                          .dns_len = (uint32_t)len});
    struct subject s;
    subject_init(&s, (struct frame){message.data, message.len}, (struct ticket){0});
    bool passes = validate_step.judge(step, &s) == VERDICT_PASS;
    message_free(&message);
    step_end(step);
    return passes;
}

static void responses_without_a_question(void **state)
{
    (void)state;
#define BARE(flags, an, ar) "\x12\x34" flags "\0\0\0" an "\0\0\0" ar
#define RECORD "\1a\7example\0\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\1"
#define COOKIE "\0\0\x29\4\xd0\0\0\0\0\0\x0c\0\x0a\0\x08" "cookie!!"
    static const char query[] = HEAD("\x01\x00", "\0", "\0", "\0") QUESTION;
    static const char axfr[] = HEAD("\x01\x00", "\0", "\0", "\0") "\7example\0\0\xfc\0\1";
    static const char ixfr[] = HEAD("\x01\x00", "\0", "\0", "\0") "\7example\0\0\xfb\0\1";
    assert_false(answers_without_question(DNS(query), DNS(BARE("\x81\x80", "\1", "\0") RECORD)));
    assert_true(answers_without_question(DNS(query), DNS(BARE("\x81\x81", "\0", "\0"))));
    assert_true(answers_without_question(DNS(axfr), DNS(BARE("\x84\x00", "\1", "\0") RECORD)));
    assert_true(answers_without_question(DNS(ixfr), DNS(BARE("\x84\x00", "\1", "\0") RECORD)));
    /* BADVERS: its low bits are those of NOERROR */
    assert_true(answers_without_question(DNS(query), DNS(BARE("\x81\x80", "\0", "\1") "\0\0\x29\4\xd0\1\0\0\0\0\0")));
    /* a cookie alone */
    assert_true(answers_without_question(DNS(BARE("\x01\x00", "\0", "\1") COOKIE), DNS(BARE("\x81\x80", "\0", "\1") COOKIE)));
    assert_false(answers_without_question(DNS("\x12\x35\x01\0\0\0\0\0\0\0\0\1" COOKIE),
                                          DNS(BARE("\x81\x80", "\0", "\1") COOKIE)));
}

/* Real servers' messages: nearly all are sound, and each that is not has a reason. */
static void real_servers(void **state)
{
    (void)state;
    static const char *const corpora[] = {"bind", "dnsdist", "knot", "nsd", "recursor", "unbound"};
    for (size_t i = 0; i < sizeof corpora / sizeof corpora[0]; i++) {
        struct step *step = step_new("bailiwick", "answers");
        struct buffer file = {0};
        struct frame frame;
        char path[200];
        unsigned sound = 0, poor = 0;
        snprintf(path, sizeof path, TEST_DATA "/%s.fstrm.gz", corpora[i]);
        assert_true(capture_load(path, &file));
        struct reader r = reader_over(file.data, file.len);
        while (capture_next(&r, &frame)) {
            struct subject s;
            subject_init(&s, frame, (struct ticket){0});
            enum verdict verdict = validate_step.judge(step, &s);
            assert_true(verdict == VERDICT_PASS || s.reason);
            sound += verdict == VERDICT_PASS;
            poor += verdict != VERDICT_PASS;
        }
        if (sound < 9 * poor)
            fail_msg("%s: %u sound, %u not", corpora[i], sound, poor);
        buffer_free(&file);
        step_end(step);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(made_by_hand),
        cmocka_unit_test(questions),
        cmocka_unit_test(responses_without_a_question),
        cmocka_unit_test(real_servers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
