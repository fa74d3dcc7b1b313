/* Where values fall, and how old a batch's first message is taken to be. */
#include "pace.h"

#include <time.h>

#include "buffer.h"
#include "frame.h"
#include "harness.h"

static const struct histogram_bounds bounds = {.count = 3, .upper = {1, 10, 100}};

static void values_fall_at_and_below_their_bound(void **state)
{
    (void)state;
    struct histogram histogram = {0};
    const uint64_t values[] = {0, 1, 2, 10, 11, 100, 101, 1000};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        histogram_note(&histogram, &bounds, values[i]);
    struct histogram_reading reading = histogram_read(&histogram, &bounds);
    assert_int_equal(reading.up_to[0], 2);
    assert_int_equal(reading.up_to[1], 4);
    assert_int_equal(reading.up_to[2], 6);
    assert_int_equal(reading.count, 8);
    assert_int_equal(reading.sum, 0 + 1 + 2 + 10 + 11 + 100 + 101 + 1000);
}

static void bounds_ascend(void **state)
{
    (void)state;
    const struct histogram_bounds *all[] = {&pace_sizes, &pace_ages};
    for (int i = 0; i < 2; i++) {
        assert_true(all[i]->count <= HISTOGRAM_BOUNDS);
        for (unsigned k = 1; k < all[i]->count; k++)
            assert_true(all[i]->upper[k - 1] < all[i]->upper[k]);
    }
}

static void put_varint(struct buffer *out, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        buffer_put_char(out, (char)(value | 0x80));
    buffer_put_char(out, (char)value);
}

enum { QUERY_TIME = 8, RESPONSE_TIME = 12, AUTH_QUERY = 1, AUTH_RESPONSE = 2 };

/* A frame of a Dnstap with a Message of this type and these seconds; 0: absent. */
static void put_frame(struct buffer *out, uint64_t type, uint64_t query_sec, uint64_t response_sec)
{
    struct buffer message = {0};
    const uint64_t fields[][2] = {{1, type}, {QUERY_TIME, query_sec}, {RESPONSE_TIME, response_sec}};
    for (int i = 0; i < 3; i++) {
        if (fields[i][1] == 0)
            continue;
        put_varint(&message, fields[i][0] << 3);
        put_varint(&message, fields[i][1]);
    }
    uint8_t header[FRAME_HEADER];
    assert_true(message.len < 0x80);
    store_be32(header, (uint32_t)(message.len + 4));
    buffer_put(out, header, sizeof header);
    buffer_put(out, "\x78\x01\x72", 3); /* type: MESSAGE, message: */
    put_varint(out, message.len);
    buffer_put(out, message.data, message.len);
    buffer_free(&message);
}

static struct pace note(uint64_t type, uint64_t query_sec, uint64_t response_sec)
{
    struct pace pace = {0};
    struct buffer frames = {0};
    put_frame(&frames, type, query_sec, response_sec);
    put_frame(&frames, type, 1, 1); /* only the first one is asked */
    const struct batch batch = {.data = frames.data, .len = (uint32_t)frames.len, .count = 2};
    pace_note(&pace, &batch);
    buffer_free(&frames);
    assert_int_equal(histogram_read(&pace.sizes, &pace_sizes).sum, 2);
    return pace;
}

/* The one age of the pace in whole seconds, give or take those that the test took. */
static void assert_age(struct pace pace, uint64_t seconds)
{
    struct histogram_reading reading = histogram_read(&pace.ages, &pace_ages);
    assert_int_equal(reading.count, 1);
    assert_in_range(reading.sum / 1000000, seconds, seconds + 60);
}

static void the_age_is_that_of_the_messages_own_time(void **state)
{
    (void)state;
    uint64_t now = (uint64_t)time(NULL);
    assert_age(note(AUTH_QUERY, now - 1000, now - 5000), 1000);
    assert_age(note(AUTH_RESPONSE, now - 1000, now - 5000), 5000);
    assert_age(note(AUTH_RESPONSE, now - 1000, 0), 1000);
    assert_age(note(AUTH_QUERY, 0, now - 5000), 5000);
}

static void a_clock_ahead_gives_no_age(void **state)
{
    (void)state;
    const uint64_t ahead[] = {(uint64_t)time(NULL) + 5000, UINT64_MAX};
    for (int i = 0; i < 2; i++) {
        struct pace pace = note(AUTH_QUERY, ahead[i], 0);
        struct histogram_reading reading = histogram_read(&pace.ages, &pace_ages);
        assert_int_equal(reading.count, 1);
        assert_int_equal(reading.sum, 0);
    }
}

static void what_has_no_time_has_no_age(void **state)
{
    (void)state;
    struct pace pace = note(AUTH_QUERY, 0, 0);
    assert_int_equal(histogram_read(&pace.ages, &pace_ages).count, 0);
    const struct batch torn = {.data = (const uint8_t *)"\0\0\0\2xx", .len = 6, .count = 1};
    pace_note(&pace, &torn);
    assert_int_equal(histogram_read(&pace.ages, &pace_ages).count, 0);
    assert_int_equal(histogram_read(&pace.sizes, &pace_sizes).count, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_fall_at_and_below_their_bound),
        cmocka_unit_test(bounds_ascend),
        cmocka_unit_test(the_age_is_that_of_the_messages_own_time),
        cmocka_unit_test(a_clock_ahead_gives_no_age),
        cmocka_unit_test(what_has_no_time_has_no_age),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
