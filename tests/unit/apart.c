/* Work that does not end is left behind, and what it holds is freed when it does. */
#include "adapters/apart.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "harness.h"
#include "waker.h"

struct work {
    struct waker gate; /* it ends when this is woken */
    _Atomic int *ended;
};

static void work(void *arg)
{
    struct work *w = arg;
    waker_wait(&w->gate, -1, 0, -1);
    atomic_fetch_add(w->ended, 1);
    waker_close(&w->gate);
    free(w);
}

static struct work *work_new(_Atomic int *ended)
{
    struct work *w = calloc(1, sizeof *w);
    assert_non_null(w);
    assert_true(waker_init(&w->gate));
    w->ended = ended;
    return w;
}

static void what_ends_in_time_is_waited_for(void **state)
{
    (void)state;
    _Atomic int ended = 0;
    struct work *w = work_new(&ended);
    waker_wake(&w->gate);
    assert_true(run_apart(work, w, 60000));
    assert_int_equal(atomic_load(&ended), 1);
}

static void what_does_not_end_is_left_behind(void **state)
{
    (void)state;
    static _Atomic int ended;
    struct work *w = work_new(&ended);
    int gate = dup(w->gate.fd);
    assert_false(run_apart(work, w, 20));
    assert_int_equal(atomic_load(&ended), 0);
    struct waker later = {.fd = gate};
    waker_wake(&later);
    while (atomic_load(&ended) == 0)
        waker_wait(&(struct waker){.fd = -1}, -1, 0, 1);
    waker_close(&later);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_ends_in_time_is_waited_for),
        cmocka_unit_test(what_does_not_end_is_left_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
