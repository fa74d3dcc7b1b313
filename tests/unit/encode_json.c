#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"
#include "encode/encoder.h"

/* A Dnstap with one field in the message beside its type, whatever the octets. */
struct made {
    uint8_t data[1024];
    size_t len;
};

static void put(struct made *m, const void *data, size_t len)
{
    assert_true(m->len + len <= sizeof m->data);
    memcpy(m->data + m->len, data, len);
    m->len += len;
}

static void put_octets(struct made *m, unsigned field, const void *data, size_t len)
{
    uint8_t head[3] = {(uint8_t)(field << 3 | 2), (uint8_t)(0x80 | (len & 0x7f)),
                       (uint8_t)(len >> 7)};
    assert_true(field < 16);
    put(m, head, sizeof head);
    put(m, data, len);
}

static struct made wrap(const struct made *message)
{
    struct made m = {.len = 0};
    put_octets(&m, 14, message->data, message->len);
    put(&m, "\x78\x01", 2);
    return m;
}

static void encode_with(const char *text, const struct made *m, enum encode_result want,
                        struct buffer *out)
{
    const struct option_spec *const tables[OPTION_TABLES] = {json_encoder.options};
    struct options options;
    struct error error;
    assert_true(options_parse(&options, tables, text, &error));
    struct encoder *encoder = json_encoder.new(&options, &error);
    assert_non_null(encoder);
    buffer_clear(out);
    assert_int_equal(json_encoder.message(encoder, (struct frame){m->data, (uint32_t)m->len}, out),
                     want);
    buffer_put_char(out, '\0');
    json_encoder.free(encoder);
    options_free(&options);
}

static void expect(const char *options, const struct made *m, const char *line)
{
    struct buffer out = {0};
    encode_with(options, m, ENCODE_OK, &out);
    assert_string_equal((const char *)out.data, line);
    buffer_free(&out);
}

static void expect_dns(const void *dns, size_t len, const char *fields)
{
    struct made message = {.len = 0};
    char line[4096];
    put(&message, "\x08\x05", 2);
    put_octets(&message, 10, dns, len);
    struct made m = wrap(&message);
    snprintf(line, sizeof line, "{\"type\":\"CLIENT_QUERY\",%s,\"size\":%zu}\n", fields, len);
    expect("", &m, line);
}

#define EXPECT_DNS(dns, fields) expect_dns(dns, sizeof(dns) - 1, fields)
#define HEAD(counts)            "\x12\x34\x01\x00" counts
#define QUESTION                HEAD("\0\1\0\0\0\0\0\0")
#define START                   "\"id\":4660,\"opcode\":\"QUERY\",\"flags\":[\"rd\"]"

static void absent_fields_are_absent(void **state)
{
    (void)state;
    struct made message = {.len = 0};
    put(&message, "\x08\x05", 2);
    struct made m = wrap(&message);
    expect("", &m, "{\"type\":\"CLIENT_QUERY\"}\n");
    expect("raw", &m, "{\"type\":\"CLIENT_QUERY\"}\n");
}

static void every_message_type_has_its_name(void **state)
{
    (void)state;
    static const char *const names[] = {
        "0",
        "AUTH_QUERY",
        "AUTH_RESPONSE",
        "RESOLVER_QUERY",
        "RESOLVER_RESPONSE",
        "CLIENT_QUERY",
        "CLIENT_RESPONSE",
        "FORWARDER_QUERY",
        "FORWARDER_RESPONSE",
        "STUB_QUERY",
        "STUB_RESPONSE",
        "TOOL_QUERY",
        "TOOL_RESPONSE",
        "UPDATE_QUERY",
        "UPDATE_RESPONSE",
        "15",
    };
    for (uint8_t type = 0; type < 16; type++) {
        struct made message = {.len = 2, .data = {8, type}};
        char line[64];
        snprintf(line, sizeof line, "{\"type\":\"%s\"}\n", names[type]);
        struct made m = wrap(&message);
        expect("", &m, line);
    }
}

