/* The ring between two threads: order, bounds, refusal, sleep and waking. */
#include "ring.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "cmocka_all.h"

#if defined(__SANITIZE_THREAD__)
enum { OPERATIONS = 2000000 };
#elif defined(__SANITIZE_ADDRESS__) || !defined(NDEBUG)
enum { OPERATIONS = 10000000 };
#else
enum { OPERATIONS = 200000000 };
#endif

enum { SMALL = 64 * 1024, LARGE = 8 << 20, KINDS = 64 };

static _Atomic long released;

static void count_release(struct batch *batch)
{
    (void)batch;
    atomic_fetch_add(&released, 1);
}

/* Batches are told apart by where they stand, so the same few serve for any number of operations. */
struct traffic {
    struct ring *ring;
    struct bell filled;
    struct batch batches[KINDS];
    _Atomic int done;
    unsigned long operations;
    bool nap; /* let the other side fall asleep now and then */
};

static void traffic_init(struct traffic *t, size_t capacity, unsigned long operations, bool nap)
{
    *t = (struct traffic){.operations = operations, .nap = nap};
    t->ring = ring_new(capacity, &t->filled);
    for (int i = 0; i < KINDS; i++) {
        t->batches[i] = (struct batch){.footprint = (uint32_t)(64 * (1 + i)), .release = count_release};
        atomic_init(&t->batches[i].refs, 1);
    }
}

static void nap_sometimes(const struct traffic *t, unsigned long i)
{
    if (t->nap && i % 97 == 0)
        usleep(50);
}

/* Looks a few times before it sleeps, so that most operations meet the other side at work. */
static struct batch *take(struct traffic *t)
{
    for (int look = 0; look < 200; look++) {
        struct batch *batch = ring_take(t->ring);
        if (batch)
            return batch;
    }
    return NULL;
}

static bool offer(struct traffic *t, struct batch *batch)
{
    for (int look = 0; look < 200; look++) {
        if (ring_offer(t->ring, batch))
            return true;
    }
    return false;
}

static void *consume(void *arg)
{
    struct traffic *t = arg;
    unsigned long wrong = 0;
    for (unsigned long i = 0; i < t->operations;) {
        uint32_t seen = bell_listen(&t->filled);
        struct batch *batch = take(t);
        if (!batch) {
            bell_wait(&t->filled, seen, -1);
            continue;
        }
        wrong += batch != &t->batches[i % KINDS];
        nap_sometimes(t, i + 31);
        i++;
    }
    atomic_store(&t->done, 1);
    return (void *)wrong;
}

static void *watch_bound(void *arg)
{
    struct traffic *t = arg;
    unsigned long wrong = 0;
    while (!atomic_load(&t->done)) {
        wrong += ring_octets(t->ring) > ring_capacity(t->ring);
        usleep(20);
    }
    return (void *)wrong;
}

static void run_traffic(size_t capacity, unsigned long operations, bool nap)
{
    struct traffic t;
    pthread_t consumer, watcher;
    void *wrong;
    traffic_init(&t, capacity, operations, nap);
    pthread_create(&consumer, NULL, consume, &t);
    pthread_create(&watcher, NULL, watch_bound, &t);
    for (unsigned long i = 0; i < operations; i++) {
        for (;;) {
            uint32_t seen = bell_listen(ring_drained(t.ring));
            if (offer(&t, &t.batches[i % KINDS]))
                break;
            bell_wait(ring_drained(t.ring), seen, -1);
        }
        nap_sometimes(&t, i);
    }
    pthread_join(consumer, &wrong);
    assert_null(wrong);
    pthread_join(watcher, &wrong);
    assert_null(wrong);
    assert_int_equal(ring_octets(t.ring), 0);
    ring_free(t.ring);
}

static void keeps_order_and_bound_between_two_threads(void **state)
{
    (void)state;
    run_traffic(LARGE, OPERATIONS, false);
    run_traffic(SMALL, OPERATIONS / 50, false); /* now and then full, now and then empty */
}

static void misses_no_waking_when_both_sides_fall_asleep(void **state)
{
    (void)state;
    run_traffic(SMALL, OPERATIONS / 1000, true);
}

static void refuses_when_full_and_takes_nothing(void **state)
{
    (void)state;
    struct bell filled = {0};
    struct ring *ring = ring_new(1000, &filled);
    struct batch a = {.footprint = 600}, b = {.footprint = 500}, c = {.footprint = 400};
    assert_true(ring_offer(ring, &a));
    assert_false(ring_offer(ring, &b));
    assert_true(ring_offer(ring, &c));
    assert_int_equal(ring_octets(ring), 1000);
    assert_ptr_equal(ring_take(ring), &a);
    assert_true(ring_offer(ring, &b));
    assert_ptr_equal(ring_take(ring), &c);
    assert_ptr_equal(ring_take(ring), &b);
    assert_null(ring_take(ring));
    ring_free(ring);
}

static void a_batch_larger_than_the_ring_never_goes_in(void **state)
{
    (void)state;
    struct bell filled = {0};
    struct ring *ring = ring_new(1000, &filled);
    struct batch large = {.footprint = 1001};
    assert_false(ring_offer(ring, &large));
    assert_int_equal(ring_octets(ring), 0);
    ring_free(ring);
}

static void is_bounded_in_slots_too(void **state)
{
    (void)state;
    struct bell filled = {0};
    struct ring *ring = ring_new(1 << 20, &filled);
    struct batch tiny = {.footprint = 1, .release = count_release};
    atomic_init(&tiny.refs, 1 << 30);
    unsigned long n = 0;
    while (ring_offer(ring, &tiny))
        n++;
    assert_in_range(n, (1 << 20) / 256, 1 << 20);
    atomic_store(&released, 0);
    ring_free(ring);
    assert_int_equal(tiny.refs, (1 << 30) - n);
}

static void frees_what_is_still_inside(void **state)
{
    (void)state;
    struct bell filled = {0};
    struct ring *ring = ring_new(1 << 20, &filled);
    atomic_store(&released, 0);
    for (int i = 0; i < 10; i++) {
        struct batch *batch = batch_alloc(100);
        assert_non_null(batch);
        assert_true(ring_offer(ring, batch));
    }
    ring_free(ring); /* the address sanitizer tells whether all were freed */
}

static void a_bell_waits_no_longer_than_told(void **state)
{
    (void)state;
    struct bell bell = {0};
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    bell_wait(&bell, bell_listen(&bell), 30);
    clock_gettime(CLOCK_MONOTONIC, &after);
    assert_true((after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000 >= 29);
}

static void a_bell_rung_before_the_wait_is_heard(void **state)
{
    (void)state;
    struct bell bell = {0};
    uint32_t seen = bell_listen(&bell);
    bell_ring(&bell);
    bell_wait(&bell, seen, -1); /* would sleep for ever */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_order_and_bound_between_two_threads),
        cmocka_unit_test(misses_no_waking_when_both_sides_fall_asleep),
        cmocka_unit_test(refuses_when_full_and_takes_nothing),
        cmocka_unit_test(a_batch_larger_than_the_ring_never_goes_in),
        cmocka_unit_test(is_bounded_in_slots_too),
        cmocka_unit_test(frees_what_is_still_inside),
        cmocka_unit_test(a_bell_waits_no_longer_than_told),
        cmocka_unit_test(a_bell_rung_before_the_wait_is_heard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
