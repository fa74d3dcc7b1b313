/* format=cof against messages that are made to take its memory, or its sums, beyond what they are. */
#include <arpa/inet.h>

#include "encode/encoder.h"
#include "harness.h"
#include "messages.h"

enum { WHEN = 1700000000 };

static struct options options;

static struct encoder *encoder_with(const char *memory)
{
    const struct option_spec *const tables[OPTION_TABLES] = {cof_encoder.options};
    struct error error = {{0}};
    options = (struct options){0};
    assert_true(options_lay_out(&options, tables, &error));
    assert_true(options_give(&options, "memory", memory, &error));
    struct encoder *encoder = cof_encoder.new (&options, &error);
    assert_non_null(encoder);
    return encoder;
}

static struct encoder *encoder_new(void)
{
    return encoder_with("1MiB");
}

static void encoder_end(struct encoder *encoder)
{
    cof_encoder.free(encoder);
    options_free(&options);
}

/* A response with `count` NS records, each of whose names is two octets that stand for 250. */
static struct message unpacking(unsigned count, uint8_t number)
{
    uint8_t dns[8192] = {0x12, 0x34, 0x81, 0x80, 0, 1, (uint8_t)(count >> 8), (uint8_t)count};
    uint32_t len = 12;
    for (int label = 0; label < 4; label++) {
        dns[len++] = 60;
        memset(dns + len, number, 60);
        len += 60;
    }
    memcpy(dns + len, "\0\0\2\0\1", 5);
    len += 5;
    for (unsigned i = 0; i < count; i++) {
        memcpy(dns + len, "\xc0\x0c\0\2\0\1\0\0\0\x3c\0\4\1", 13);
        dns[len + 13] = (uint8_t)i;
        memcpy(dns + len + 14, "\xc0\x0c", 2);
        len += 16;
    }
    return message_new(&(struct recipe){.type = 4, .second = WHEN, .dns = dns, .dns_len = len});
}

static unsigned end_window(struct encoder *encoder)
{
    struct buffer out = {0};
    unsigned records = 0;
    while (cof_encoder.next(encoder, &out))
        records++;
    buffer_free(&out);
    return records;
}

/* One that finds no room in the window that is open finds it in the next: none fails. */
static void names_that_unpack(void **state)
{
    (void)state;
    struct encoder *encoder = encoder_new();
    struct buffer out = {0};
    unsigned windows = 0, records = 0;
    for (unsigned i = 0; i < 100; i++) {
        struct message message = unpacking(100, (uint8_t)(128 + i));
        const struct frame frame = {message.data, message.len};
        enum encode_result result = cof_encoder.message(encoder, frame, &out);
        if (result == ENCODE_FULL) {
            records += end_window(encoder);
            windows++;
            result = cof_encoder.message(encoder, frame, &out);
        }
        assert_int_equal(result, ENCODE_HELD);
        message_free(&message);
    }
    records += end_window(encoder);
    assert_int_equal(records, 100);
    assert_true(windows > 5);
    buffer_free(&out);
    encoder_end(encoder);
}