static void all_fields_of_the_dnstap(void **state)
{
    (void)state;
    static const uint8_t fields[] = {
        8,    6,    0x10, 2,    0x18, 7,    0x30, 0xb5, 0x01, 0x38,
        53,   0x40, 1,    0x4d, 0,    0xca, 0x9a, 0x3b, /* 1 s, 10^9 ns */
        0x60, 2,    0x6d, 0xe8, 3,    0,    0,    0x80, 1,    2,
    };
    struct made message = {.len = 0}, policy = {.len = 0};
    put(&message, fields, sizeof fields);
    put_octets(&message, 4, "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\1", 16);
    put_octets(&message, 5, "abc", 3);
    put_octets(&message, 11, "\3a\\b\0", 5);
    put_octets(&policy, 1, "RPZ", 3);
    put_octets(&policy, 2, "\1*\0", 3);
    put(&policy, "\x18\x01\x20\x05", 4);
    put_octets(&policy, 5, "\xff\0", 2);
    put_octets(&message, 15, policy.data, policy.len);
    struct made m = wrap(&message);
    put_octets(&m, 1, "a\"\\\n\xff\0", 6);
    put_octets(&m, 2, "\xc3\xa9", 2);
    put_octets(&m, 3, "x", 1);
    expect("", &m,
           "{\"time\":\"1970-01-01T00:00:02.000001000Z\",\"type\":\"CLIENT_RESPONSE\","
           "\"identity\":\"a\\\"\\\\\\n\xef\xbf\xbd\\u0000\",\"version\":\"\xc3\xa9\",\"extra\":"
           "\"eA==\","
           "\"family\":\"INET6\",\"protocol\":\"DOQ\",\"http_protocol\":\"HTTP2\","
           "\"query_address\":\"192.0.2.1\",\"query_port\":181,\"response_address\":\"?"
           "616263\","
           "\"response_port\":53,\"query_time\":\"1970-01-01T00:00:02.000000000Z\","
           "\"response_time\":\"1970-01-01T00:00:02.000001000Z\",\"latency_us\":1,"
           "\"query_zone\":\"a\\\\\\\\b.\",\"policy\":{\"type\":\"RPZ\",\"rule\":\"*.\","
           "\"action\":\"NXDOMAIN\",\"match\":\"NS_IP\",\"value\":\"/wA=\"}}\n");
}

static void names_of_any_octets(void **state)
{
    (void)state;
    EXPECT_DNS(
        QUESTION "\5\"\\.\0\xff\0\0\1\0\1", START
        ",\"qname\":\"\\\\\\\"\\\\\\\\\\\\.\\\\000\\\\255.\",\"qclass\":\"IN\",\"qtype\":\"A\","
        "\"rcode\":\"NOERROR\"");
    EXPECT_DNS(QUESTION "\0\xff\0\xff\x12",
               START ",\"qname\":\".\",\"qclass\":\"CLASS65298\",\"qtype\":\"TYPE65280\","
                     "\"rcode\":\"NOERROR\"");
}

static void records_of_unknown_types_and_classes(void **state)
{
    (void)state;
    EXPECT_DNS(HEAD("\0\0\0\2\0\0\0\0") "\0\xff\0\0\1\0\0\0\5\0\2\xab\0"
                                        "\0\0\1\x12\x34\0\0\0\0\0\4\1\2\3\4",
               START
               ",\"answers\":[{\"name\":\".\",\"class\":\"IN\",\"type\":\"TYPE65280\",\"ttl\":5,"
               "\"data\":\"\\\\# 2 ab00\"},{\"name\":\".\",\"class\":\"CLASS4660\",\"type\":\"A\","
               "\"ttl\":0,\"data\":\"\\\\# 4 01020304\"}],\"rcode\":\"NOERROR\"");
}

