/* The envelope and the bus message around it, octet by octet. */
#include "bus.h"

#include "frame.h"
#include "harness.h"
#include "noise.h"

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

/* The second one: what a sender with receipts adds to the envelope. */
static void receipts_add_their_fields_behind_the_path(void **state)
{
    static const uint8_t more[] = "\x38\x05"
                                  "\x42\x20"
                                  "\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff"
                                  "\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff";
    const size_t head = 11 + 4, envelope_len = 45, more_len = sizeof more - 1;
    struct envelope e = example_envelope(), back;
    struct buffer out = {0};
    (void)state;
    e.has_interval = e.has_policy = true;
    e.interval = 5;
    memcpy(e.policy, more + 4, POLICY_OCTETS);
    bus_write_head("raw", &e, &out);
    assert_int_equal(out.len, head + envelope_len + more_len);
    assert_int_equal(out.data[head - 1], 0x51);
    assert_memory_equal(out.data + head, example + head, envelope_len);
    assert_memory_equal(out.data + head + envelope_len, more, more_len);
    assert_true(envelope_read(&back, out.data + head, out.len - head));
    assert_true(back.has_interval && back.has_policy);
    assert_int_equal(back.interval, 5);
    assert_memory_equal(back.policy, e.policy, POLICY_OCTETS);
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

static struct hop_ledger random_hop(uint64_t *noise)
{
    struct hop_ledger hop = {.instance = (uint64_t)noise_next(noise) << 32 | noise_next(noise)};
    snprintf(hop.hop, sizeof hop.hop, "hop-%u", noise_next(noise));
    hop.tally.delivered = noise_next(noise);
    hop.tally.dropped = noise_next(noise);
    hop.tally.filtered = noise_next(noise);
    hop.tally.malformed = noise_below(noise, 2);
    hop.tally.failed = noise_below(noise, 1000);
    hop.tally.in_flight = noise_next(noise);
    hop.tally.received = hop.tally.delivered + hop.tally.dropped + hop.tally.filtered +
                         hop.tally.malformed + hop.tally.failed + hop.tally.in_flight;
    hop.lost = noise_next(noise);
    return hop;
}

static struct envelope random_envelope(uint64_t *noise)
{
    struct envelope e = {
        .sequence = (uint64_t)noise_below(noise, 1 << 20) << 32 | noise_next(noise),
        .count = noise_next(noise),
        .epoch = noise_below(noise, 3),
        .shared = noise_below(noise, 2),
        .final = noise_below(noise, 2),
    };
    for (unsigned i = 1 + noise_below(noise, ENVELOPE_HOPS); i > 0; i--) {
        struct hop_ledger hop = random_hop(noise);
        envelope_add_hop(&e, &hop);
    }
    return e;
}

static void every_field_is_read_back(void **state)
{
    (void)state;
    uint64_t noise = 23;
    struct buffer out = {0};
    for (int i = 0; i < 2000; i++) {
        struct envelope e = random_envelope(&noise), back;
        buffer_clear(&out);
        envelope_write(&e, &out);
        assert_in_range(out.len, 1, ENVELOPE_MAX);
        assert_true(envelope_read(&back, out.data, out.len));
        assert_true(back.sequence == e.sequence && back.count == e.count && back.epoch == e.epoch);
        assert_true(back.shared == e.shared && back.final == e.final && back.hops == e.hops);
        for (unsigned k = 0; k < e.hops; k++) {
            assert_string_equal(back.path[k].hop, e.path[k].hop);
            assert_true(back.path[k].instance == e.path[k].instance);
            assert_true(back.path[k].lost == e.path[k].lost);
            assert_memory_equal(&back.path[k].tally, &e.path[k].tally, sizeof e.path[k].tally);
        }
    }
    buffer_free(&out);
}

/* Cut anywhere, an envelope is refused or lacks what was cut off, and nothing else. */
static void a_torn_envelope_does_no_harm(void **state)
{
    (void)state;
    uint64_t noise = 24;
    struct buffer out = {0};
    for (uint64_t i = work_for_build(20000); i > 0; i--) {
        struct envelope e = random_envelope(&noise), back;
        buffer_clear(&out);
        envelope_write(&e, &out);
        size_t len = i % 2 ? noise_below(&noise, (uint32_t)out.len)
                           : noise_damage(&noise, out.data, (uint32_t)out.len);
        if (envelope_read(&back, out.data, len))
            assert_in_range(back.hops, 1, ENVELOPE_HOPS);
    }
    uint8_t too_long[ENVELOPE_MAX + 1] = {0};
    struct envelope back;
    assert_false(envelope_read(&back, too_long, sizeof too_long));
    assert_false(envelope_read(&back, too_long, 0));
    buffer_free(&out);
}

static void a_hop_name_too_long_is_cut(void **state)
{
    (void)state;
    struct buffer out = {0};
    struct envelope e = {.count = 1}, back;
    struct hop_ledger hop = {.instance = 1};
    memset(hop.hop, 'h', HOP_NAME_MAX);
    envelope_add_hop(&e, &hop);
    envelope_write(&e, &out);
    assert_true(envelope_read(&back, out.data, out.len));
    assert_int_equal(strlen(back.path[0].hop), HOP_NAME_MAX);
    buffer_free(&out);
}

/* "dnstap/" + `channel` + NUL + an empty envelope. */
static bool channel_is_read(const char *prefix, size_t channel_len)
{
    uint8_t data[256];
    struct bus_message message;
    struct error error;
    size_t len = strlen(prefix);
    memcpy(data, prefix, len);
    memset(data + len, 'c', channel_len);
    len += channel_len;
    memset(data + len, 0, 5);
    return bus_read(data, len + 5, &message, &error) && strlen(message.channel) == channel_len;
}

static void channels_are_bounded(void **state)
{
    (void)state;
    assert_true(channel_is_read("dnstap/", 1));
    assert_true(channel_is_read("dnstap/", BUS_CHANNEL_MAX - 1));
    assert_false(channel_is_read("dnstap/", BUS_CHANNEL_MAX));
    assert_false(channel_is_read("dnstap/", 200));
    assert_false(channel_is_read("dnstap", 3));
    assert_false(channel_is_read("dnsTap/", 3));
    assert_false(channel_is_read("", 0));
}

static void an_envelope_longer_than_the_message_is_refused(void **state)
{
    (void)state;
    struct bus_message message;
    struct error error = {{0}};
    assert_false(bus_read((const uint8_t *)"dnstap/raw\0\0\0\0\2x", 16, &message, &error));
    assert_non_null(strstr(error.text, "cut short"));
    assert_false(bus_read((const uint8_t *)"dnstap/raw\0\xff\xff\xff\xffx", 16, &message, &error));
    assert_true(bus_read((const uint8_t *)"dnstap/raw\0\0\0\0\1x", 16, &message, &error));
    assert_int_equal(message.frames_len, 0);
}

static void torn_frames_are_told(void **state)
{
    (void)state;
    static const struct {
        const char *octets;
        uint32_t len, whole;
    } cases[] = {{"\0\0\0\3one\0\0\0", 10, 1}, {"\0\0\0\3one\0\0\0\1", 11, 1}, {"\0\0\0\0", 4, 0}};
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bus_message message = {.frames = (const uint8_t *)cases[i].octets, .frames_len = cases[i].len};
        struct error error = {{0}};
        uint32_t count = 99;
        assert_false(bus_check_frames(&message, 100, &count, &error));
        assert_int_equal(count, cases[i].whole);
        assert_non_null(strstr(error.text, "torn"));
    }
}

