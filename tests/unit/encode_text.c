#include "encode/encoder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

#include "encode/put.h"
#include "noise.h"

/* A client query for example.com. IN A over UDP from 127.0.0.1 at 2023-11-14 22:13:20.123456789 UTC. */
static const uint8_t query[] = {
    0x78, 1, 0x72, 0x39,                     /* 0: a message follows */
    8, 5, 0x18, 1, 0x22, 4, 127, 0, 0, 1,    /* 4: type, protocol, address */
    0x40, 0x80, 0xe2, 0xcf, 0xaa, 6,         /* 14: seconds */
    0x4d, 0x15, 0xcd, 0x5b, 7,               /* 20: nanoseconds */
    0x52, 0x1d, 0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, /* 25: DNS */
    7, 'e', 'x', 'a', 'm', 'p', 'l', 'e', 3, 'c', 'o', 'm', 0, 0, 1, 0, 1,
    0x80, 1, 2, 0x60, 0, /* 56: HTTP protocol, response time */
};

struct fixture {
    struct encoder *encoder;
    struct buffer out;
};

static int begin(void **state)
{
    static struct fixture f;

    setenv("TZ", "UTC", 1);
    tzset();
    f.encoder = text_encoder.new(NULL, NULL);
    *state = &f;
    return f.encoder ? 0 : -1;
}

static int end(void **state)
{
    struct fixture *f = *state;

    text_encoder.free(f->encoder);
    buffer_free(&f->out);
    return 0;
}

static enum encode_result encode(struct fixture *f, const uint8_t *data, size_t len)
{
    return text_encoder.message(f->encoder, (struct frame){data, (uint32_t)len}, &f->out);
}

static void expect(struct buffer *out, const char *text)
{
    buffer_put_char(out, '\0');
    assert_string_equal((const char *)out->data, text);
    buffer_clear(out);
}

static void writes_a_line(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(encode(f, query, sizeof query), ENCODE_OK);
    expect(&f->out, "22:13:20.123456 CQ 127.0.0.1 UDP 29b \"example.com.\" IN A\n");
}

static void writes_a_line_with_one_octet_changed(void **state)
{
    static const struct {
        size_t at;
        uint8_t octet;
        const char *line;
    } changes[] = {
        {7, 7, "22:13:20.123456 CQ 127.0.0.1 7 29b \"example.com.\" IN A\n"},
        {5, 3, "22:13:20.123456 RQ MISSING_ADDRESS UDP 29b \"example.com.\" IN A\n"},
        {5, 9, "[unhandled Message.Type]\n"},
        {5, 77, "[unhandled Message.Type]\n"},
        {5, 6, "00:00:00.?????? CR 127.0.0.1 UDP 0b X \n"},
        {8, 0x5a, "22:13:20.123456 CQ MISSING_ADDRESS UDP 29b \"example.com.\" IN A\n"},
        {14, 0x38, "?" "?:?" "?:?" "?.123456 CQ 127.0.0.1 UDP 29b \"example.com.\" IN A\n"},
        {20, 0x6d, "22:13:20.?????? CQ 127.0.0.1 UDP 29b \"example.com.\" IN A\n"},
        {24, 0xff, "22:13:20.4284206 CQ 127.0.0.1 UDP 29b \"example.com.\" IN A\n"},
        {32, 0, "22:13:20.123456 CQ 127.0.0.1 UDP 29b X \n"},
        {33, 1, "22:13:20.123456 CQ 127.0.0.1 UDP 29b \"example.com.\" IN A\n"},
        {39, 64, "22:13:20.123456 CQ 127.0.0.1 UDP 29b X \n"},
        {40, ' ', "22:13:20.123456 CQ 127.0.0.1 UDP 29b \"\\ xample.com.\" IN A\n"},
        {53, 65, "22:13:20.123456 CQ 127.0.0.1 UDP 29b \"example.com.\" IN HTTPS\n"},
        {55, 255, "22:13:20.123456 CQ 127.0.0.1 UDP 29b \"example.com.\" CLASS255 A\n"},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        uint8_t changed[sizeof query];
        memcpy(changed, query, sizeof query);
        changed[changes[i].at] = changes[i].octet;
        assert_int_equal(encode(f, changed, sizeof changed), ENCODE_OK);
        expect(&f->out, changes[i].line);
    }
}

static void refuses_what_is_no_message(void **state)
{
    static const uint8_t no_message[] = {0x78, 1};
    static const uint8_t other_type[] = {0x78, 2, 0x72, 2, 8, 5};
    struct fixture *f = *state;

    buffer_put_string(&f->out, "before");
    assert_int_equal(encode(f, no_message, sizeof no_message), ENCODE_MALFORMED);
    assert_int_equal(encode(f, other_type, sizeof other_type), ENCODE_MALFORMED);
    for (size_t len = 3; len < sizeof query; len++)
        assert_int_equal(encode(f, query, len), ENCODE_MALFORMED);
    expect(&f->out, "before");
}

static void writes_addresses_as_go_does(void **state)
{
    static const struct {
        uint32_t len;
        uint8_t octets[17];
        const char *text;
    } addresses[] = {
        {0, {0}, "<nil>"},
        {4, {255, 10, 100, 9}, "255.10.100.9"},
        {3, {1, 2, 0xab}, "?0102ab"},
        {17, {0}, "?0000000000000000000000000000000000"},
        {16, {0}, "::"},
        {16, {[15] = 1}, "::1"},
        {16, {[12] = 192, [14] = 2, [15] = 1}, "::c000:201"},
        {16, {[10] = 0xff, [11] = 0xff, 192, 0, 2, 1}, "192.0.2.1"},
        {16, {0x20, 1, 0xd, 0xb8, [14] = 0xab, [15] = 0xcd}, "2001:db8::abcd"},
        {16, {0x20, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0}, "2001:0:1::1:0:0"},
        {16, {0x20, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0}, "2001::1:0:0:1:0"},
        {16, {0x20, 1, 0, 0, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1}, "2001:0:1:1:1:1:1:1"},
        {16, {0x20, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1}, "2001:1:1:1:1:1::"},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
        put_address((struct octets){addresses[i].octets, addresses[i].len}, &f->out);
        expect(&f->out, addresses[i].text);
    }
}

/* Damaged copies end where their memory ends, so that a sanitizer sees any step beyond. */
static void survives_damage(void **state)
{
    struct fixture *f = *state;
    uint64_t noise = 1;
    uint8_t *block = malloc(sizeof query);
    assert_non_null(block);

    for (int i = 0; i < 100000; i++) {
        uint8_t scratch[sizeof query];
        memcpy(scratch, query, sizeof query);
        uint32_t len = noise_damage(&noise, scratch, sizeof scratch);
        uint8_t *at = block + sizeof query - len;
        memcpy(at, scratch, len);
        size_t before = f->out.len;
        enum encode_result result = encode(f, at, len);
        assert_true(result == ENCODE_OK ? f->out.data[f->out.len - 1] == '\n'
                                        : f->out.len == before);
        if (f->out.len > 1 << 16)
            buffer_clear(&f->out);
    }
    buffer_clear(&f->out);
    free(block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(writes_a_line, begin, end),
        cmocka_unit_test_setup_teardown(writes_a_line_with_one_octet_changed, begin, end),
        cmocka_unit_test_setup_teardown(refuses_what_is_no_message, begin, end),
        cmocka_unit_test_setup_teardown(writes_addresses_as_go_does, begin, end),
        cmocka_unit_test_setup_teardown(survives_damage, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
