/* The scan against protobuf-c's decoder: on the corpora, on damaged messages, and where the two are
 * known to differ. */
#include "scan/dnstap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "dnstap.pb-c.h"
#include "noise.h"
#include "capture.h"

static const char *const corpora[] = {"bind", "dnsdist", "knot", "nsd", "recursor", "unbound"};

enum { CORPORA = sizeof corpora / sizeof corpora[0], DAMAGED = 100000 };

/* What a message may hold that protobuf-c and a strict decoder see differently. */
enum oddity {
    ODD_WIRE = 1,    /* a known field with another wire type: unknown; protobuf-c refuses */
    ODD_GROUP = 2,   /* a group: stepped over; protobuf-c refuses */
    ODD_LONG = 4,    /* a tag or length in more than 5 octets: taken; protobuf-c refuses */
    ODD_PIECES = 8,  /* an embedded message in pieces: merged; protobuf-c wants each piece complete */
    ODD_BEYOND = 16, /* a varint beyond 64 bits: refused; protobuf-c drops the bits */
    ODD_NUMBER = 32, /* field number 0 or beyond 2^29 - 1: refused; protobuf-c takes it */
    TAKEN_HERE_ALONE = ODD_WIRE | ODD_GROUP | ODD_LONG | ODD_PIECES,
    REFUSED_HERE_ALONE = ODD_BEYOND | ODD_NUMBER,
};

struct odd_reader {
    struct reader r;
    unsigned seen;
};

static uint64_t odd_varint(struct odd_reader *o, bool prefix)
{
    uint64_t value = 0;
    int n = 0;
    uint8_t octet;

    do {
        octet = reader_u8(&o->r);
        if (n < 10)
            value |= (uint64_t)(octet & 0x7f) << (7 * n);
        if (++n == 10 && octet > 1)
            o->seen |= ODD_BEYOND;
    } while (octet >= 0x80 && n < 10);
    if (prefix && n > 5)
        o->seen |= ODD_LONG;
    return value;
}

/* The oddities of a message of the schema, found by a reading of its own that stops where it cannot
 * go on. `depth` 0 is a Dnstap, 1 a Message, 2 a Policy. */
static unsigned oddities(const uint8_t *data, size_t len, int depth)
{
    static const char wires[3][18] = {"-222----------20--", "-00022000522052200", "-22002------------"};
    struct odd_reader o = {reader_over(data, len), 0};
    unsigned embedded = 0;

    while (reader_left(&o.r) > 0 && !o.r.bad) {
        uint64_t tag = odd_varint(&o, true);
        uint64_t number = tag >> 3;
        char wire = (char)('0' + (tag & 7));
        char known = number < 17 ? wires[depth][number] : '-';
        if (number == 0 || number > (1u << 29) - 1)
            o.seen |= ODD_NUMBER;
        if (known != '-' && known != wire)
            o.seen |= ODD_WIRE;
        if (wire == '0') {
            odd_varint(&o, false);
        } else if (wire == '1' || wire == '5') {
            reader_take(&o.r, wire == '1' ? 8 : 4);
        } else if (wire == '2') {
            size_t part = odd_varint(&o, true);
            const uint8_t *at = reader_take(&o.r, part);
            if (at && number == (depth == 0 ? 14 : 15) && depth < 2) {
                o.seen |= oddities(at, part, depth + 1) | (embedded++ ? ODD_PIECES : 0);
            }
        } else {
            return o.seen | ODD_GROUP;
        }
    }
    return o.seen;
}

static void same_octets(const struct dnstap_view *view, enum dnstap_field field,
                        struct octets have, protobuf_c_boolean has, ProtobufCBinaryData want)
{
    assert_int_equal(dnstap_has(view, field), has);
    assert_int_equal(have.len, has ? want.len : 0);
    if (has && want.len > 0)
        assert_memory_equal(have.data, want.data, want.len);
}

static void same_number(const struct dnstap_view *view, enum dnstap_field field, uint64_t have,
                        protobuf_c_boolean has, uint64_t want)
{
    assert_int_equal(dnstap_has(view, field), has);
    assert_true(have == (has ? want : 0));
}

