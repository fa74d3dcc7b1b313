/* The tap's hand-made encoding against protobuf-c's: the same octets, and every field read back. */
#include "../../tap/tap.c"

#include "dnstap.pb-c.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { RING = 1 << 20 };

static uint64_t random_state = 42;

static uint32_t random_below(uint32_t bound)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((random_state >> 33) % bound);
}

static struct tap_lane *new_lane(const struct tap_options *options)
{
    struct tap_lane *lane = lane_new(RING);
    assert_non_null(lane);
    lane->constants_len = put_constants(NULL, options);
    uint8_t *constants = malloc(lane->constants_len + 1);
    put_constants(constants, options);
    lane->constants = constants;
    return lane;
}

static void free_lane(struct tap_lane *lane)
{
    free((void *)(uintptr_t)lane->constants);
    lane_free(lane);
}

/* The only frame in the ring, taken out. */
static struct tap_bytes take(struct tap_lane *lane)
{
    size_t used = lane_front(lane);
    struct tap_run run = lane_run(lane, lane->take, used, RING);
    assert_int_equal(run.messages, 1);
    assert_int_equal(run.len, used);
    assert_int_equal(run.len, FRAME_HEADER + load_be32(run.data));
    uint32_t messages;
    lane_release(lane, run.len, &(uint32_t){0}, &messages);
    return (struct tap_bytes){run.data + FRAME_HEADER, (uint32_t)(run.len - FRAME_HEADER)};
}

static ProtobufCBinaryData binary(struct tap_bytes bytes)
{
    return (ProtobufCBinaryData){.len = bytes.len, .data = (uint8_t *)(uintptr_t)bytes.data};
}