static void edns_options(void **state)
{
    (void)state;
    EXPECT_DNS(
        HEAD("\0\0\0\0\0\0\0\1") "\0\0\x29\x04\xd0\1\0\x80\0\0\x24"
                                 "\0\3\0\2\"\xff"
                                 "\0\x08\0\7\0\1\x18\0\xc0\0\2"
                                 "\0\x0f\0\3\0\3x"
                                 "\xfd\xe9\0\0"
                                 "\0\x0c\0\4\0\0\0\0",
        START
        ",\"rcode\":\"BADVERS\",\"edns\":{\"version\":0,\"udp\":1232,\"do\":true,\"options\":["
        "{\"code\":3,\"name\":\"NSID\",\"data\":\"22ff\",\"text\":\"\\\"\xef\xbf\xbd\"},"
        "{\"code\":8,\"name\":\"ECS\",\"address\":\"192.0.2.0\",\"source\":24,\"scope\":0},"
        "{\"code\":15,\"name\":\"EDE\",\"info_code\":3,\"meaning\":\"Stale "
        "Answer\",\"text\":\"x\"},"
        "{\"code\":65001,\"data\":\"\"},{\"code\":12,\"name\":\"PADDING\",\"length\":4}]}");
}

static void broken_messages_say_why(void **state)
{
    (void)state;
    EXPECT_DNS("", "\"parse_error\":\"overflow unpacking uint16\"");
#define REST ",\"rcode\":\"NOERROR\",\"parse_error\":"
    EXPECT_DNS(QUESTION "\xc0\x0c\0\1\0\1", START REST "\"too many compression pointers\"");
    EXPECT_DNS(QUESTION "\5abc", START REST "\"buffer size too small\"");
    EXPECT_DNS(QUESTION "\x41", START REST "\"bad rdata\"");
    EXPECT_DNS(HEAD("\0\0\0\1\0\0\0\0") "\0\0\1\0\1\0\0\0\0\0\4\1\2",
               START REST "\"overflowing header size\"");
}

/* One broken part hides nothing else. */
static void broken_messages_show_what_can_be_read(void **state)
{
    (void)state;
    EXPECT_DNS(HEAD("\0\1\0\2\0\0\0\1") "\1a\0\0\1\0\1"
                                        "\xc0\x0c\0\1\0\1\0\0\0\5\0\3\1\2\3"
                                        "\xc0\x0c\0\1\0\1\0\0\0\6\0\4\xc0\0\2\1"
                                        "\0\0\x29\4\xd0\1\0\x80\0\0\5\0\3\0\x09x",
               START ",\"qname\":\"a.\",\"qclass\":\"IN\",\"qtype\":\"A\",\"answers\":["
                     "{\"name\":\"a.\",\"class\":\"IN\",\"type\":\"A\",\"ttl\":5,\"data\":\"\\\\# 3 010203\"},"
                     "{\"name\":\"a.\",\"class\":\"IN\",\"type\":\"A\",\"ttl\":6,\"data\":\"192.0.2.1\"}],"
                     "\"rcode\":\"BADVERS\",\"edns\":{\"version\":0,\"udp\":1232,\"do\":true},"
                     "\"parse_error\":\"overflow unpacking a\"");
    EXPECT_DNS(HEAD("\0\1\0\1\0\0\0\0") "\1a\0\0\1\0\1\xc0",
               START ",\"qname\":\"a.\",\"qclass\":\"IN\",\"qtype\":\"A\"" REST "\"buffer size too small\"");
}

static void truncated_is_whole_with_tc(void **state)
{
    (void)state;
    EXPECT_DNS("\0\0\x82\x85\0\1\0\0\0\0\0\0\1a\0\0\1\0\1",
               "\"id\":0,\"opcode\":\"QUERY\",\"flags\":[\"qr\",\"tc\",\"ra\"],\"qname\":\"a.\","
               "\"qclass\":\"IN\",\"qtype\":\"A\",\"rcode\":\"REFUSED\"");
}