static void same_policy(const struct dnstap_view *v, const Dnstap__Policy *p)
{
    assert_int_equal(dnstap_has(v, DNSTAP_HAS_POLICY), p != NULL);
    if (!p)
        return;
    assert_int_equal(dnstap_has(v, DNSTAP_HAS_POLICY_TYPE), p->type != NULL);
    if (p->type)
        assert_memory_equal(v->policy_type.data, p->type, strlen(p->type));
    same_octets(v, DNSTAP_HAS_POLICY_RULE, v->policy_rule, p->has_rule, p->rule);
    same_octets(v, DNSTAP_HAS_POLICY_VALUE, v->policy_value, p->has_value, p->value);
    same_number(v, DNSTAP_HAS_POLICY_ACTION, (uint32_t)v->policy_action, p->has_action,
                (uint32_t)p->action);
    same_number(v, DNSTAP_HAS_POLICY_MATCH, (uint32_t)v->policy_match, p->has_match,
                (uint32_t)p->match);
}

static void same_numbers(const struct dnstap_view *v, const Dnstap__Message *m)
{
    same_number(v, DNSTAP_HAS_MESSAGE_TYPE, (uint32_t)v->message_type, 1, (uint32_t)m->type);
    same_number(v, DNSTAP_HAS_SOCKET_FAMILY, (uint32_t)v->socket_family, m->has_socket_family,
                (uint32_t)m->socket_family);
    same_number(v, DNSTAP_HAS_SOCKET_PROTOCOL, (uint32_t)v->socket_protocol,
                m->has_socket_protocol, (uint32_t)m->socket_protocol);
    same_number(v, DNSTAP_HAS_HTTP_PROTOCOL, (uint32_t)v->http_protocol, m->has_http_protocol,
                (uint32_t)m->http_protocol);
    same_number(v, DNSTAP_HAS_QUERY_PORT, v->query_port, m->has_query_port, m->query_port);
    same_number(v, DNSTAP_HAS_RESPONSE_PORT, v->response_port, m->has_response_port,
                m->response_port);
    same_number(v, DNSTAP_HAS_QUERY_TIME_SEC, v->query_time_sec, m->has_query_time_sec,
                m->query_time_sec);
    same_number(v, DNSTAP_HAS_QUERY_TIME_NSEC, v->query_time_nsec, m->has_query_time_nsec,
                m->query_time_nsec);
    same_number(v, DNSTAP_HAS_RESPONSE_TIME_SEC, v->response_time_sec, m->has_response_time_sec,
                m->response_time_sec);
    same_number(v, DNSTAP_HAS_RESPONSE_TIME_NSEC, v->response_time_nsec,
                m->has_response_time_nsec, m->response_time_nsec);
}

static void same_message(const struct dnstap_view *v, const Dnstap__Message *m)
{
    assert_int_equal(dnstap_has(v, DNSTAP_HAS_MESSAGE), m != NULL);
    if (!m)
        return;
    same_numbers(v, m);
    same_octets(v, DNSTAP_HAS_QUERY_ADDRESS, v->query_address, m->has_query_address,
                m->query_address);
    same_octets(v, DNSTAP_HAS_RESPONSE_ADDRESS, v->response_address, m->has_response_address,
                m->response_address);
    same_octets(v, DNSTAP_HAS_QUERY_MESSAGE, v->query_message, m->has_query_message,
                m->query_message);
    same_octets(v, DNSTAP_HAS_RESPONSE_MESSAGE, v->response_message, m->has_response_message,
                m->response_message);
    same_octets(v, DNSTAP_HAS_QUERY_ZONE, v->query_zone, m->has_query_zone, m->query_zone);
    same_policy(v, m->policy);
}

/* Both decoders on one message: the same fields, or a difference that an oddity explains. */
static bool compare(struct frame frame)
{
    struct dnstap_view view;
    bool here = dnstap_scan(frame, &view);
    Dnstap__Dnstap *there = dnstap__dnstap__unpack(NULL, frame.len, frame.data);

    if (here && there) {
        same_number(&view, DNSTAP_HAS_TYPE, (uint32_t)view.type, 1, (uint32_t)there->type);
        same_octets(&view, DNSTAP_HAS_IDENTITY, view.identity, there->has_identity,
                    there->identity);
        same_octets(&view, DNSTAP_HAS_VERSION, view.version, there->has_version, there->version);
        same_octets(&view, DNSTAP_HAS_EXTRA, view.extra, there->has_extra, there->extra);
        same_message(&view, there->message);
    } else if (here) {
        assert_true(oddities(frame.data, frame.len, 0) & TAKEN_HERE_ALONE);
    } else if (there) {
        bool known = there->type == DNSTAP__DNSTAP__TYPE__MESSAGE || (int)there->type == DNSTAP_TYPE_EVENT;
        assert_true(!known || oddities(frame.data, frame.len, 0) & REFUSED_HERE_ALONE);
    }
    if (there)
        dnstap__dnstap__free_unpacked(there, NULL);
    return here;
}

