/* format=cof against messages that are made to take its memory, or its sums, beyond what they are. */
#include <arpa/inet.h>

#include "encode/encoder.h"
#include "harness.h"
#include "messages.h"

static struct options options;

static struct encoder *encoder_new(void)
{
    const struct option_spec *const tables[OPTION_TABLES] = {cof_encoder.options};
    struct error error = {{0}};
    options = (struct options){0};
    assert_true(options_lay_out(&options, tables, &error));
    assert_true(options_give(&options, "memory", "1MiB", &error));
    struct encoder *encoder = cof_encoder.new (&options, &error);
    assert_non_null(encoder);
    return encoder;
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
    return message_new(&(struct recipe){.type = 4, .dns = dns, .dns_len = len});
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_unpack),
        cmocka_unit_test(sums_that_are_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
