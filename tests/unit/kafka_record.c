/* What a Kafka record says beside its value: time, key, and a schema registry's framing. */
#include "../../adapters/kafka_record.h"

#include "harness.h"

#define AS_FRAME(s) ((struct frame){.data = (const uint8_t *)(s), .len = sizeof(s) - 1})

static void keys_go_by_their_names(void **state)
{
    (void)state;
    assert_int_equal(record_key_of("none"), RECORD_KEY_NONE);
    assert_int_equal(record_key_of("identity"), RECORD_KEY_IDENTITY);
    assert_int_equal(record_key_of("client"), RECORD_KEY_CLIENT);
    assert_int_equal(record_key_of("qname"), RECORD_KEY_QNAME);
    assert_int_equal(record_key_of("colour"), RECORD_KEY_NONE);
}

/* identity "ns", a client query from 192.0.2.1 at 1000.5 s */
#define QUERY(dns, dns_len, inner_len) \
    "\x0a\x02ns\x72" inner_len         \
    "\x08\x05\x22\x04\xc0\x00\x02\x01\x40\xe8\x07\x4d\x00\x65\xcd\x1d\x52" dns_len dns "\x78\x01"
#define DNS_HEAD "\x12\x34\1\0\0\1\0\0\0\0\0\0"

static const struct frame upper = {
    (const uint8_t *)QUERY(DNS_HEAD "\3WwW\2De\0\0\1\0\1", "\x18", "\x2a"),
    sizeof QUERY(DNS_HEAD "\3WwW\2De\0\0\1\0\1", "\x18", "\x2a") - 1};

static void time_and_keys_are_the_messages_own(void **state)
{
    (void)state;
    struct record_facts facts;
    assert_true(record_facts(upper, RECORD_KEY_NONE, &facts));
    assert_int_equal(facts.time_ms, 1000500);
    assert_int_equal(facts.key_len, 0);
    assert_true(record_facts(upper, RECORD_KEY_IDENTITY, &facts));
    assert_int_equal(facts.key_len, 2);
    assert_memory_equal(facts.key, "ns", 2);
    assert_true(record_facts(upper, RECORD_KEY_CLIENT, &facts));
    assert_int_equal(facts.key_len, 4);
    assert_memory_equal(facts.key, "\xc0\x00\x02\x01", 4);
}

static void a_names_key_is_in_lower_case(void **state)
{
    (void)state;
    struct record_facts facts;
    assert_true(record_facts(upper, RECORD_KEY_QNAME, &facts));
    assert_int_equal(facts.key_len, 8);
    assert_memory_equal(facts.key, "\3www\2de\0", 8);
}

/* A response that leaves its question out goes by that of the query; a mapped address is an IPv4 one. */
static void keys_of_a_response_without_a_question(void **state)
{
    (void)state;
    struct record_facts facts;
    const struct frame bare =
        AS_FRAME("\x72\x3c\x08\x06\x22\x10\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\1"
                 "\x52\x18" DNS_HEAD "\3WwW\2De\0\0\1\0\1" "\x72\x0c\x12\x34\x81\1\0\0\0\0\0\0\0\0" "\x78\x01");
    assert_true(record_facts(bare, RECORD_KEY_QNAME, &facts));
    assert_int_equal(facts.key_len, 8);
    assert_memory_equal(facts.key, "\3www\2de\0", 8);
    assert_true(record_facts(bare, RECORD_KEY_CLIENT, &facts));
    assert_int_equal(facts.key_len, 4);
}

static void a_torn_name_is_no_key(void **state)
{
    (void)state;
    struct record_facts facts;
    struct frame torn = AS_FRAME(QUERY(DNS_HEAD "\x3fWwW\2De\0\0\1\0\1", "\x18", "\x2a"));
    assert_true(record_facts(torn, RECORD_KEY_QNAME, &facts));
    assert_int_equal(facts.key_len, 0);
}

static void a_time_out_of_range_is_none(void **state)
{
    (void)state;
    struct record_facts facts;
    /* query_time_sec = 2^64 - 1 */
    struct frame far =
        AS_FRAME("\x72\x0d\x08\x05\x40\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x78\x01");
    assert_true(record_facts(far, RECORD_KEY_NONE, &facts));
    assert_int_equal(facts.time_ms, 0);
}

static void garbage_has_neither(void **state)
{
    (void)state;
    struct record_facts facts;
    assert_false(record_facts(AS_FRAME("garbage"), RECORD_KEY_QNAME, &facts));
    assert_int_equal(facts.time_ms, 0);
    assert_int_equal(facts.key_len, 0);
}

static void a_registrys_framing_comes_off(void **state)
{
    (void)state;
    struct frame plain = AS_FRAME("\x78\x01"), short_index = AS_FRAME("\0\1\2\3\4\0\x78\x01");
    struct frame long_index = AS_FRAME("\0\1\2\3\4\4\0\2\x78\x01"), empty = AS_FRAME("");
    assert_true(record_unframe(&plain));
    assert_int_equal(plain.len, 2);
    assert_true(record_unframe(&short_index));
    assert_int_equal(short_index.len, 2);
    assert_memory_equal(short_index.data, "\x78\x01", 2);
    assert_true(record_unframe(&long_index));
    assert_int_equal(long_index.len, 2);
    assert_true(record_unframe(&empty));
    assert_int_equal(empty.len, 0);
}

static void a_torn_framing_is_told(void **state)
{
    (void)state;
    struct frame torn[] = {
        AS_FRAME("\0"), AS_FRAME("\0\1\2\3"), AS_FRAME("\0\1\2\3\4"), AS_FRAME("\0\1\2\3\4\4\0"),
        AS_FRAME("\0\1\2\3\4\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01zzzzzzzzzzzzzzzzzzzz")};
    for (unsigned i = 0; i < sizeof torn / sizeof torn[0]; i++)
        assert_false(record_unframe(&torn[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_go_by_their_names),
        cmocka_unit_test(time_and_keys_are_the_messages_own),
        cmocka_unit_test(a_names_key_is_in_lower_case),
        cmocka_unit_test(keys_of_a_response_without_a_question),
        cmocka_unit_test(a_torn_name_is_no_key),
        cmocka_unit_test(a_time_out_of_range_is_none),
        cmocka_unit_test(garbage_has_neither),
        cmocka_unit_test(a_registrys_framing_comes_off),
        cmocka_unit_test(a_torn_framing_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
