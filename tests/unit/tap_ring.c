/* The ring of a lane: what goes in comes out, at every offset, and never more than fits. */
#include "../../tap/tap.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static uint32_t random_below(uint64_t *state, uint32_t bound)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((*state >> 33) % bound);
}

static struct tap_lane *new_lane(size_t capacity)
{
    struct tap_lane *lane = lane_new(capacity);
    assert_non_null(lane);
    lane->constants = (const uint8_t *)"";
    return lane;
}

static uint8_t pattern[70000];

/* A message whose DNS part is `len` octets that tell its number; octets do not repeat with the
 * ring. */
static bool emit(struct tap_lane *lane, uint32_t number, uint32_t len)
{
    struct tap_message m = {
        .type = TAP_CLIENT_QUERY,
        .query_port = 1, /* always there, so that a length tells the frame's length */
        .query_message = {pattern + number % 251, len},
    };
    return tap_emit(lane, &m);
}

static size_t frame_size(uint32_t len)
{
    struct tap_message m = {
        .type = TAP_CLIENT_QUERY, .query_port = 1, .query_message = {pattern, len}};
    uint64_t body = put_message_fields(NULL, 0, &m);
    return (size_t)(FRAME_HEADER + 1 + put_varint(NULL, 0, body) + body + 2);
}

/* Checks the frame at `data` and returns its length. */
static size_t check(const uint8_t *data, uint32_t number, uint32_t len)
{
    size_t size = frame_size(len);
    assert_int_equal(FRAME_HEADER + load_be32(data), size);
    assert_memory_equal(data + size - 2 - len, pattern + number % 251, len);
    return size;
}

static void one_message_deep(void **state)
{
    (void)state;
    for (uint32_t len = 50; len < 300; len++) {
        struct tap_lane *lane = new_lane(frame_size(len));
        for (uint32_t i = 0; i < 20; i++) {
            assert_true(emit(lane, i, len));
            assert_false(emit(lane, i, 0));
            size_t used = lane_front(lane);
            struct tap_run run = lane_run(lane, lane->take, used, 1);
            check(run.data, i, len);
            uint32_t messages;
            assert_int_equal(lane_release(lane, run.len, &(uint32_t){0}, &messages), run.len);
        }
        assert_false(emit(lane, 0, len + 1));
        struct tap_counters c = tap_lane_counters(lane);
        assert_int_equal(c.accepted, 20);
        assert_int_equal(c.written, 20);
        assert_int_equal(c.dropped, 21);
        assert_int_equal(c.ring_used, 0);
        lane_free(lane);
    }
}

static void an_empty_and_the_longest_dns_message(void **state)
{
    (void)state;
    struct tap_lane *lane = new_lane(frame_size(65535) + frame_size(0));
    for (uint32_t i = 0; i < 100; i++) {
        assert_true(emit(lane, i, 65535));
        assert_true(emit(lane, i, 0));
        assert_false(emit(lane, i, 0));
        struct batch b = {.count = 0};
        batch_add(&b, lane);
        assert_int_equal(b.count, 1);
        assert_int_equal(b.runs[0].messages, 2);
        size_t first = check(b.runs[0].data, i, 65535);
        check(b.runs[0].data + first, i, 0);
        batch_settle(&b, b.runs[0].len, 0);
        assert_int_equal(lane_used(lane), 0);
    }
    lane_free(lane);
}

static void what_can_never_fit_is_dropped(void **state)
{
    (void)state;
    struct tap_lane *lane = new_lane(4 << 20);
    struct tap_message m = {.type = TAP_CLIENT_QUERY, .query_message = {pattern, TAP_FRAME_MAX}};
    assert_false(tap_emit(lane, &m));
    /* lengths that overflow 32 bits together; the octets are never looked at */
    struct tap_bytes huge = {pattern, UINT32_MAX};
    m.query_message = m.response_message = m.query_zone = m.query_address = huge;
    assert_false(tap_emit(lane, &m));
    assert_int_equal(tap_lane_counters(lane).dropped, 2);
    assert_int_equal(tap_lane_counters(lane).accepted, 0);
    lane_free(lane);
}

/* What the ring should hold. */
struct model {
    uint32_t number[4096], len[4096];
    unsigned first, last;
    size_t octets;
};

static void model_emit(struct model *m, struct tap_lane *lane, uint32_t number, uint32_t len)
{
    bool fits = m->octets + frame_size(len) <= lane->capacity;
    assert_int_equal(emit(lane, number, len), fits);
    if (!fits)
        return;
    m->number[m->last % 4096] = number;
    m->len[m->last % 4096] = len;
    m->last++;
    m->octets += frame_size(len);
}

/* Takes a random part of what is there, as a socket would, in several bites. */
static void model_take(struct model *m, struct tap_lane *lane, uint64_t *random)
{
    struct batch b = {.count = 0};
    batch_add(&b, lane);
    size_t all = 0, taken = 0;
    for (unsigned i = 0; i < b.count; i++)
        all += b.runs[i].len;
    assert_true(all <= m->octets);
    size_t goal = random_below(random, (uint32_t)all + 1);
    while (taken < goal) {
        size_t bite = 1 + random_below(random, (uint32_t)(goal - taken));
        /* everything that the bite completes must be what was put in */
        size_t torn = b.torn + bite;
        unsigned run = b.first;
        const uint8_t *at = b.runs[run].data - b.torn;
        while (m->first != m->last && frame_size(m->len[m->first % 4096]) <= torn) {
            size_t size = check(at, m->number[m->first % 4096], m->len[m->first % 4096]);
            m->first++;
            m->octets -= size;
            torn -= size;
            at += size;
            if (at >= b.runs[run].data + b.runs[run].len && ++run < b.count)
                at = b.runs[run].data;
        }
        batch_settle(&b, bite, 0);
        assert_int_equal(b.torn, torn);
        assert_int_equal(tap_lane_counters(lane).written, m->first);
        assert_int_equal(lane_used(lane), m->octets);
        taken += bite;
    }
}

