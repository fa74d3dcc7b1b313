#include "scan/dns_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "noise.h"
#include "scan/dns_type.h"

/* A response: example.com. IN A?, one A and one AAAA answer, an NS, an OPT with a client subnet. */
static const uint8_t response[] = {
    0x12, 0x34, 0x81, 0x80, 0, 1, 0, 2, 0, 1, 0, 1, /* 0: header */
    7, 'e', 'x', 'a', 'm', 'p', 'l', 'e', 3, 'c', 'o', 'm', 0, 0, 1, 0, 1, /* 12: question */
    0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 0, 0, 4, 192, 0, 2, 1, /* 29: A */
    0xc0, 12, 0, 28, 0, 1, 0, 0, 1, 0, 0, 16, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 1, /* 45: AAAA */
    0xc0, 20, 0, 2, 0, 1, 0, 0, 1, 0, 0, 5, 2, 'n', 's', 0xc0, 20, /* 73: NS */
    0, 0, 41, 0x10, 0, 0, 0, 0, 0, 0, 11, 0, 8, 0, 7, 0, 1, 24, 0, 192, 0, 2, /* 90: OPT */
};

static struct octets whole(void)
{
    return (struct octets){response, sizeof response};
}

static void expect(struct buffer *out, const char *text)
{
    assert_int_equal(out->len, strlen(text));
    assert_memory_equal(out->data, text, strlen(text));
    buffer_clear(out);
}

static void walks_every_section(void **state)
{
    (void)state;
    static const struct {
        enum dns_section section;
        uint16_t type, rdata_len;
        uint32_t rdata;
    } want[] = {{DNS_ANSWER, 1, 4, 41},
                {DNS_ANSWER, 28, 16, 57},
                {DNS_AUTHORITY, 2, 5, 85},
                {DNS_ADDITIONAL, DNS_TYPE_OPT, 11, 101}};
    struct dns_walk walk;
    struct dns_question question;
    struct dns_record record;
    struct buffer out = {0};

    assert_true(dns_walk_begin(&walk, whole()));
    assert_int_equal(walk.header.id, 0x1234);
    assert_int_equal(walk.header.flags, 0x8180);
    assert_true(dns_walk_question(&walk, &question));
    assert_int_equal(question.type, 1);
    assert_int_equal(question.class, 1);
    assert_true(dns_name_put(question.name, &out));
    expect(&out, "example.com.");
    assert_false(dns_walk_question(&walk, &question));
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        assert_true(dns_walk_record(&walk, &record));
        assert_int_equal(record.section, want[i].section);
        assert_int_equal(record.type, want[i].type);
        assert_int_equal(record.rdata, want[i].rdata);
        assert_int_equal(record.rdata_len, want[i].rdata_len);
        assert_true(dns_rdata_ok(whole(), &record));
    }
    assert_false(dns_walk_record(&walk, &record));
    assert_false(walk.bad);
    assert_true(dns_message_ok(whole()));
    buffer_free(&out);
}

static void records_may_be_missing_but_not_torn(void **state)
{
    (void)state;
    static const uint32_t sound[] = {12, 25, 27, 28, 29, 45, 73, 90, sizeof response};

    for (uint32_t len = 0, next = 0; len <= sizeof response; len++) {
        bool ok = len == sound[next];
        next += ok;
        if (dns_message_ok((struct octets){response, len}) != ok)
            fail_msg("cut at %u", (unsigned)len);
    }
}

static void writes_names_as_zone_files_do(void **state)
{
    (void)state;
    static const struct {
        uint32_t len;
        uint8_t wire[12];
        const char *text; /* NULL: broken */
    } names[] = {
        {1, {0}, "."},
        {3, {1, 'A', 0}, "A."},
        {3, {3, 'a', 'b'}, NULL},
        {8, {6, '.', ' ', '\\', '"', 9, 0xff, 0}, "\\.\\ \\\\\\\"\\009\\255."},
        {3, {1, '~', 0}, "~."},
        {0, {0}, NULL},
        {2, {1, 'a'}, NULL},
        {2, {0xc0, 0}, NULL},
        {1, {0xc0}, NULL},
        {2, {0xc0, 9}, NULL},
        {3, {0x40, 'a', 0}, NULL},
        {3, {0x80, 'a', 0}, NULL},
    };
    struct buffer out = {0};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct dns_name name = {names[i].wire, 0, names[i].len};
        assert_int_equal(dns_name_put(name, &out), names[i].text != NULL);
        expect(&out, names[i].text ? names[i].text : "");
    }
    buffer_free(&out);
}

