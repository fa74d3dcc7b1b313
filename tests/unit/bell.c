/* The bell: a ring between listening and waiting is not missed, a wait ends in time. */
#include "bell.h"

#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void a_wait_ends_after_its_timeout(void **state)
{
    (void)state;
    struct bell bell = {0};
    int64_t start = now_ms();
    bell_wait(&bell, bell_listen(&bell), 50);
    assert_in_range(now_ms() - start, 45, 5000);
    start = now_ms();
    bell_wait(&bell, bell_listen(&bell), 0);
    assert_in_range(now_ms() - start, 0, 40);
    assert_int_equal(bell.sleepers, 0);
}

static void a_ring_before_the_wait_is_not_missed(void **state)
{
    (void)state;
    struct bell bell = {.rings = UINT32_MAX}; /* the count may wrap */
    uint32_t seen = bell_listen(&bell);
    bell_ring(&bell);
    bell_wait(&bell, seen, -1);
    assert_int_equal(bell_listen(&bell), 0);
}

struct sleepers {
    struct bell bell;
    _Atomic int go;
    _Atomic int awake;
};

static void *sleep_until_go(void *arg)
{
    struct sleepers *s = arg;
    for (;;) {
        uint32_t seen = bell_listen(&s->bell);
        if (atomic_load(&s->go))
            break;
        bell_wait(&s->bell, seen, -1);
    }
    atomic_fetch_add(&s->awake, 1);
    return NULL;
}

static void one_ring_wakes_all(void **state)
{
    (void)state;
    struct sleepers s = {.go = 0};
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, sleep_until_go, &s), 0);
    while (atomic_load(&s.bell.sleepers) < 4)
        usleep(1000);
    atomic_store(&s.go, 1);
    bell_ring(&s.bell);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(s.awake, 4);
    assert_int_equal(s.bell.sleepers, 0);
}

/* Two threads that take turns: a single lost wakeup and both sleep for ever. */
struct turns {
    struct bell bell;
    _Atomic uint32_t turn;
    uint32_t rounds;
};

static void take_turns(struct turns *t, uint32_t mine)
{
    for (uint32_t i = mine; i < t->rounds; i += 2) {
        for (;;) {
            uint32_t seen = bell_listen(&t->bell);
            if (atomic_load_explicit(&t->turn, memory_order_relaxed) == i)
                break;
            bell_wait(&t->bell, seen, -1);
        }
        /* relaxed: the bell orders it */
        atomic_store_explicit(&t->turn, i + 1, memory_order_relaxed);
        bell_ring(&t->bell);
    }
}

static void *take_odd_turns(void *arg)
{
    take_turns(arg, 1);
    return NULL;
}

static void no_wakeup_is_lost(void **state)
{
    (void)state;
    struct turns turns = {.rounds = 200000};
    pthread_t other;
    assert_int_equal(pthread_create(&other, NULL, take_odd_turns, &turns), 0);
    take_turns(&turns, 0);
    pthread_join(other, NULL);
    assert_int_equal(turns.turn, turns.rounds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wait_ends_after_its_timeout),
        cmocka_unit_test(a_ring_before_the_wait_is_not_missed),
        cmocka_unit_test(one_ring_wakes_all),
        cmocka_unit_test(no_wakeup_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