/* Random traffic through a ring of this size; returns at how many offsets a frame began. */
static size_t run_model(size_t capacity, uint32_t rounds, uint64_t *random)
{
    static struct model m;
    memset(&m, 0, sizeof m);
    struct tap_lane *lane = new_lane(capacity);
    uint8_t *offsets = calloc(1, capacity);
    uint32_t longest = (uint32_t)capacity - 20;
    for (uint32_t i = 0; i < rounds; i++) {
        offsets[lane->put] = 1;
        model_emit(&m, lane, i, random_below(random, random_below(random, longest) + 1));
        if (random_below(random, 3) == 0)
            model_take(&m, lane, random);
    }
    struct tap_counters c = tap_lane_counters(lane);
    assert_int_equal(c.accepted + c.dropped, rounds);
    assert_int_equal(c.accepted, m.last);
    assert_int_equal(c.written, m.first);
    size_t seen = 0;
    for (size_t i = 0; i < capacity; i++)
        seen += offsets[i];
    free(offsets);
    lane_free(lane);
    return seen;
}

static void wraps_at_every_offset(void **state)
{
    (void)state;
    uint64_t random = 7;
    for (size_t capacity = TAP_RING_MIN; capacity < 160; capacity++) {
        size_t seen = run_model(capacity, 10000, &random);
        /* a frame has 14 octets at least, so none begins at 1 to 13 */
        assert_int_equal(seen, capacity - (frame_size(0) - 1));
    }
    for (size_t capacity = 160; capacity < 3000; capacity += 71)
        run_model(capacity, 5000, &random);
}

/* A batch cut at each of its octets: what is whole leaves the ring, what is torn stays. */
static void a_cut_anywhere_leaves_whole_messages(void **state)
{
    (void)state;
    const uint32_t lens[] = {30, 0, 200, 1, 77};
    size_t all = 0;
    for (int i = 0; i < 5; i++)
        all += frame_size(lens[i]);
    for (size_t cut = 0; cut <= all; cut++) {
        struct tap_lane *lane = new_lane(4096);
        for (uint32_t i = 0; i < 5; i++)
            assert_true(emit(lane, i, lens[i]));
        struct batch b = {.count = 0};
        batch_add(&b, lane);
        batch_settle(&b, cut, 0);
        size_t whole = 0;
        uint32_t messages = 0;
        while (messages < 5 && whole + frame_size(lens[messages]) <= cut)
            whole += frame_size(lens[messages++]);
        assert_int_equal(b.torn, cut - whole);
        assert_int_equal(tap_lane_counters(lane).written, messages);
        assert_int_equal(lane_used(lane), all - whole);
        if (messages < 5) /* the next batch begins with the torn one, whole */
            check(lane->memory + lane->take, messages, lens[messages]);
        lane_free(lane);
    }
}

/* ---- two threads ---- */

enum { STRESS_MESSAGES = 300000 };

static uint32_t stress_len(uint32_t number)
{
    return number * 2654435761u >> 23; /* 0 to 511 */
}

static void *stress_produce(void *arg)
{
    struct tap_lane *lane = arg;
    for (uint32_t i = 0; i < STRESS_MESSAGES;)
        if (emit(lane, i, stress_len(i)))
            i++;
    return NULL;
}

static void one_thread_emits_another_takes(void **state)
{
    (void)state;
    struct tap_lane *lane = new_lane(5000);
    pthread_t producer;
    assert_int_equal(pthread_create(&producer, NULL, stress_produce, lane), 0);
    uint32_t number = 0;
    while (number < STRESS_MESSAGES) {
        struct batch b = {.count = 0};
        if (batch_add(&b, lane) == 0)
            continue;
        for (unsigned i = 0; i < b.count; i++) {
            size_t at = 0;
            for (uint32_t n = 0; n < b.runs[i].messages; n++, number++)
                at += check(b.runs[i].data + at, number, stress_len(number));
            assert_int_equal(at, b.runs[i].len);
        }
        while (b.first < b.count)
            batch_settle(&b, b.runs[b.first].len, 0);
        struct tap_counters c = tap_lane_counters(lane);
        assert_true(c.written <= c.accepted);
        assert_int_equal(c.written, number);
    }
    pthread_join(producer, NULL);
    assert_int_equal(lane_used(lane), 0);
    assert_int_equal(tap_lane_counters(lane).accepted, STRESS_MESSAGES);
    lane_free(lane);
}

int main(void)
{
    uint64_t random = 3;
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = (uint8_t)random_below(&random, 256);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_message_deep),
        cmocka_unit_test(an_empty_and_the_longest_dns_message),
        cmocka_unit_test(what_can_never_fit_is_dropped),
        cmocka_unit_test(wraps_at_every_offset),
        cmocka_unit_test(a_cut_anywhere_leaves_whole_messages),
        cmocka_unit_test(one_thread_emits_another_takes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