static void load(struct buffer *stream, const char *corpus)
{
    char path[256];
    snprintf(path, sizeof path, TEST_DATA "/%s.fstrm.gz", corpus);
    assert_true(capture_load(path, stream));
}

static void reads_what_servers_write(void **state)
{
    (void)state;
    for (int i = 0; i < CORPORA; i++) {
        struct buffer stream = {0};
        struct frame frame;
        unsigned messages = 0;
        load(&stream, corpora[i]);
        struct reader r = reader_over(stream.data, stream.len);
        for (; capture_next(&r, &frame); messages++)
            assert_true(compare(frame));
        assert_false(r.bad);
        assert_true(messages > 100);
        buffer_free(&stream);
    }
}

/* A message with every field, the policy's too, packed by protobuf-c. */
static uint32_t pack_everything(uint8_t *into)
{
    static uint8_t octets[] = {10, 20, 30, 40};
    ProtobufCBinaryData some = {sizeof octets, octets};
    Dnstap__Policy policy = DNSTAP__POLICY__INIT;
    Dnstap__Message message = DNSTAP__MESSAGE__INIT;
    Dnstap__Dnstap dnstap = DNSTAP__DNSTAP__INIT;

    policy.type = (char[]){"RPZ"};
    policy.rule = policy.value = some;
    policy.action = DNSTAP__POLICY__ACTION__DROP;
    policy.match = DNSTAP__POLICY__MATCH__NS_IP;
    policy.has_rule = policy.has_value = policy.has_action = policy.has_match = 1;
    message.type = DNSTAP__MESSAGE__TYPE__UPDATE_RESPONSE;
    message.socket_family = DNSTAP__SOCKET_FAMILY__INET6;
    message.socket_protocol = DNSTAP__SOCKET_PROTOCOL__DOQ;
    message.http_protocol = DNSTAP__HTTP_PROTOCOL__HTTP3;
    message.has_socket_family = message.has_socket_protocol = message.has_http_protocol = 1;
    message.query_address = message.response_address = message.query_zone = some;
    message.query_message = message.response_message = some;
    message.has_query_address = message.has_response_address = message.has_query_zone = 1;
    message.has_query_message = message.has_response_message = 1;
    message.query_port = message.response_port = 65535;
    message.query_time_sec = message.response_time_sec = 1ull << 62;
    message.query_time_nsec = message.response_time_nsec = 4000000000;
    message.has_query_port = message.has_response_port = 1;
    message.has_query_time_sec = message.has_response_time_sec = 1;
    message.has_query_time_nsec = message.has_response_time_nsec = 1;
    message.policy = &policy;
    dnstap.identity = dnstap.version = dnstap.extra = some;
    dnstap.has_identity = dnstap.has_version = dnstap.has_extra = 1;
    dnstap.message = &message;
    return (uint32_t)dnstap__dnstap__pack(&dnstap, into);
}

/* Damaged copies end where their memory ends, so that a sanitizer sees any step beyond. */
static void damage(struct frame frame, uint64_t *noise, unsigned times, unsigned *accepted)
{
    uint8_t *block = malloc(frame.len);
    uint8_t *scratch = malloc(frame.len);
    assert_non_null(block);
    assert_non_null(scratch);
    for (; times > 0; times--) {
        memcpy(scratch, frame.data, frame.len);
        uint32_t len = noise_damage(noise, scratch, frame.len);
        uint8_t *end = block + frame.len;
        memcpy(end - len, scratch, len);
        *accepted += compare((struct frame){end - len, len});
    }
    free(scratch);
    free(block);
}

