/* The front-loss rule at the intake, and frames torn into any pieces on their way to it. */
#include "intake.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"
#include "frame.h"
#include "stream.h"

struct lane {
    struct bell filled;
    struct ring *ring;
    struct account account;
};

static void lane_open(struct lane *lane, struct intake *intake, size_t capacity)
{
    *lane = (struct lane){0};
    lane->ring = ring_new(capacity, &lane->filled);
    assert_true(intake_add(
        intake, (struct entrance){.ring = lane->ring, .account = &lane->account, .sink = "test"}));
}

static void put(struct intake *intake, uint32_t messages)
{
    for (uint32_t i = 0; i < messages; i++) {
        size_t have;
        uint8_t *space = intake_space(intake, 104, &have);
        store_be32(space, 100);
        memset(space + 4, 'x', 100);
        intake_commit(intake, 104, 1);
    }
    intake_flush(intake);
}

static uint64_t drain(struct lane *lane)
{
    uint64_t count = 0;
    struct batch *batch;
    while ((batch = ring_take(lane->ring))) {
        count += batch->count;
        account_settle(&lane->account, OUTCOME_DELIVERED, batch->count);
        batch_unref(batch);
    }
    return count;
}

static void a_full_ring_drops_exactly_and_alone(void **state)
{
    (void)state;
    struct lane small, large;
    struct intake *intake = intake_new("test", WHEN_FULL_DROP);
    lane_open(&small, intake, 10000);
    lane_open(&large, intake, 1 << 20);
    for (int i = 0; i < 100; i++)
        put(intake, 10);
    struct tally t = account_read(&small.account);
    assert_int_equal(t.received, 1000);
    assert_int_equal(t.dropped + drain(&small), 1000);
    assert_true(t.dropped > 0);
    assert_int_equal(account_read(&small.account).in_flight, 0);
    assert_int_equal(drain(&large), 1000);
    assert_int_equal(account_read(&large.account).dropped, 0);
    intake_refuse(intake, 3);
    assert_int_equal(account_read(&large.account).malformed, 3);
    assert_int_equal(account_read(&large.account).in_flight, 0);
    intake_free(intake);
    ring_free(small.ring);
    ring_free(large.ring);
}

static void *drain_until(void *arg)
{
    struct lane *lane = arg;
    uint64_t count = 0;
    while (count < 20000) {
        uint32_t seen = bell_listen(&lane->filled);
        uint64_t some = drain(lane);
        count += some;
        if (!some)
            bell_wait(&lane->filled, seen, -1);
    }
    return NULL;
}

static void with_block_nothing_is_dropped(void **state)
{
    (void)state;
    struct lane lane;
    pthread_t consumer;
    struct intake *intake = intake_new("test", WHEN_FULL_BLOCK);
    lane_open(&lane, intake, 4000);
    pthread_create(&consumer, NULL, drain_until, &lane);
    for (int i = 0; i < 2000; i++)
        put(intake, 10);
    pthread_join(consumer, NULL);
    struct tally t = account_read(&lane.account);
    assert_int_equal(t.delivered, 20000);
    assert_int_equal(t.dropped, 0);
    intake_free(intake);
    ring_free(lane.ring);
}

static void *give_up_soon(void *arg)
{
    struct timespec soon = {.tv_nsec = 20000000};
    nanosleep(&soon, NULL);
    intake_give_up(arg);
    return NULL;
}

static void giving_up_ends_the_wait_and_counts(void **state)
{
    (void)state;
    struct lane lane;
    pthread_t thread;
    struct intake *intake = intake_new("test", WHEN_FULL_BLOCK);
    lane_open(&lane, intake, 2000);
    pthread_create(&thread, NULL, give_up_soon, intake);
    for (int i = 0; i < 10; i++)
        put(intake, 10);
    pthread_join(thread, NULL);
    struct tally t = account_read(&lane.account);
    assert_int_equal(t.received, 100);
    assert_int_equal(t.dropped + drain(&lane), 100);
    intake_free(intake);
    ring_free(lane.ring);
}

/* A stream of frames of all sizes with control frames between them; what it holds, besides. */
struct tape {
    struct buffer octets;
    struct buffer frames; /* as data frames, without the control frames */
    uint32_t controls;
};

static void tape_control(struct tape *tape)
{
    uint8_t frame[CONTROL_HEADER + CONTROL_MAX];
    buffer_put(&tape->octets, frame, control_write(CONTROL_START, frame));
    tape->controls++;
}

static void tape_frame(struct tape *tape, size_t len)
{
    uint8_t *frame = malloc(FRAME_HEADER + len);
    store_be32(frame, (uint32_t)len);
    for (size_t i = 0; i < len; i++)
        frame[FRAME_HEADER + i] = (uint8_t)random();
    buffer_put(&tape->octets, frame, FRAME_HEADER + len);
    buffer_put(&tape->frames, frame, FRAME_HEADER + len);
    free(frame);
}