static void limits_names(void **state)
{
    (void)state;
    uint8_t wire[300] = {0};
    struct buffer out = {0};
    uint32_t at;

    for (uint32_t i = 0; i < 3; i++) {
        wire[64 * i] = 63;
        memset(wire + 64 * i + 1, 0xff, 63);
    }
    wire[192] = 61; /* 254 octets and the root: the longest name there is */
    memset(wire + 193, 0xff, 61);
    at = 0;
    assert_true(dns_name_pass(wire, sizeof wire, &at));
    assert_int_equal(at, DNS_NAME_WIRE_MAX);
    assert_true(dns_name_put((struct dns_name){wire, 0, sizeof wire}, &out));
    assert_true(out.len <= DNS_NAME_TEXT_MAX);
    wire[192] = 62;
    at = 0;
    assert_false(dns_name_pass(wire, sizeof wire, &at));
    assert_int_equal(at, 0);

    for (uint32_t i = 0; i < 127; i++) {
        wire[2 * i] = 0xc0;
        wire[2 * i + 1] = (uint8_t)(2 * i + 2);
    }
    wire[254] = 0;
    at = 2; /* 126 pointers */
    assert_true(dns_name_pass(wire, sizeof wire, &at));
    assert_int_equal(at, 4);
    at = 0; /* 127 */
    assert_false(dns_name_pass(wire, sizeof wire, &at));
    buffer_free(&out);
}

static void names_types_and_classes(void **state)
{
    (void)state;
    static const struct {
        uint16_t number;
        const char *type, *class;
    } want[] = {{0, "None", "CLASS0"},     {1, "A", "IN"},
                {11, "TYPE11", "CLASS11"}, {23, "NSAP-PTR", "CLASS23"},
                {65, "HTTPS", "CLASS65"},  {254, "MAILA", "NONE"},
                {255, "ANY", "CLASS255"},  {32769, "DLV", "CLASS32769"},
                {65534, "TYPE65534", "CLASS65534"}, {65535, "Reserved", "CLASS65535"}};
    struct buffer out = {0};

    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        dns_type_put(want[i].number, &out);
        expect(&out, want[i].type);
        dns_class_put(want[i].number, &out);
        expect(&out, want[i].class);
    }
    buffer_free(&out);
}

struct rdata_example {
    const char *what;
    bool ok;
    uint16_t type;
    uint16_t len;
    uint8_t data[24];
};