/* optional bytes, enums and numbers: absent where the tap says so */
#define SET_BYTES(pb, field, bytes) \
    ((pb)->has_##field = (bytes).data != NULL, (pb)->field = binary(bytes))
#define SET_NUMBER(pb, field, value)   \
    ((pb)->has_##field = (value) != 0, \
     (pb)->field = (value) + 0u) /* + 0u: of one enum into another */
#define SET_TIME(pb, field, time)                                                          \
    ((pb)->has_##field##_sec = (pb)->has_##field##_nsec = (time).tv_sec || (time).tv_nsec, \
     (pb)->field##_sec = (uint64_t)(time).tv_sec, (pb)->field##_nsec = (uint32_t)(time).tv_nsec)

static void expect_octets(struct tap_bytes got, const Dnstap__Dnstap *want)
{
    size_t len = dnstap__dnstap__get_packed_size(want);
    uint8_t *packed = malloc(len);
    dnstap__dnstap__pack(want, packed);
    assert_int_equal(got.len, len);
    assert_memory_equal(got.data, packed, len);
    free(packed);
}

static void fill_dnstap(Dnstap__Dnstap *d, const struct tap_options *o)
{
    SET_BYTES(d, identity, o->identity);
    SET_BYTES(d, version, o->version);
    SET_BYTES(d, extra, o->extra);
}

static void fill_policy(Dnstap__Policy *p, const struct tap_policy *t, char *type)
{
    if (t->type.data) {
        memcpy(type, t->type.data, t->type.len);
        type[t->type.len] = '\0';
        p->type = type;
    }
    SET_BYTES(p, rule, t->rule);
    SET_NUMBER(p, action, t->action);
    SET_NUMBER(p, match, t->match);
    SET_BYTES(p, value, t->value);
}

static void fill_message(Dnstap__Message *m, const struct tap_message *t)
{
    m->type = (Dnstap__Message__Type)t->type;
    SET_NUMBER(m, socket_family, t->family);
    SET_NUMBER(m, socket_protocol, t->protocol);
    SET_BYTES(m, query_address, t->query_address);
    SET_BYTES(m, response_address, t->response_address);
    SET_NUMBER(m, query_port, t->query_port);
    SET_NUMBER(m, response_port, t->response_port);
    SET_TIME(m, query_time, t->query_time);
    SET_BYTES(m, query_message, t->query_message);
    SET_BYTES(m, query_zone, t->query_zone);
    SET_TIME(m, response_time, t->response_time);
    SET_BYTES(m, response_message, t->response_message);
    SET_NUMBER(m, http_protocol, t->http);
}

/* Emits and compares with what protobuf-c makes of the same. */
static void check_message(struct tap_lane *lane, const struct tap_options *options,
                          const struct tap_message *t)
{
    Dnstap__Dnstap d = DNSTAP__DNSTAP__INIT;
    Dnstap__Message m = DNSTAP__MESSAGE__INIT;
    Dnstap__Policy p = DNSTAP__POLICY__INIT;
    char policy_type[512];
    fill_dnstap(&d, options);
    fill_message(&m, t);
    if (t->policy) {
        fill_policy(&p, t->policy, policy_type);
        m.policy = &p;
    }
    d.type = DNSTAP__DNSTAP__TYPE__MESSAGE;
    d.message = &m;
    assert_true(tap_emit(lane, t));
    expect_octets(take(lane), &d);
}

static const struct tap_options full_options = {
    .identity = {"ns1.example", 11},
    .version = {"server 1.2.3", 12},
    .extra = {"rack \0 7", 8},
};

static struct tap_policy full_policy = {
    .type = {"RPZ", 3},
    .rule = {"\3bad\7example\0", 13},
    .action = TAP_POLICY_LOCAL_DATA,
    .match = TAP_MATCH_NS_IP,
    .value = {"\xc0\0\2\1", 4},
};

static struct tap_message full_message(enum tap_type type)
{
    return (struct tap_message){
        .type = type,
        .family = TAP_INET6,
        .protocol = TAP_DOQ,
        .http = TAP_HTTP3,
        .query_address = {"\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16},
        .response_address = {"\xc0\0\2\x35", 4},
        .query_port = 54321,
        .response_port = 53,
        .query_time = {1700000000, 123456789},
        .response_time = {1700000001, 999999999},
        .query_message = {"query", 5},
        .response_message = {"response", 8},
        .query_zone = {"\7example\0", 9},
        .policy = &full_policy,
    };
}

static void assert_bytes(ProtobufCBinaryData got, const char *want, size_t len)
{
    assert_int_equal(got.len, len);
    assert_memory_equal(got.data, want, len);
}

static void assert_full_policy(const Dnstap__Policy *p)
{
    assert_string_equal(p->type, "RPZ");
    assert_bytes(p->rule, "\3bad\7example\0", 13);
    assert_int_equal(p->action, DNSTAP__POLICY__ACTION__LOCAL_DATA);
    assert_int_equal(p->match, DNSTAP__POLICY__MATCH__NS_IP);
    assert_bytes(p->value, "\xc0\0\2\1", 4);
}

static void assert_full_message(const Dnstap__Message *m, enum tap_type type)
{
    assert_int_equal(m->type, type);
    assert_int_equal(m->socket_family, DNSTAP__SOCKET_FAMILY__INET6);
    assert_int_equal(m->socket_protocol, DNSTAP__SOCKET_PROTOCOL__DOQ);
    assert_int_equal(m->http_protocol, DNSTAP__HTTP_PROTOCOL__HTTP3);
    assert_bytes(m->query_address, "\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16);
    assert_bytes(m->response_address, "\xc0\0\2\x35", 4);
    assert_int_equal(m->query_port, 54321);
    assert_int_equal(m->response_port, 53);
    assert_int_equal(m->query_time_sec, 1700000000);
    assert_int_equal(m->query_time_nsec, 123456789);
    assert_int_equal(m->response_time_sec, 1700000001);
    assert_int_equal(m->response_time_nsec, 999999999);
    assert_bytes(m->query_message, "query", 5);
    assert_bytes(m->response_message, "response", 8);
    assert_bytes(m->query_zone, "\7example\0", 9);
    assert_full_policy(m->policy);
}

static void every_type_carries_every_field(void **state)
{
    (void)state;
    struct tap_lane *lane = new_lane(&full_options);
    for (enum tap_type type = TAP_AUTH_QUERY; type <= TAP_UPDATE_RESPONSE; type++) {
        struct tap_message t = full_message(type);
        assert_true(tap_emit(lane, &t));
        struct tap_bytes got = take(lane);
        Dnstap__Dnstap *d = dnstap__dnstap__unpack(NULL, got.len, got.data);
        assert_non_null(d);
        assert_bytes(d->identity, "ns1.example", 11);
        assert_bytes(d->version, "server 1.2.3", 12);
        assert_bytes(d->extra, "rack \0 7", 8);
        assert_int_equal(d->type, DNSTAP__DNSTAP__TYPE__MESSAGE);
        assert_full_message(d->message, type);
        assert_int_equal(d->base.n_unknown_fields, 0);
        assert_int_equal(d->message->base.n_unknown_fields, 0);
        dnstap__dnstap__free_unpacked(d, NULL);
        check_message(lane, &full_options, &t);
    }
    free_lane(lane);
}

static void an_empty_message_has_its_type_and_nothing_else(void **state)
{
    (void)state;
    const struct tap_options none = {0};
    struct tap_lane *lane = new_lane(&none);
    struct tap_message t;
    memset(&t, 0xff, sizeof t);
    tap_message_init(&t, TAP_TOOL_QUERY);
    assert_true(tap_emit(lane, &t));
    struct tap_bytes got = take(lane);
    assert_int_equal(got.len, 6);
    assert_memory_equal(got.data, "\x72\2\x08\x0b\x78\1", 6);
    free_lane(lane);
}

static void a_type_outside_the_schema_is_refused(void **state)
{
    (void)state;
    struct tap_lane *lane = new_lane(&full_options);
    struct tap_message t = {.type = 0};
    assert_false(tap_emit(lane, &t));
    t.type = (enum tap_type)15;
    assert_false(tap_emit(lane, &t));
    struct tap_event e = {.type = 0};
    assert_false(tap_emit_event(lane, &e));
    e.type = (enum tap_event_type)9;
    assert_false(tap_emit_event(lane, &e));
    assert_int_equal(tap_lane_counters(lane).dropped, 4);
    assert_int_equal(lane_used(lane), 0);
    free_lane(lane);
}

static uint8_t noise[70000];

static struct tap_bytes random_bytes(uint32_t max)
{
    if (random_below(3) == 0)
        return (struct tap_bytes){0};
    return (struct tap_bytes){noise + random_below(100), random_below(max + 1)};
}

static struct timespec random_time(void)
{
    static const time_t interesting[] = {0, 1, 127, 128, 1700000000, 0xffffffff, 0x7fffffffffff};
    return (struct timespec){interesting[random_below(7)], (long)random_below(1000000000)};
}

static struct tap_message random_message(const struct tap_policy *policy)
{
    static const uint16_t ports[] = {0, 1, 53, 127, 128, 16383, 16384, 65535};
    return (struct tap_message){
        .type = 1 + random_below(14),
        .family = random_below(3),
        .protocol = random_below(8),
        .http = random_below(4),
        .query_address = random_bytes(16),
        .response_address = random_bytes(16),
        .query_port = ports[random_below(8)],
        .response_port = ports[random_below(8)],
        .query_time = random_time(),
        .response_time = random_time(),
        .query_message = random_bytes(random_below(4) ? 300 : 65535),
        .response_message = random_bytes(random_below(4) ? 300 : 65535),
        .query_zone = random_bytes(255),
        .policy = random_below(3) ? NULL : policy,
    };
}

static void any_message_is_encoded_as_protobuf_c_does(void **state)
{
    (void)state;
    struct tap_lane *lane = new_lane(&full_options);
    for (int i = 0; i < 20000; i++) {
        struct tap_policy policy = {
            .type = random_below(2) ? tap_string("RPZ") : tap_string(NULL),
            .rule = random_bytes(255),
            .action = random_below(7),
            .match = random_below(6),
            .value = random_bytes(300),
        };
        struct tap_message t = random_message(&policy);
        check_message(lane, &full_options, &t);
    }
    free_lane(lane);
}

/* Where the lengths of the varints change. */
static void every_length_is_encoded_as_protobuf_c_does(void **state)
{
    (void)state;
    struct tap_lane *lane = new_lane(&full_options);
    static const uint32_t around[] = {0, 60, 128, 16384, 65535};
    for (size_t i = 0; i < sizeof around / sizeof around[0]; i++) {
        uint32_t from = around[i] < 70 ? 0 : around[i] - 70;
        uint32_t to = around[i] + 70 > 65535 ? 65535 : around[i] + 70;
        for (uint32_t len = from; len <= to; len++) {
            struct tap_message t = {.type = TAP_AUTH_RESPONSE, .response_message = {noise, len}};
            check_message(lane, &full_options, &t);
        }
    }
    struct tap_message both = full_message(TAP_UPDATE_RESPONSE);
    both.query_message = both.response_message = (struct tap_bytes){noise, 65535};
    check_message(lane, &full_options, &both);
    free_lane(lane);
}

static void fill_event(Dnstap__Event *e, const struct tap_event *t)
{
    e->type = (Dnstap__Event__Type)t->type;
    SET_NUMBER(e, id, t->id);
    SET_TIME(e, time, t->time);
    SET_BYTES(e, name, t->name);
    SET_NUMBER(e, rrtype, t->rrtype);
    SET_NUMBER(e, rrclass, t->rrclass);
    SET_NUMBER(e, socket_family, t->family);
    SET_NUMBER(e, socket_protocol, t->protocol);
    SET_BYTES(e, peer_address, t->peer_address);
    SET_NUMBER(e, peer_port, t->peer_port);
    SET_NUMBER(e, peer_prefix, t->peer_prefix);
    SET_NUMBER(e, rrl_category, t->rrl_category);
    SET_NUMBER(e, rrl_limit, t->rrl_limit);
    SET_NUMBER(e, rrl_dropped, t->rrl_dropped);
    SET_NUMBER(e, rrl_truncated, t->rrl_truncated);
    SET_NUMBER(e, serial_before, t->serial_before);
    SET_NUMBER(e, serial, t->serial);
    SET_NUMBER(e, outcome, t->outcome);
    SET_NUMBER(e, duration_usec, t->duration_usec);
    SET_NUMBER(e, messages, t->messages);
    SET_NUMBER(e, records, t->records);
    SET_NUMBER(e, octets, t->octets);
    SET_NUMBER(e, ttl, t->ttl);
    SET_NUMBER(e, age, t->age);
    SET_NUMBER(e, hits, t->hits);
    SET_NUMBER(e, entries, t->entries);
}

static struct tap_event full_event(enum tap_event_type type)
{
    return (struct tap_event){
        .type = type,
        .id = 1ull << 60,
        .time = {1700000000, 5},
        .name = {"\7example\0", 9},
        .rrtype = 252,
        .rrclass = 1,
        .family = TAP_INET,
        .protocol = TAP_TCP,
        .peer_address = {"\xc0\0\2\1", 4},
        .peer_port = 5353,
        .peer_prefix = 24,
        .rrl_category = TAP_RRL_NXDOMAINS,
        .rrl_limit = 200,
        .rrl_dropped = 1000,
        .rrl_truncated = 500,
        .serial_before = 2025010100,
        .serial = 0xffffffff,
        .outcome = TAP_UP_TO_DATE,
        .duration_usec = 123456,
        .messages = 7,
        .records = 1 << 20,
        .octets = 1ull << 33,
        .ttl = 86400,
        .age = 86401,
        .hits = 3,
        .entries = 17,
    };
}

static void every_event_carries_every_field(void **state)
{
    (void)state;
    struct tap_lane *lane = new_lane(&full_options);
    for (enum tap_event_type type = TAP_RRL_START; type <= TAP_CACHE_EXPIRY; type++) {
        struct tap_event t = full_event(type);
        Dnstap__Dnstap d = DNSTAP__DNSTAP__INIT;
        Dnstap__Event e = DNSTAP__EVENT__INIT;
        fill_dnstap(&d, &full_options);
        fill_event(&e, &t);
        d.type = DNSTAP__DNSTAP__TYPE__EVENT;
        d.event = &e;
        assert_true(tap_emit_event(lane, &t));
        struct tap_bytes got = take(lane);
        expect_octets(got, &d);
        Dnstap__Dnstap *back = dnstap__dnstap__unpack(NULL, got.len, got.data);
        assert_non_null(back);
        assert_int_equal(back->type, DNSTAP__DNSTAP__TYPE__EVENT);
        assert_int_equal(back->event->type, type);
        assert_true(back->event->has_entries);
        assert_int_equal(back->base.n_unknown_fields + back->event->base.n_unknown_fields, 0);
        dnstap__dnstap__free_unpacked(back, NULL);
    }
    free_lane(lane);
}

static void socket_addresses_become_fields(void **state)
{
    (void)state;
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(4242)};
    in.sin_addr.s_addr = htonl(0xc0000201);
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(53)};
    in6.sin6_addr = in6addr_loopback;
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct tap_message m = {.type = TAP_CLIENT_QUERY};
    tap_message_query_peer(&m, (const struct sockaddr *)&in);
    assert_int_equal(m.family, TAP_INET);
    assert_int_equal(m.query_port, 4242);
    assert_int_equal(m.query_address.len, 4);
    assert_memory_equal(m.query_address.data, "\xc0\0\2\1", 4);
    tap_message_response_peer(&m, (const struct sockaddr *)&in6);
    assert_int_equal(m.family, TAP_INET6);
    assert_int_equal(m.response_port, 53);
    assert_int_equal(m.response_address.len, 16);
    tap_message_query_peer(&m, (const struct sockaddr *)&un);
    assert_int_equal(m.query_port, 4242);
}

int main(void)
{
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (uint8_t)random_below(256);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_carries_every_field),
        cmocka_unit_test(an_empty_message_has_its_type_and_nothing_else),
        cmocka_unit_test(a_type_outside_the_schema_is_refused),
        cmocka_unit_test(any_message_is_encoded_as_protobuf_c_does),
        cmocka_unit_test(every_length_is_encoded_as_protobuf_c_does),
        cmocka_unit_test(every_event_carries_every_field),
        cmocka_unit_test(socket_addresses_become_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