/* Any number can stand in a message: the sum stays at the most that can be said. */
static void sums_that_are_too_large(void **state)
{
    (void)state;
    struct encoder *encoder = encoder_new();
    struct buffer out = {0};
    struct message message = unpacking(1, 'a');
    uint8_t with[2048];
    memcpy(with, message.data, message.len);
    memcpy(with + message.len, "\xc8\x3e\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12);
    for (int i = 0; i < 2; i++)
        assert_int_equal(cof_encoder.message(encoder, (struct frame){with, message.len + 12}, &out),
                         ENCODE_HELD);
    assert_true(cof_encoder.next(encoder, &out));
    static const char start[] = "{\"count\":18446744073709551615,";
    assert_memory_equal(out.data, start, sizeof start - 1);
    assert_false(cof_encoder.next(encoder, &out));
    message_free(&message);
    buffer_free(&out);
    encoder_end(encoder);
}

#define DNS(octets) (const uint8_t *)(octets), sizeof(octets) - 1
#define QUESTION "\1a\0\0\1\0\1"
#define A(name, class, address) name "\0\1" class "\0\0\0\x3c\0\4" address
#define IN "\0\1"
#define FLAGS(flags, answers) "\0\1" flags "\0\1" answers "\0\0\0\0" QUESTION

static enum encode_result take(struct encoder *encoder, const struct recipe *recipe)
{
    struct buffer out = {0};
    struct message message = message_new(recipe);
    enum encode_result result = cof_encoder.message(encoder, (struct frame){message.data, message.len}, &out);
    message_free(&message);
    buffer_free(&out);
    return result;
}

/* What a window holds, as text with an end. */
static const char *window_text(struct encoder *encoder, struct buffer *out)
{
    buffer_clear(out);
    while (cof_encoder.next(encoder, out))
        ;
    buffer_put_char(out, '\0');
    return (const char *)out->data;
}

/* Only what a server answers to a query is data. */
static void what_is_taken(void **state)
{
    (void)state;
    static const struct {
        const uint8_t *dns;
        uint32_t len;
        enum encode_result result;
    } cases[] = {
        {DNS(FLAGS("\x81\x80", "\0\1") A("\xc0\x0c", IN, "\1\2\3\4")), ENCODE_HELD},
        {DNS(FLAGS("\x81\x83", "\0\1") A("\xc0\x0c", IN, "\1\2\3\4")), ENCODE_HELD},     /* NXDOMAIN */
        {DNS(FLAGS("\x81\x82", "\0\1") A("\xc0\x0c", IN, "\1\2\3\4")), ENCODE_FILTERED}, /* SERVFAIL */
        {DNS(FLAGS("\x81\x85", "\0\1") A("\xc0\x0c", IN, "\1\2\3\4")), ENCODE_FILTERED}, /* REFUSED */
        {DNS(FLAGS("\xa8\0", "\0\1") A("\xc0\x0c", IN, "\1\2\3\4")), ENCODE_FILTERED},   /* UPDATE */
        {DNS(FLAGS("\xa0\0", "\0\1") A("\xc0\x0c", IN, "\1\2\3\4")), ENCODE_FILTERED},   /* NOTIFY */
        {DNS(FLAGS("\x81\x80", "\0\1") A("\xc0\x0c", "\0\3", "\1\2\3\4")), ENCODE_FILTERED},
        {DNS(FLAGS("\x81\x80", "\0\1") A("\xc0\x0c", "\x80\1", "\1\2\3\4")), ENCODE_FILTERED},
        {DNS(FLAGS("\x01\0", "\0\1") A("\xc0\x0c", IN, "\1\2\3\4")), ENCODE_FILTERED},
        {DNS(FLAGS("\x83\x80", "\0\1") A("\xc0\x0c", IN, "\1\2\3\4")), ENCODE_FILTERED}, /* truncated */
        {DNS(FLAGS("\x81\x80", "\0\1") "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\3\1\2\3"), ENCODE_MALFORMED},
        {DNS("\0\1\x81\0\0\1\0\1\0\0\0\1" QUESTION A("\xc0\x0c", IN, "\1\2\3\4")
             "\0\0\x29\4\xd0\1\0\0\0\0\0"), ENCODE_FILTERED}, /* BADVERS */
    };
    struct encoder *encoder = encoder_new();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct recipe recipe = {.type = 4, .second = WHEN, .dns = cases[i].dns, .dns_len = cases[i].len};
        enum encode_result result = take(encoder, &recipe);
        if (result != cases[i].result)
            fail_msg("case %zu: %d", i, result);
    }
    encoder_end(encoder);
}