static void what_is_no_message_is_malformed(void **state)
{
    (void)state;
    struct buffer out = {0};
    struct made no_type = {.len = 2, .data = {0x72, 0}};
    struct made no_message = {.len = 2, .data = {0x78, 1}};
    struct made no_event = {.len = 3, .data = {0x78, 0xe8, 7}};
    encode_with("", &no_type, ENCODE_MALFORMED, &out);
    encode_with("", &no_message, ENCODE_MALFORMED, &out);
    encode_with("", &no_event, ENCODE_MALFORMED, &out);
    encode_with("shape=golang", &no_event, ENCODE_FILTERED, &out);
    assert_int_equal(out.len, 1);
    buffer_free(&out);
}

/* Whatever the format: one count in the ledger for one message. */
static void what_is_no_message_is_malformed_in_every_format(void **state)
{
    (void)state;
    static const struct {
        uint32_t len;
        uint8_t data[6];
    } cases[] = {
        {2, {0x78, 1}},                   /* a MESSAGE without one */
        {6, {0x72, 2, 8, 6, 0x78, 0}},    /* type 0 */
        {6, {0x72, 2, 8, 6, 0x78, 2}},    /* type 2 */
        {3, {0x78, 1, 0x72}},             /* torn */
        {4, {0x72, 2, 8, 6}},             /* no type */
        {4, {0x72, 0, 0x78, 1}},          /* a Message without its type */
    };
    for (const struct encoder_ops *const *ops = encoders; *ops; ops++) {
        const struct option_spec *const tables[OPTION_TABLES] = {(*ops)->options};
        struct options options;
        struct error error;
        struct buffer out = {0};
        assert_true(options_parse(&options, tables, NULL, &error));
        struct encoder *encoder = (*ops)->new (&options, &error);
        assert_non_null(encoder);
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            const struct frame frame = {cases[i].data, cases[i].len};
            if ((*ops)->message(encoder, frame, &out) != ENCODE_MALFORMED)
                fail_msg("%s: case %zu", (*ops)->name, i);
        }
        assert_int_equal(out.len, 0);
        (*ops)->free(encoder);
        options_free(&options);
        buffer_free(&out);
    }
}

static void the_last_second_that_has_a_text(void **state)
{
    (void)state;
    struct made message = {.len = 0};
    static const uint8_t last[] = {8, 5, 0x40, 0xff, 0x82, 0xd1, 0xff, 0xaf, 0x07}; /* 253402300799 */
    put(&message, last, sizeof last);
    struct made m = wrap(&message);
    expect("", &m,
           "{\"time\":\"9999-12-31T23:59:59.000000000Z\",\"type\":\"CLIENT_QUERY\","
           "\"query_time\":\"9999-12-31T23:59:59.000000000Z\"}\n");
    message.len -= 6;
    put(&message, "\x80\x83\xd1\xff\xaf\x07", 6);
    m = wrap(&message);
    expect("", &m, "{\"type\":\"CLIENT_QUERY\"}\n");
}

static void golang_shape_refuses_what_it_has_not(void **state)
{
    (void)state;
    const struct option_spec *const tables[OPTION_TABLES] = {json_encoder.options};
    struct options options;
    struct error error;
    assert_true(options_parse(&options, tables, "shape=golang,raw", &error));
    assert_null(json_encoder.new(&options, &error));
    assert_non_null(strstr(error.text, "raw"));
    options_free(&options);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(absent_fields_are_absent),
        cmocka_unit_test(every_message_type_has_its_name),
        cmocka_unit_test(all_fields_of_the_dnstap),
        cmocka_unit_test(names_of_any_octets),
        cmocka_unit_test(records_of_unknown_types_and_classes),
        cmocka_unit_test(edns_options),
        cmocka_unit_test(broken_messages_say_why),
        cmocka_unit_test(broken_messages_show_what_can_be_read),
        cmocka_unit_test(truncated_is_whole_with_tc),
        cmocka_unit_test(what_is_no_message_is_malformed),
        cmocka_unit_test(what_is_no_message_is_malformed_in_every_format),
        cmocka_unit_test(the_last_second_that_has_a_text),
        cmocka_unit_test(golang_shape_refuses_what_it_has_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
