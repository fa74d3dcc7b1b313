/* HOST:PORT: what is meant is understood, anything else is refused with what to write. */
#include "host_port.h"

#include "harness.h"

static void addresses_and_names_are_understood(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host;
        uint16_t port;
        bool is_address;
    } cases[] = {
        {"192.0.2.1:53", "192.0.2.1", 53, true},      {"[2001:db8::1]:1", "2001:db8::1", 1, true},
        {"[fe80::1%eth0]:53", "fe80::1%eth0", 53, true}, {"name.example:65535", "name.example", 65535, false},
        {":5555", "", 5555, false},                   {"*:5555", "", 5555, false},
        {"//192.0.2.1:53", "192.0.2.1", 53, true},    {"//name:53", "name", 53, false},
        {"[::]:5555", "::", 5555, true},              {"a_b-c.example:00080", "a_b-c.example", 80, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct host_port at;
        struct error error = {{0}};
        if (!host_port_read(cases[i].text, strlen(cases[i].text), &at, &error))
            fail_msg("%s: %s", cases[i].text, error.text);
        assert_string_equal(at.host, cases[i].host);
        assert_int_equal(at.port, cases[i].port);
        assert_int_equal(at.is_address, cases[i].is_address);
    }
}

static void mistakes_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"127.0.0.1", "no port"},
        {"127.0.0.1:", "no port"},
        {"", "no port"},
        {"[::1]", "no port"},
        {"127.0.0.1:0", "1 to 65535"},
        {"127.0.0.1:65536", "1 to 65535"},
        {"127.0.0.1:70000", "'70000': a port is a number from 1 to 65535"},
        {"127.0.0.1:99999999999999999999999", "1 to 65535"},
        {"127.0.0.1:-1", "'-1'"},
        {"127.0.0.1:+5", "'+5'"},
        {"127.0.0.1: 5", "' 5'"},
        {"127.0.0.1:domain", "'domain'"},
        {"::1:53", "brackets"},
        {"[::1:53", "brackets"},
        {"[127.0.0.1]:53", "IPv6"},
        {"[]:53", "IPv6"},
        {"a b:53", "invalid host"},
        {"a/b:53", "invalid host"},
        {"user@host:53", "invalid host"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct host_port at;
        struct error error = {{0}};
        assert_false(host_port_read(cases[i].text, strlen(cases[i].text), &at, &error));
        if (!strstr(error.text, cases[i].says))
            fail_msg("%s: \"%s\" does not say \"%s\"", cases[i].text, error.text, cases[i].says);
    }
}

static void a_name_has_its_longest(void **state)
{
    (void)state;
    char text[HOST_ROOM + 8];
    struct host_port at;
    struct error error;
    memset(text, 'a', HOST_ROOM);
    strcpy(text + HOST_ROOM - 1, ":53");
    assert_true(host_port_read(text, strlen(text), &at, &error));
    assert_int_equal(strlen(at.host), HOST_ROOM - 1);
    memset(text, 'a', HOST_ROOM);
    strcpy(text + HOST_ROOM, ":53");
    assert_false(host_port_read(text, strlen(text), &at, &error));
    assert_non_null(strstr(error.text, "256 octets"));
}

static void a_port_may_be_left_out_where_that_is_allowed(void **state)
{
    (void)state;
    struct host_port at;
    struct error error;
    assert_true(host_port_read_optional("broker.example", 14, &at, &error));
    assert_int_equal(at.port, 0);
    assert_true(host_port_read_optional("[::1]", 5, &at, &error));
    assert_string_equal(at.host, "::1");
    assert_true(host_port_read_optional("broker:9092,next", 11, &at, &error));
    assert_int_equal(at.port, 9092);
    assert_false(host_port_read_optional("broker:70000", 12, &at, &error));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_and_names_are_understood),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(a_name_has_its_longest),
        cmocka_unit_test(a_port_may_be_left_out_where_that_is_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