static const struct rdata_example rdata_examples[] = {
    {"A", true, 1, 4, {1, 2, 3, 4}},
    {"A, short", false, 1, 3, {1, 2, 3}},
    {"A, long", false, 1, 5, {1, 2, 3, 4, 5}},
    {"A, empty", true, 1, 0, {0}},
    {"ANY", false, 255, 1, {0}},
    {"unknown", true, 4711, 3, {1, 2, 3}},
    {"MX without a name", true, 15, 2, {0, 10}},
    {"MX, torn", false, 15, 1, {0}},
    {"TXT", true, 16, 5, {1, 'a', 2, 'b', 'c'}},
    {"TXT, torn", false, 16, 4, {1, 'a', 2, 'b'}},
    {"NSEC", true, 47, 5, {0, 0, 2, 0x40, 1}},
    {"NSEC, empty window", false, 47, 3, {0, 0, 0}},
    {"NSEC, windows that fall", false, 47, 7, {0, 1, 1, 1, 0, 1, 1}},
    {"NSEC3", true, 50, 11, {1, 0, 0, 1, 1, 0xaa, 1, 0xbb, 0, 1, 1}},
    {"NSEC3 up to its salt's length", true, 50, 5, {1, 0, 0, 1, 1}},
    {"NSEC3 without a hash", false, 50, 6, {1, 0, 0, 1, 1, 0xaa}},
    {"NSEC3PARAM", true, 51, 6, {1, 0, 0, 1, 1, 0xaa}},
    {"HIP", true, 55, 8, {1, 2, 0, 2, 0xaa, 1, 2, 0}},
    {"HIP, key torn", false, 55, 6, {1, 2, 0, 2, 0xaa, 1}},
    {"OPT, subnet", true, 41, 8, {0, 8, 0, 4, 0, 1, 32, 0}},
    {"OPT, prefix too long", false, 41, 8, {0, 8, 0, 4, 0, 1, 33, 0}},
    {"OPT, no such family", false, 41, 8, {0, 8, 0, 4, 0, 3, 0, 0}},
    {"OPT, keepalive of 1 octet", false, 41, 5, {0, 11, 0, 1, 0}},
    {"OPT, torn", false, 41, 3, {0, 3, 0}},
    {"SVCB, port", true, 64, 9, {0, 1, 0, 0, 3, 0, 2, 1, 187}},
    {"SVCB, port of 1 octet", false, 64, 8, {0, 1, 0, 0, 3, 0, 1, 1}},
    {"SVCB, keys that repeat", false, 64, 11, {0, 1, 0, 0, 9, 0, 0, 0, 9, 0, 0}},
    {"SVCB, key 65535", false, 64, 7, {0, 1, 0, 0xff, 0xff, 0, 0}},
    {"HTTPS, mapped IPv6 hint", false, 65, 23,
     {0, 1, 0, 0, 6, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 1, 2, 3, 4}},
    {"APL", true, 42, 7, {0, 1, 24, 3, 192, 0, 2}},
    {"APL, zero at the end", false, 42, 7, {0, 1, 24, 3, 192, 0, 0}},
    {"TSIG", true, 250, 18, {0, 0, 0, 0, 0, 0, 1, 1, 44, 0, 1, 0xaa, 0, 1, 0, 0, 0, 0}},
    {"TSIG, code torn", false, 250, 17, {0, 0, 0, 0, 0, 0, 1, 1, 44, 0, 1, 0xaa, 0, 1, 0, 0, 0}},
    {"TSIG without the id behind its MAC", false, 250, 12,
     {0, 0, 0, 0, 0, 0, 1, 1, 44, 0, 1, 0xaa}},
};

static void checks_rdata_by_shape(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rdata_examples / sizeof rdata_examples[0]; i++) {
        const struct rdata_example *e = &rdata_examples[i];
        struct dns_record record = {.type = e->type, .rdata_len = e->len};
        if (dns_rdata_ok((struct octets){e->data, e->len}, &record) != e->ok)
            fail_msg("%s", e->what);
    }
}

/* Damaged copies end where their memory ends, so that a sanitizer sees any step beyond. */
static void survives_damage(void **state)
{
    (void)state;
    uint64_t noise = 1;
    uint8_t *block = malloc(sizeof response);
    struct buffer out = {0};
    unsigned sound = 0;
    assert_non_null(block);

    for (int i = 0; i < 200000; i++) {
        uint8_t scratch[sizeof response];
        memcpy(scratch, response, sizeof response);
        if (i % 2)
            scratch[noise_below(&noise, 2) ? 76 : 48] = (uint8_t)noise_below(&noise, 110);
        uint32_t len = noise_damage(&noise, scratch, sizeof scratch);
        uint8_t *at = block + sizeof response - len;
        memcpy(at, scratch, len);
        sound += dns_message_ok((struct octets){at, len});
        buffer_clear(&out);
        dns_name_put((struct dns_name){at, noise_below(&noise, len + 1), len}, &out);
    }
    assert_true(sound > 20000 && sound < 180000);
    buffer_free(&out);
    free(block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(walks_every_section),
        cmocka_unit_test(records_may_be_missing_but_not_torn),
        cmocka_unit_test(writes_names_as_zone_files_do),
        cmocka_unit_test(limits_names),
        cmocka_unit_test(names_types_and_classes),
        cmocka_unit_test(checks_rdata_by_shape),
        cmocka_unit_test(survives_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
