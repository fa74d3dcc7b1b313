/* Offsets move in order, and over nothing that was not settled well. librdkafka's store is watched
 * by --wrap. */
#include "../../adapters/kafka_offsets.h"

#include <pthread.h>

#include "harness.h"
#include "pledge.h"

enum { PARTITIONS = 4, ENTRIES = 64 };

static int64_t stored[PARTITIONS];
static unsigned stores;

rd_kafka_resp_err_t __wrap_rd_kafka_offsets_store(rd_kafka_t *rk,
                                                  rd_kafka_topic_partition_list_t *list);

rd_kafka_resp_err_t __wrap_rd_kafka_offsets_store(rd_kafka_t *rk,
                                                  rd_kafka_topic_partition_list_t *list)
{
    (void)rk;
    stores++;
    for (int i = 0; i < list->cnt; i++) {
        assert_string_equal(list->elems[i].topic, "topic");
        assert_true(stored[list->elems[i].partition] <= list->elems[i].offset);
        stored[list->elems[i].partition] = list->elems[i].offset;
    }
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static struct offsets *begin(bool hold)
{
    static int anything; /* only ever handed to the function above */
    memset(stored, 0, sizeof stored);
    stores = 0;
    struct offsets *o =
        offsets_new((rd_kafka_t *)(void *)&anything, "kafka://x/topic", "topic", hold);
    assert_non_null(o);
    return o;
}

/* A batch of one record. */
static struct pledge *batch(struct offsets *o, int32_t partition, int64_t next)
{
    offsets_note(o, partition, next);
    struct pledge *pledge = offsets_pledge(o);
    assert_non_null(pledge);
    pledge_promise(pledge, 1);
    return pledge;
}

static void settle(struct pledge *pledge)
{
    pledge_settle(pledge, 1);
    pledge_unref(pledge);
}

static void they_move_in_order_whatever_is_settled_first(void **state)
{
    (void)state;
    struct offsets *o = begin(true);
    struct pledge *first = batch(o, 0, 1), *second = batch(o, 0, 2), *third = batch(o, 1, 7);
    settle(third);
    settle(second);
    assert_int_equal(stores, 0);
    assert_false(offsets_wait(o, 0));
    settle(first);
    assert_int_equal(stored[0], 2);
    assert_int_equal(stored[1], 7);
    assert_true(offsets_wait(o, 0));
    offsets_close(o);
}

static void an_entry_holds_the_last_offset_of_each_partition(void **state)
{
    (void)state;
    struct offsets *o = begin(true);
    for (int64_t i = 1; i <= 100; i++)
        offsets_note(o, (int32_t)(i % PARTITIONS), i);
    offsets_settle_rest(o);
    assert_int_equal(stores, 1);
    assert_int_equal(stored[0], 100);
    assert_int_equal(stored[3], 99);
    offsets_settle_rest(o); /* nothing is noted: nothing to store */
    assert_int_equal(stores, 1);
    offsets_close(o);
}

static void what_is_not_kept_holds_all_that_follow(void **state)
{
    (void)state;
    struct offsets *o = begin(true);
    settle(batch(o, 0, 1));
    pledge_unref(batch(o, 0, 2)); /* never settled: dropped, failed or in flight */
    settle(batch(o, 0, 3));
    settle(batch(o, 1, 9));
    assert_int_equal(stored[0], 1);
    assert_int_equal(stored[1], 0);
    offsets_close(o);
}

static void or_is_passed_over(void **state)
{
    (void)state;
    struct offsets *o = begin(false);
    pledge_unref(batch(o, 0, 2));
    settle(batch(o, 0, 3));
    assert_int_equal(stored[0], 3);
    offsets_close(o);
}

static void a_spoilt_record_is_not_settled(void **state)
{
    (void)state;
    struct offsets *o = begin(true);
    offsets_note(o, 0, 5);
    offsets_spoil(o);
    offsets_settle_rest(o);
    assert_int_equal(stores, 0);
    offsets_close(o);
}

static void nothing_is_stored_after_the_end(void **state)
{
    (void)state;
    struct offsets *o = begin(true);
    struct pledge *late = batch(o, 0, 1);
    offsets_close(o);
    settle(late); /* frees it: the sanitizers see whether it does */
    assert_int_equal(stores, 0);
}

static void *settle_all(void *arg)
{
    struct pledge **pledges = arg;
    for (unsigned i = 0; i < ENTRIES; i++)
        settle(pledges[i]);
    return NULL;
}

static void other_threads_may_settle(void **state)
{
    (void)state;
    struct offsets *o = begin(true);
    struct pledge *mine[ENTRIES], *theirs[ENTRIES];
    pthread_t thread;
    for (unsigned i = 0; i < ENTRIES; i++) {
        mine[i] = batch(o, 0, 2 * i + 1);
        theirs[i] = batch(o, 0, 2 * i + 2);
    }
    assert_int_equal(pthread_create(&thread, NULL, settle_all, theirs), 0);
    settle_all(mine);
    assert_true(offsets_wait(o, 10000));
    pthread_join(thread, NULL);
    assert_int_equal(stored[0], 2 * ENTRIES);
    offsets_close(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_move_in_order_whatever_is_settled_first),
        cmocka_unit_test(an_entry_holds_the_last_offset_of_each_partition),
        cmocka_unit_test(what_is_not_kept_holds_all_that_follow),
        cmocka_unit_test(or_is_passed_over),
        cmocka_unit_test(a_spoilt_record_is_not_settled),
        cmocka_unit_test(nothing_is_stored_after_the_end),
        cmocka_unit_test(other_threads_may_settle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