/* A time that is wrong would stay in a database for ever. */
static void times_that_cannot_be(void **state)
{
    (void)state;
    static const struct {
        uint64_t second;
        enum encode_result result;
    } cases[] = {{0, ENCODE_FILTERED},          {1, ENCODE_MALFORMED},
                 {410227199, ENCODE_MALFORMED}, {410227200, ENCODE_HELD},
                 {WHEN, ENCODE_HELD},           {UINT64_C(253402300799), ENCODE_MALFORMED},
                 {UINT64_MAX, ENCODE_MALFORMED}};
    struct encoder *encoder = encoder_new();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct recipe recipe = {.type = 4, .second = cases[i].second,
                                      .dns = (const uint8_t *)FLAGS("\x81\x80", "\0\1") A("\xc0\x0c", IN, "\1\2\3\4"),
                                      .dns_len = 12 + 7 + 16};
        if (take(encoder, &recipe) != cases[i].result)
            fail_msg("case %zu", i);
    }
    encoder_end(encoder);
}

/* The same records in another order, twice, and apart from each other, are one RRset. */
static void one_set_in_many_forms(void **state)
{
    (void)state;
    struct encoder *encoder = encoder_new();
    struct buffer out = {0};
    static const struct {
        const uint8_t *dns;
        uint32_t len;
    } forms[] = {
        {DNS(FLAGS("\x81\x80", "\0\2") A("\xc0\x0c", IN, "\1\2\3\4") A("\xc0\x0c", IN, "\1\2\3\5"))},
        {DNS(FLAGS("\x81\x80", "\0\2") A("\xc0\x0c", IN, "\1\2\3\5") A("\1A\0", IN, "\1\2\3\4"))},
        {DNS(FLAGS("\x81\x80", "\0\3") A("\xc0\x0c", IN, "\1\2\3\5") A("\xc0\x0c", IN, "\1\2\3\4")
             A("\xc0\x0c", IN, "\1\2\3\5"))},
        {DNS(FLAGS("\x81\x80", "\0\3") A("\xc0\x0c", IN, "\1\2\3\5") A("\1b\0", IN, "\7\7\7\7")
             A("\xc0\x0c", IN, "\1\2\3\4"))},
    };
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
        assert_int_equal(take(encoder, &(struct recipe){.type = 4, .second = WHEN + i, .dns = forms[i].dns,
                                                        .dns_len = forms[i].len}),
                         ENCODE_HELD);
    const char *text = window_text(encoder, &out);
    assert_non_null(strstr(text, "{\"count\":4,\"time_first\":1700000000,\"time_last\":1700000003,\"rrname\":\"a.\""));
    assert_non_null(strstr(text, "{\"count\":1,\"time_first\":1700000003,\"time_last\":1700000003,\"rrname\":\"b.\""));
    unsigned lines = 0;
    for (const char *at = text; (at = strchr(at, '\n')); at++)
        lines++;
    assert_int_equal(lines, 2);
    buffer_free(&out);
    encoder_end(encoder);
}

/* A large RRset is one object. */
static void many_records(void **state)
{
    (void)state;
    enum { RECORDS = 3000 };
    static uint8_t dns[65536] = "\0\1\x81\x80\0\1\0\0\0\0\0\0" QUESTION;
    uint32_t len = 12 + 7;
    struct encoder *encoder = encoder_new();
    struct buffer out = {0};
    dns[6] = RECORDS >> 8;
    dns[7] = RECORDS & 255;
    for (unsigned i = 0; i < RECORDS; i++) {
        memcpy(dns + len, A("\xc0\x0c", IN, "\1\2\3\4"), 16);
        dns[len + 14] = (uint8_t)(i * 7 >> 8);
        dns[len + 15] = (uint8_t)(i * 7);
        len += 16;
    }
    assert_int_equal(take(encoder, &(struct recipe){.type = 4, .second = WHEN, .dns = dns, .dns_len = len}), ENCODE_HELD);
    const char *text = window_text(encoder, &out);
    assert_ptr_equal(strchr(text, '\n'), strrchr(text, '\n'));
    unsigned addresses = 0;
    for (const char *at = text; (at = strstr(at, "1.2.")); at++)
        addresses++;
    assert_int_equal(addresses, RECORDS);
    buffer_free(&out);
    encoder_end(encoder);
}

