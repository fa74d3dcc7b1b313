/* Batches and the slabs that they stand in. */
#include "batch.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"

static struct batch *build(struct batch_builder *builder, size_t len, uint8_t fill)
{
    size_t have;
    uint8_t *space = batch_builder_space(builder, len, &have);
    assert_non_null(space);
    assert_true(have >= len);
    memset(space, fill, len);
    batch_builder_commit(builder, len, 1);
    assert_int_equal(batch_builder_pending(builder), len);
    return batch_builder_seal(builder);
}

static void seals_what_was_committed_and_nothing_else(void **state)
{
    (void)state;
    struct batch_builder *builder = batch_builder_new();
    assert_null(batch_builder_seal(builder));
    struct batch *batch = build(builder, 1000, 7);
    assert_int_equal(batch->len, 1000);
    assert_int_equal(batch->count, 1);
    assert_true(batch->footprint >= 1000);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(batch->data[i], 7);
    assert_null(batch_builder_seal(builder));
    batch_unref(batch);
    batch_builder_free(builder);
}

/* Many batches of many sizes, alive at once: none may touch another. */
static void batches_stand_apart_over_many_slabs(void **state)
{
    (void)state;
    enum { COUNT = 2000 };
    struct batch *batches[COUNT];
    size_t sum = 0;
    struct batch_builder *builder = batch_builder_new();
    srandom(3);
    for (int i = 0; i < COUNT; i++) {
        size_t len = i % 10 ? (size_t)random() % 400 + 1 : (size_t)random() % BATCH_LIMIT + 1;
        batches[i] = build(builder, len, (uint8_t)i);
        sum += batches[i]->footprint;
    }
    batch_builder_free(builder); /* they outlive it */
    assert_true(sum > (size_t)10 * SLAB_SIZE);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(batches[i]->data[0], (uint8_t)i);
        assert_int_equal(batches[i]->data[batches[i]->len - 1], (uint8_t)i);
        batch_unref(batches[i]);
    }
}

static void an_open_batch_never_spans_two_slabs(void **state)
{
    (void)state;
    struct batch_builder *builder = batch_builder_new();
    size_t have;
    assert_non_null(batch_builder_space(builder, BATCH_LIMIT, &have));
    batch_builder_commit(builder, have - 10, 1);
    assert_null(batch_builder_space(builder, 11, &have)); /* to be sealed first */
    struct batch *batch = batch_builder_seal(builder);
    assert_non_null(batch_builder_space(builder, BATCH_LIMIT, &have));
    batch_unref(batch);
    batch_builder_free(builder);
}

static void slabs_are_used_again(void **state)
{
    (void)state;
    struct batch_builder *builder = batch_builder_new();
    struct batch *first = build(builder, BATCH_LIMIT, 1);
    const uint8_t *at = first->data;
    batch_unref(first);
    int again = 0;
    for (int i = 0; i < 100; i++) {
        struct batch *batch = build(builder, BATCH_LIMIT, 2);
        again += batch->data == at;
        batch_unref(batch);
    }
    assert_true(again > 10);
    batch_builder_free(builder);
}

static void *drop_references(void *arg)
{
    for (int i = 0; i < 100000; i++)
        batch_unref(arg);
    return NULL;
}

static void references_are_counted_across_threads(void **state)
{
    (void)state;
    pthread_t threads[4];
    struct batch *batch = batch_alloc(100);
    batch_ref(batch, 4 * 100000);
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, drop_references, batch);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(batch->refs, 1);
    batch_unref(batch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seals_what_was_committed_and_nothing_else),
        cmocka_unit_test(batches_stand_apart_over_many_slabs),
        cmocka_unit_test(an_open_batch_never_spans_two_slabs),
        cmocka_unit_test(slabs_are_used_again),
        cmocka_unit_test(references_are_counted_across_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