/* What a liar writes is refused, so that no sum here ever wraps. */
static void numbers_beyond_all_sums_are_refused(void **state)
{
    (void)state;
    const uint64_t most = ENVELOPE_NUMBER_MAX;
    const uint64_t numbers[] = {most, most + 1, UINT64_MAX, UINT64_MAX - 3, UINT64_C(1) << 63};
    for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct buffer out = {0};
        struct envelope e = {.sequence = numbers[i], .count = 7}, back;
        struct hop_ledger hop = {.hop = "liar", .instance = UINT64_MAX};
        envelope_add_hop(&e, &hop);
        envelope_write(&e, &out);
        assert_false(envelope_read(&back, out.data, out.len));
        e.sequence = 0;
        e.path[0].tally.received = numbers[i];
        buffer_clear(&out);
        envelope_write(&e, &out);
        assert_false(envelope_read(&back, out.data, out.len));
        e.path[0].tally.received = 5;
        e.path[0].tally.failed = 9; /* more than it had: what is in flight is none, not 2^64 - 4 */
        buffer_clear(&out);
        envelope_write(&e, &out);
        assert_true(envelope_read(&back, out.data, out.len));
        assert_int_equal(back.path[0].tally.in_flight, 0);
        assert_true(back.path[0].instance == UINT64_MAX);
        buffer_free(&out);
    }
}

static void names_from_elsewhere_can_be_printed(void **state)
{
    (void)state;
    static const struct {
        const char *sent, *shown;
    } names[] = {
        {"evil\x1b[2J\n  lost before this hop: 0", "evil?[2J?  lost before this hop: 0"},
        {"collector-\xc3\xa9", "collector-\xc3\xa9"},
        {"half\xc3", "half?"},
        {"c1\xc2\x9b!", "c1?" "?!"},
        {"turned\xe2\x80\xae", "turned?" "?" "?"},
        {"", ""},
    };
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        struct buffer out = {0};
        struct envelope e = {.count = 1}, back;
        struct hop_ledger hop = {.instance = 1};
        snprintf(hop.hop, sizeof hop.hop, "%s", names[i].sent);
        envelope_add_hop(&e, &hop);
        envelope_write(&e, &out);
        assert_true(envelope_read(&back, out.data, out.len));
        assert_string_equal(back.path[0].hop, names[i].shown);
        buffer_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_worked_example_is_written_octet_by_octet),
        cmocka_unit_test(the_worked_example_is_read),
        cmocka_unit_test(receipts_add_their_fields_behind_the_path),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(noise_harms_nothing),
        cmocka_unit_test(a_path_too_long_loses_its_oldest_hops),
        cmocka_unit_test(an_envelope_names_its_sender),
        cmocka_unit_test(every_field_is_read_back),
        cmocka_unit_test(numbers_beyond_all_sums_are_refused),
        cmocka_unit_test(names_from_elsewhere_can_be_printed),
        cmocka_unit_test(a_torn_envelope_does_no_harm),
        cmocka_unit_test(a_hop_name_too_long_is_cut),
        cmocka_unit_test(channels_are_bounded),
        cmocka_unit_test(an_envelope_longer_than_the_message_is_refused),
        cmocka_unit_test(torn_frames_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
