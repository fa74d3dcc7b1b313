/* The equation of the ledger, in every reading, while both threads write. */
#include "ledger.h"

#include <pthread.h>
#include <sched.h>

#include "harness.h"

static void every_outcome_has_its_counter(void **state)
{
    (void)state;
    static struct account account;
    account_received(&account, 100);
    account_dropped(&account, 1);
    account_refused(&account, 2);
    account_settle(&account, OUTCOME_DELIVERED, 4);
    account_settle(&account, OUTCOME_FILTERED, 8);
    account_settle(&account, OUTCOME_MALFORMED, 16);
    account_settle(&account, OUTCOME_FAILED, 32);
    struct tally t = account_read(&account);
    assert_int_equal(t.received, 100);
    assert_int_equal(t.dropped, 1);
    assert_int_equal(t.delivered, 4);
    assert_int_equal(t.filtered, 8);
    assert_int_equal(t.malformed, 16 + 2);
    assert_int_equal(t.failed, 32);
    assert_int_equal(t.in_flight, 100 - 63);

    struct tally sum = {0};
    tally_add(&sum, &t);
    tally_add(&sum, &t);
    assert_int_equal(sum.received, 200);
    assert_int_equal(sum.in_flight, 74);
    assert_int_equal(sum.delivered + sum.dropped + sum.filtered + sum.rejected + sum.malformed + sum.failed, 126);
}

struct desk {
    struct account account;
    _Atomic uint64_t handed_over; /* what the sink may settle */
    uint64_t until;
    _Atomic int over;
};

static void *receive(void *arg)
{
    struct desk *desk = arg;
    for (uint64_t i = 0; i < desk->until; i++) {
        account_received(&desk->account, 3);
        if (i % 4 == 0)
            account_dropped(&desk->account, 3);
        else if (i % 5 == 0)
            account_refused(&desk->account, 3);
        else
            atomic_fetch_add_explicit(&desk->handed_over, 3, memory_order_release);
    }
    atomic_store(&desk->over, 1);
    return NULL;
}

static void *settle(void *arg)
{
    struct desk *desk = arg;
    uint64_t settled = 0;
    for (;;) {
        int over = atomic_load(&desk->over);
        uint64_t ready = atomic_load_explicit(&desk->handed_over, memory_order_acquire);
        if (ready == settled && over)
            return NULL;
        if (ready == settled)
            sched_yield();
        for (; settled < ready; settled++)
            account_settle(&desk->account, (enum outcome)(settled % OUTCOMES), 1);
    }
}

static void the_equation_holds_in_every_reading(void **state)
{
    (void)state;
    static struct desk desk;
    pthread_t threads[2];
    uint64_t wrong = 0, readings = 0, last = 0;
    desk.until = work_for_build(20000000);
    assert_int_equal(pthread_create(&threads[0], NULL, receive, &desk), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, settle, &desk), 0);
    while (!atomic_load(&desk.over)) {
        struct tally t = account_read(&desk.account);
        uint64_t sum = t.delivered + t.dropped + t.filtered + t.rejected + t.malformed + t.failed + t.in_flight;
        /* in_flight is computed, so what could go wrong is that it is less than nothing */
        wrong += sum != t.received || t.in_flight > t.received || t.received < last;
        last = t.received;
        readings++;
    }
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(wrong, 0);
    assert_true(readings > 0);
    struct tally t = account_read(&desk.account);
    assert_int_equal(t.received, desk.until * 3);
    assert_int_equal(t.in_flight, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_outcome_has_its_counter),
        cmocka_unit_test(the_equation_holds_in_every_reading),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
