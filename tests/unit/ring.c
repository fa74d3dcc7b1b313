/* The ring under two threads: order, bounds, wakeups; and by one thread what each call promises. */
#include "ring.h"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "harness.h"
#include "noise.h"

enum {
    CAPACITY = 64 * 1024,
    RACE_CAPACITY = 1024 * 1024,
    LOOKS = 200, /* before a side sleeps */
    CAST = 8192, /* batches that are used in turn: more than the ring has slots */
};

static unsigned released;

static void count_release(struct batch *batch)
{
    (void)batch;
    released++;
}

static struct batch batch_of(uint32_t footprint)
{
    return (struct batch){.refs = 1, .count = 1, .footprint = footprint, .release = count_release};
}

static void takes_come_in_the_order_of_offers(void **state)
{
    (void)state;
    struct bell filled = {0};
    struct ring *ring = ring_new(CAPACITY, &filled);
    struct batch batches[3] = {batch_of(128), batch_of(256), batch_of(64)};
    assert_null(ring_take(ring));
    assert_int_equal(ring_octets(ring), 0);
    for (int i = 0; i < 3; i++)
        assert_true(ring_offer(ring, &batches[i]));
    assert_int_equal(ring_octets(ring), 128 + 256 + 64);
    for (int i = 0; i < 3; i++)
        assert_ptr_equal(ring_take(ring), &batches[i]);
    assert_null(ring_take(ring));
    assert_int_equal(ring_octets(ring), 0);
    assert_int_equal(ring_capacity(ring), CAPACITY);
    ring_free(ring);
}

static void a_full_ring_refuses_and_takes_nothing(void **state)
{
    (void)state;
    struct bell filled = {0};
    struct ring *ring = ring_new(4096, &filled);
    struct batch half = batch_of(2048), rest = batch_of(2047), two = batch_of(2), one = batch_of(1);
    assert_true(ring_offer(ring, &half));
    assert_true(ring_offer(ring, &rest));
    uint32_t rings = bell_listen(&filled);
    assert_false(ring_offer(ring, &two));
    assert_false(ring_has_room(ring, 2));
    assert_true(ring_has_room(ring, 1));
    assert_int_equal(ring_octets(ring), 4095);
    assert_int_equal(two.refs, 1);
    assert_int_equal(bell_listen(&filled), rings);
    assert_true(ring_offer(ring, &one));
    assert_int_equal(ring_octets(ring), 4096);

    assert_ptr_equal(ring_take(ring), &half);
    assert_true(ring_offer(ring, &two));
    ring_free(ring);
}

static void a_batch_beyond_the_capacity_never_fits(void **state)
{
    (void)state;
    struct bell filled = {0};
    struct ring *ring = ring_new(4096, &filled);
    struct batch whole = batch_of(4096), beyond = batch_of(4097);
    assert_false(ring_offer(ring, &beyond));
    assert_true(ring_offer(ring, &whole));
    ring_free(ring);
}

static void small_batches_find_the_slots_full(void **state)
{
    (void)state;
    struct bell filled = {0};
    struct ring *ring = ring_new(CAPACITY, &filled);
    struct batch tiny = batch_of(1);
    unsigned in = 0;
    while (in < CAPACITY && ring_offer(ring, &tiny))
        in++;
    assert_int_equal(in, CAPACITY / 256);
    for (unsigned turn = 0; turn < 3 * in; turn++) { /* over the end of the slots and on */
        assert_non_null(ring_take(ring));
        assert_true(ring_offer(ring, &tiny));
        assert_false(ring_offer(ring, &tiny));
    }
    assert_int_equal(ring_octets(ring), in);
    assert_true(ring_overhead(CAPACITY) >= in * sizeof(struct batch *));
    ring_free(ring);
}