static void survives_damage(void **state)
{
    (void)state;
    uint64_t noise = 1;
    unsigned accepted = 0;
    uint8_t everything[512];
    uint32_t len = pack_everything(everything);

    assert_true(compare((struct frame){everything, len}));
    damage((struct frame){everything, len}, &noise, DAMAGED / 2, &accepted);
    for (int i = 0; i < CORPORA; i++) {
        struct buffer stream = {0};
        struct frame frame;
        load(&stream, corpora[i]);
        struct reader r = reader_over(stream.data, stream.len);
        for (int n = 0; n < 800 && capture_next(&r, &frame); n++)
            damage(frame, &noise, DAMAGED / 2 / 800 / CORPORA + 1, &accepted);
        buffer_free(&stream);
    }
    assert_true(accepted > DAMAGED / 20 && accepted < DAMAGED);
}

/* One encoding and what becomes of it; where protobuf-c differs, `compare` asks for the oddity. */
struct example {
    const char *what;
    bool accepted;
    uint32_t len;
    uint8_t data[40];
};

static const struct example examples[] = {
    {"nothing: no type", false, 0, {0}},
    {"a type alone", true, 2, {0x78, 1}},
    {"a type with no name", false, 2, {0x78, 9}},
    {"type 0", false, 2, {0x78, 0}},
    {"type 2", false, 6, {0x72, 2, 8, 5, 0x78, 2}},
    {"a message without its type", false, 4, {0x78, 1, 0x72, 0}},
    {"a message before the type", true, 6, {0x72, 2, 8, 5, 0x78, 1}},
    {"a message in two pieces", true, 10, {0x72, 2, 8, 5, 0x72, 2, 0x30, 53, 0x78, 1}},
    {"an unknown field, wide tag", true, 6, {0x78, 1, 0x82, 0x7d, 1, 'x'}},
    {"a known field as another wire type", true, 4, {0x78, 1, 8, 7}},
    {"a group", true, 6, {0x78, 1, 0x4b, 8, 1, 0x4c}},
    {"a group in a group", true, 6, {0x78, 1, 0x4b, 0x53, 0x54, 0x4c}},
    {"a group that ends another", false, 4, {0x78, 1, 0x4b, 0x54}},
    {"a group without an end", false, 3, {0x78, 1, 0x4b}},
    {"an end without a group", false, 3, {0x78, 1, 0x4c}},
    {"wire type 6", false, 3, {0x78, 1, 0x4e}},
    {"field number 0", false, 4, {0x78, 1, 0, 0}},
    {"a length beyond the end", false, 4, {0x78, 1, 0x0a, 1}},
    {"a length of 2^63", false, 13,
     {0x78, 1, 0x0a, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1}},
    {"a tag in 3 octets", true, 4, {0xf8, 0x80, 0, 1}},
    {"a tag in 6 octets", true, 7, {0xf8, 0x80, 0x80, 0x80, 0x80, 0, 1}},
    {"a number in 10 octets", true, 11,
     {0x78, 0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1}},
    {"a number beyond 64 bits", false, 11,
     {0x78, 0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 2}},
    {"a number in 11 octets", false, 12,
     {0x78, 0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0}},
    {"the last of two", true, 4, {0x78, 7, 0x78, 1}},
};

static void decides_the_odd_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++)
        if (compare((struct frame){examples[i].data, examples[i].len}) != examples[i].accepted)
            fail_msg("%s", examples[i].what);
}

static void merges_pieces_and_keeps_the_last(void **state)
{
    (void)state;
    static const uint8_t data[] = {0x72, 4, 8, 5, 0x30, 53, 0x0a, 1, 'a', 0x78, 1, 0x72, 6, 0x22,
                                   4, 127, 0, 0, 1, 0x72, 2, 0x30, 54, 0x0a, 0};
    struct dnstap_view view;

    assert_true(dnstap_scan((struct frame){data, sizeof data}, &view));
    assert_int_equal(view.message_type, DNSTAP_CLIENT_QUERY);
    assert_int_equal(view.query_port, 54);
    assert_int_equal(view.query_address.len, 4);
    assert_true(dnstap_has(&view, DNSTAP_HAS_IDENTITY));
    assert_int_equal(view.identity.len, 0);
    assert_false(dnstap_has(&view, DNSTAP_HAS_VERSION));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_servers_write),
        cmocka_unit_test(survives_damage),
        cmocka_unit_test(decides_the_odd_cases),
        cmocka_unit_test(merges_pieces_and_keeps_the_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
