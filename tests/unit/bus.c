/* The envelope and the bus message around it, octet by octet. */
#include "bus.h"

#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"
#include "frame.h"

/* The worked example of docs/bus-format.md: two messages, numbers 1000 and 1001, from hop collector-1. */
static const uint8_t example[] =
    "dnstap/raw\0"
    "\0\0\0\x2d"                             /* the envelope: 45 octets */
    "\x08\xe8\x07"                             /* sequence = 1000 */
    "\x10\x02"                                 /* count = 2 */
    "\x32\x26"                                 /* path[0], 38 octets */
    "\x0a\x0b" "collector-1"                   /*   hop */
    "\x11\xef\xcd\xab\x89\x67\x45\x23\x01"     /*   instance */
    "\x18\xea\x07"                             /*   received = 1002 */
    "\x20\0\x28\0\x30\0\x38\0"                 /*   dropped, filtered, malformed, failed */
    "\x40\xe8\x07"                             /*   delivered = 1000 */
    "\x48\0"                                   /*   lost */
    "\0\0\0\3one"
    "\0\0\0\3two";

static struct envelope example_envelope(void)
{
    struct envelope e = {.sequence = 1000, .count = 2};
    struct hop_ledger hop = {.hop = "collector-1",
                             .instance = 0x0123456789abcdef,
                             .tally = {.received = 1002, .delivered = 1000}};
    envelope_add_hop(&e, &hop);
    return e;
}

static void the_worked_example_is_written_octet_by_octet(void **state)
{
    (void)state;
    struct envelope e = example_envelope();
    struct buffer out = {0};
    bus_write_head("raw", &e, &out);
    buffer_put(&out, "\0\0\0\3one\0\0\0\3two", 14);
    assert_int_equal(out.len, sizeof example - 1);
    assert_memory_equal(out.data, example, out.len);
    buffer_free(&out);
}

static void the_worked_example_is_read(void **state)
{
    (void)state;
    struct bus_message message;
    struct envelope e;
    struct error error = {{0}};
    uint32_t count;
    assert_true(bus_read(example, sizeof example - 1, &message, &error));
    assert_string_equal(message.channel, "raw");
    assert_true(envelope_read(&e, message.envelope, message.envelope_len));
    assert_int_equal(e.sequence, 1000);
    assert_int_equal(e.count, 2);
    assert_int_equal(e.hops, 1);
    assert_string_equal(e.path[0].hop, "collector-1");
    assert_int_equal(e.path[0].tally.in_flight, 2);
    assert_true(bus_check_frames(&message, 100, &count, &error));
    assert_int_equal(count, 2);
    assert_false(bus_check_frames(&message, 2, &count, &error));
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    struct bus_message message;
    struct error error;
    uint32_t count = 0;
    for (size_t cut = 0; cut < sizeof example - 1; cut++) {
        bool ok = bus_read(example, cut, &message, &error) &&
                  bus_check_frames(&message, 100, &count, &error) && count == 2;
        assert_false(ok);
    }
}

static void noise_harms_nothing(void **state)
{
    (void)state;
    uint8_t noise[sizeof example];
    struct bus_message message;
    struct envelope e;
    struct error error;
    uint32_t count;
    srandom(11);
    for (int i = 0; i < 100000; i++) {
        memcpy(noise, example, sizeof noise);
        for (int k = 0; k < 3; k++)
            noise[(size_t)random() % sizeof noise] = (uint8_t)random();
        if (!bus_read(noise, sizeof noise, &message, &error))
            continue;
        envelope_read(&e, message.envelope, message.envelope_len);
        bus_check_frames(&message, 1000, &count, &error);
    }
}

static void a_path_too_long_loses_its_oldest_hops(void **state)
{
    (void)state;
    struct envelope e = {.count = 1}, back;
    struct buffer out = {0};
    for (unsigned i = 0; i < ENVELOPE_HOPS + 5; i++) {
        struct hop_ledger hop = {.hop = "h", .instance = i};
        envelope_add_hop(&e, &hop);
    }
    envelope_write(&e, &out);
    assert_true(envelope_read(&back, out.data, out.len));
    assert_int_equal(back.hops, ENVELOPE_HOPS);
    assert_int_equal(back.path[0].instance, 5);
    assert_int_equal(back.path[ENVELOPE_HOPS - 1].instance, ENVELOPE_HOPS + 4);
    buffer_free(&out);
}

static void an_envelope_names_its_sender(void **state)
{
    (void)state;
    struct envelope e = {.sequence = 1}, back;
    struct buffer out = {0};
    envelope_write(&e, &out);
    assert_false(envelope_read(&back, out.data, out.len));
    buffer_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_worked_example_is_written_octet_by_octet),
        cmocka_unit_test(the_worked_example_is_read),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(noise_harms_nothing),
        cmocka_unit_test(a_path_too_long_loses_its_oldest_hops),
        cmocka_unit_test(an_envelope_names_its_sender),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