/* A message that has failed leaves nothing behind, and what was there stays. */
static void all_or_nothing(void **state)
{
    (void)state;
    struct encoder *encoder = encoder_new();
    struct buffer out = {0};
    static uint8_t dns[65536] = "\0\1\x81\x80\0\0\0\0\0\0\0\0";
    uint32_t len = 12;
    unsigned records = 0;
    /* names that unpack to more than all of the memory, each a set of its own */
    for (; len < 60000; records++) {
        uint32_t owner = len;
        dns[len++] = 63;
        memset(dns + len, 1, 63);
        memcpy(dns + len, &records, sizeof records);
        len += 63;
        if (records == 0) {
            for (int label = 0; label < 2; label++) {
                dns[len++] = 63;
                memset(dns + len, 2, 63);
                len += 63;
            }
            dns[len++] = 0;
        } else {
            memcpy(dns + len, "\xc0\x4c", 2);
            len += 2;
        }
        memcpy(dns + len, "\0\2\0\1\0\0\0\x3c\0\2", 10);
        len += 10;
        dns[len++] = (uint8_t)(0xc0 | (owner < 0x4000 ? owner >> 8 : 0));
        dns[len++] = (uint8_t)(owner < 0x4000 ? owner : 12);
    }
    dns[6] = (uint8_t)(records >> 8);
    dns[7] = (uint8_t)records;
    const struct recipe good = {.type = 4, .second = WHEN,
                                .dns = (const uint8_t *)FLAGS("\x81\x80", "\0\1") A("\xc0\x0c", IN, "\1\2\3\4"),
                                .dns_len = 12 + 7 + 16};
    const struct recipe large = {.type = 4, .second = WHEN, .dns = dns, .dns_len = len};
    assert_int_equal(take(encoder, &large), ENCODE_FAILED);
    assert_int_equal(cof_encoder.due(encoder), -1); /* nothing is held */
    assert_int_equal(take(encoder, &good), ENCODE_HELD);
    assert_int_equal(take(encoder, &large), ENCODE_FULL);
    assert_int_equal(take(encoder, &good), ENCODE_HELD);
    const char *text = window_text(encoder, &out);
    assert_non_null(strstr(text, "{\"count\":2,"));
    assert_ptr_equal(strchr(text, '\n'), strrchr(text, '\n'));
    buffer_free(&out);
    encoder_end(encoder);
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

/* Whichever piece of memory is not to be had: nothing of the message is held. */
static void memory_that_runs_out(void **state)
{
    (void)state;
    const struct recipe recipe = {.type = 4, .second = WHEN, .zone = "example", .identity = "ns1",
                                  .dns = (const uint8_t *)FLAGS("\x81\x80", "\0\2") A("\xc0\x0c", IN, "\1\2\3\4")
                                      A("\1b\0", IN, "\1\2\3\4"),
                                  .dns_len = 12 + 7 + 16 + 17};
    enum encode_result result = ENCODE_FAILED;
    for (int left = 0; result == ENCODE_FAILED; left++) {
        struct encoder *encoder = encoder_new();
        reallocs_left = left;
        result = take(encoder, &recipe);
        reallocs_left = -1;
        assert_true(result == ENCODE_HELD || (result == ENCODE_FAILED && left < 10));
        assert_int_equal(cof_encoder.due(encoder) >= 0, result == ENCODE_HELD);
        assert_true(result == ENCODE_FAILED || left > 1);
        encoder_end(encoder);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_unpack),
        cmocka_unit_test(sums_that_are_too_large),
        cmocka_unit_test(what_is_taken),
        cmocka_unit_test(times_that_cannot_be),
        cmocka_unit_test(one_set_in_many_forms),
        cmocka_unit_test(many_records),
        cmocka_unit_test(all_or_nothing),
        cmocka_unit_test(memory_that_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