static void what_is_inside_is_released_with_the_ring(void **state)
{
    (void)state;
    struct bell filled = {0};
    struct ring *ring = ring_new(CAPACITY, &filled);
    struct batch batches[5];
    released = 0;
    for (int i = 0; i < 5; i++) {
        batches[i] = batch_of(100);
        assert_true(ring_offer(ring, &batches[i]));
    }
    batch_unref(ring_take(ring));
    assert_int_equal(released, 1);
    ring_free(ring);
    assert_int_equal(released, 5);
    ring_free(NULL);
}

static void both_bells_are_rung(void **state)
{
    (void)state;
    struct bell filled = {0};
    struct ring *ring = ring_new(CAPACITY, &filled);
    struct batch batch = batch_of(100);
    uint32_t filled_seen = bell_listen(&filled);
    uint32_t drained_seen = bell_listen(ring_drained(ring));
    assert_true(ring_offer(ring, &batch));
    assert_int_not_equal(bell_listen(&filled), filled_seen);
    assert_int_equal(bell_listen(ring_drained(ring)), drained_seen);
    ring_take(ring);
    assert_int_not_equal(bell_listen(ring_drained(ring)), drained_seen);
    ring_take(ring); /* nothing was taken out */
    assert_int_equal(bell_listen(ring_drained(ring)), drained_seen + 1);
    ring_free(ring);
}

/* Two threads, and a third that watches the bound. */
struct race {
    struct ring *ring;
    struct bell filled;
    struct batch cast[CAST];
    uint64_t batches;
    uint64_t wrong; /* batches that were not the expected one */
    uint64_t octets_in, octets_out;
    _Atomic int over;
    size_t most; /* octets that the watcher saw */
    uint64_t samples;
    bool naps; /* tiny random sleeps on both sides */
};

static void maybe_nap(const struct race *race, uint64_t *noise)
{
    uint32_t kind = race->naps ? noise_below(noise, 64) : 63;
    if (kind < 4)
        usleep(kind * 20);
    else if (kind < 8)
        sched_yield();
}

/* Now and then a look succeeds before it is worth to sleep; the naps are there for the sleeping. */
static bool offer(struct race *race, struct batch *batch)
{
    for (int look = race->naps ? 1 : LOOKS; look > 0; look--) {
        if (ring_offer(race->ring, batch))
            return true;
    }
    return false;
}

static struct batch *take(struct race *race)
{
    struct batch *batch = NULL;
    for (int look = race->naps ? 1 : LOOKS; look > 0 && !batch; look--)
        batch = ring_take(race->ring);
    return batch;
}

static void offer_or_wait(struct race *race, struct batch *batch)
{
    struct bell *drained = ring_drained(race->ring);
    for (;;) {
        uint32_t seen = bell_listen(drained);
        if (offer(race, batch))
            return;
        bell_wait(drained, seen, -1);
    }
}

static struct batch *take_or_wait(struct race *race)
{
    for (;;) {
        uint32_t seen = bell_listen(&race->filled);
        struct batch *batch = take(race);
        if (batch)
            return batch;
        bell_wait(&race->filled, seen, -1);
    }
}

static void *produce(void *arg)
{
    struct race *race = arg;
    uint64_t noise = 1;
    for (uint64_t i = 0; i < race->batches; i++) {
        struct batch *batch = &race->cast[i % CAST];
        batch->count = (uint32_t)i;
        batch->footprint = 64 + noise_below(&noise, i / CAST % 2 ? 128 : 8192);
        race->octets_in += batch->footprint;
        offer_or_wait(race, batch);
        maybe_nap(race, &noise);
    }
    return NULL;
}

static void *consume(void *arg)
{
    struct race *race = arg;
    uint64_t noise = 2;
    for (uint64_t i = 0; i < race->batches; i++) {
        struct batch *batch = take_or_wait(race);
        race->octets_out += batch->footprint;
        if (batch != &race->cast[i % CAST] || batch->count != (uint32_t)i)
            race->wrong++;
        maybe_nap(race, &noise);
    }
    atomic_store(&race->over, 1);
    return NULL;
}