static void record(struct tape *tape)
{
    static const size_t sizes[] = {1, 2, 150, 150, 150, 3000, 57000, 57400, 65532, 65536, 200000};
    tape_control(tape);
    for (int i = 0; i < 120; i++) {
        tape_frame(tape, sizes[(size_t)random() % (sizeof sizes / sizeof *sizes)]);
        if (random() % 10 == 0)
            tape_control(tape);
    }
}

static size_t piece_size(void)
{
    static const size_t sizes[] = {1, 2, 3, 5, 100, 4000, 65536, 100000};
    return sizes[(size_t)random() % (sizeof sizes / sizeof *sizes)];
}

/* Plays the tape through a stream in random pieces; collects what comes out of the ring. */
static void play(const struct tape *tape, struct buffer *got, uint32_t frames_max)
{
    struct lane lane;
    struct error error = {{0}};
    struct stream_budget budget = {.limit = 64 << 20};
    struct intake *intake = intake_new("test", WHEN_FULL_DROP);
    struct stream *stream = stream_new(1 << 20, false, &budget);
    uint32_t controls = 0;
    lane_open(&lane, intake, 256 << 20);
    for (size_t at = 0; at < tape->octets.len;) {
        struct stream_window window;
        assert_true(stream_window(stream, intake, &window, &error));
        assert_true(window.len > 0);
        size_t n = piece_size();
        n = n < window.len ? n : window.len;
        n = n < tape->octets.len - at ? n : tape->octets.len - at;
        memcpy(window.at, tape->octets.data + at, n);
        at += n;
        enum stream_result result;
        while ((result = stream_received(stream, intake, n, frames_max, &error)) != STREAM_MORE) {
            assert_int_not_equal(result, STREAM_BROKEN);
            controls += result == STREAM_CONTROL;
            n = 0;
        }
    }
    intake_flush(intake);
    assert_int_equal(stream_torn(stream), 0);
    assert_int_equal(controls, tape->controls);
    struct batch *batch;
    while ((batch = ring_take(lane.ring))) {
        buffer_put(got, batch->data, batch->len);
        batch_unref(batch);
    }
    stream_free(stream);
    assert_int_equal(budget.used, 0);
    intake_free(intake);
    ring_free(lane.ring);
}

static void frames_torn_anyhow_come_out_whole_and_in_order(void **state)
{
    (void)state;
    srandom(19);
    for (int round = 0; round < 12; round++) {
        struct tape tape = {0};
        struct buffer got = {0};
        record(&tape);
        play(&tape, &got, round % 3 ? 0 : 3);
        assert_int_equal(got.len, tape.frames.len);
        assert_memory_equal(got.data, tape.frames.data, got.len);
        buffer_free(&tape.octets);
        buffer_free(&tape.frames);
        buffer_free(&got);
    }
}

static enum stream_result feed(struct stream *stream, struct intake *intake, const void *data, size_t len,
                               struct error *error)
{
    struct stream_window window;
    if (!stream_window(stream, intake, &window, error))
        return STREAM_BROKEN;
    memcpy(window.at, data, len);
    return stream_received(stream, intake, len, 0, error);
}

static void limits_break_a_stream_and_say_why(void **state)
{
    (void)state;
    uint8_t start[CONTROL_HEADER + CONTROL_MAX];
    size_t start_len = control_write(CONTROL_START, start);
    struct error error;
    struct stream_budget budget = {.limit = 100000};
    struct intake *intake = intake_new("test", WHEN_FULL_DROP);

    struct stream *stream = stream_new(1000, false, &budget);
    assert_int_equal(feed(stream, intake, "\0\0\0\4abcd", 8, &error), STREAM_BROKEN);
    assert_non_null(strstr(error.text, "does not begin"));
    stream_free(stream);

    stream = stream_new(1000, false, &budget);
    assert_int_equal(feed(stream, intake, start, start_len, &error), STREAM_CONTROL);
    assert_int_equal(feed(stream, intake, "\0\0\3\xe9", 4, &error), STREAM_BROKEN);
    assert_non_null(strstr(error.text, "1001 octets is longer than max-frame=1000"));
    stream_free(stream);

    stream = stream_new(1 << 20, false, &budget);
    assert_int_equal(feed(stream, intake, start, start_len, &error), STREAM_CONTROL);
    assert_int_equal(feed(stream, intake, "\0\2\0\0", 4, &error), STREAM_BROKEN);
    assert_non_null(strstr(error.text, "100000 octets"));
    stream_free(stream);
    assert_int_equal(budget.used, 0);
    intake_free(intake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_ring_drops_exactly_and_alone),
        cmocka_unit_test(with_block_nothing_is_dropped),
        cmocka_unit_test(giving_up_ends_the_wait_and_counts),
        cmocka_unit_test(frames_torn_anyhow_come_out_whole_and_in_order),
        cmocka_unit_test(limits_break_a_stream_and_say_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