static void *watch(void *arg)
{
    struct race *race = arg;
    while (!atomic_load(&race->over)) {
        for (int i = 0; i < 16; i++) {
            size_t octets = ring_octets(race->ring);
            race->most = octets > race->most ? octets : race->most;
            race->samples++;
        }
        usleep(500);
    }
    return NULL;
}

static void run_race(struct race *race, size_t capacity)
{
    pthread_t threads[3];
    race->ring = ring_new(capacity, &race->filled);
    assert_non_null(race->ring);
    assert_int_equal(pthread_create(&threads[0], NULL, produce, race), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, consume, race), 0);
    assert_int_equal(pthread_create(&threads[2], NULL, watch, race), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(race->wrong, 0);
    assert_true(race->octets_in == race->octets_out);
    assert_null(ring_take(race->ring));
    assert_int_equal(ring_octets(race->ring), 0);
    assert_in_range(race->most, 0, capacity);
    ring_free(race->ring);
}

static void two_threads_lose_and_double_nothing(void **state)
{
    (void)state;
    static struct race race;
    uint64_t operations = work_asked_for("RING_OPERATIONS", 200000000);
    race.batches = operations / 2; /* each is offered once and taken once */
    run_race(&race, RACE_CAPACITY);
    print_message("%llu batches in and out; at most %zu of %d octets in %llu looks\n",
                  (unsigned long long)race.batches, race.most, RACE_CAPACITY,
                  (unsigned long long)race.samples);
}

static void threads_that_nap_miss_no_wakeup(void **state)
{
    (void)state;
    static struct race race;
    race.batches = 20000;
    race.naps = true;
    run_race(&race, 8192 + 64); /* one large batch at a time: both sides wait again and again */
}

/* One batch goes over, one comes back: each side sleeps before every single one. */
struct table {
    struct ring *ring[2];
    struct bell bell[2];
    unsigned rounds;
};

static struct batch *receive(struct table *table, int side)
{
    for (;;) {
        uint32_t seen = bell_listen(&table->bell[side]);
        struct batch *batch = ring_take(table->ring[side]);
        if (batch)
            return batch;
        bell_wait(&table->bell[side], seen, -1);
    }
}

static void *play(void *arg)
{
    struct table *table = arg;
    uint64_t noise = 3;
    for (unsigned i = 0; i < table->rounds; i++) {
        struct batch *ball = receive(table, 1);
        if (noise_below(&noise, 16) == 0)
            usleep(noise_below(&noise, 50));
        ring_offer(table->ring[0], ball);
    }
    return NULL;
}

static void ping_pong_never_stops(void **state)
{
    (void)state;
    struct table table = {.rounds = 50000};
    struct batch ball = batch_of(64);
    pthread_t player;
    uint64_t noise = 4;
    for (int i = 0; i < 2; i++)
        table.ring[i] = ring_new(4096, &table.bell[i]);
    assert_int_equal(pthread_create(&player, NULL, play, &table), 0);
    for (unsigned i = 0; i < table.rounds; i++) {
        assert_true(ring_offer(table.ring[1], &ball));
        assert_ptr_equal(receive(&table, 0), &ball);
        if (noise_below(&noise, 16) == 0)
            usleep(noise_below(&noise, 50));
    }
    pthread_join(player, NULL);
    for (int i = 0; i < 2; i++)
        ring_free(table.ring[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_come_in_the_order_of_offers),
        cmocka_unit_test(a_full_ring_refuses_and_takes_nothing),
        cmocka_unit_test(a_batch_beyond_the_capacity_never_fits),
        cmocka_unit_test(small_batches_find_the_slots_full),
        cmocka_unit_test(what_is_inside_is_released_with_the_ring),
        cmocka_unit_test(both_bells_are_rung),
        cmocka_unit_test(two_threads_lose_and_double_nothing),
        cmocka_unit_test(threads_that_nap_miss_no_wakeup),
        cmocka_unit_test(ping_pong_never_stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
