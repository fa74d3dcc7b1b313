/* Batches and the slabs that they stand in: what is written is kept, memory comes back, and what a
 * batch says of its size is true. */
#include "batch.h"

#include <pthread.h>
#include <sched.h>

#include "harness.h"
#include "noise.h"

/* Writes a run of `len` octets that depends on `seed`, as one message, and seals it. */
static struct batch *build(struct batch_builder *builder, size_t len, uint32_t seed)
{
    size_t have;
    uint8_t *space = batch_builder_space(builder, len, &have);
    if (!space)
        return NULL;
    for (size_t i = 0; i < len; i++)
        space[i] = (uint8_t)(seed + i);
    batch_builder_commit(builder, len, 1);
    return batch_builder_seal(builder);
}

static bool holds(const struct batch *batch, size_t len, uint32_t seed)
{
    if (batch->len != len)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (batch->data[i] != (uint8_t)(seed + i))
            return false;
    }
    return true;
}

static void messages_stand_back_to_back(void **state)
{
    (void)state;
    struct batch_builder *builder = batch_builder_new();
    size_t have;
    assert_null(batch_builder_seal(builder));
    uint8_t *first = batch_builder_space(builder, 10, &have);
    assert_true(have >= 10);
    memcpy(first, "0123456789", 10);
    batch_builder_commit(builder, 10, 2);
    uint8_t *second = batch_builder_space(builder, 5, &have);
    assert_ptr_equal(second, first + 10);
    memcpy(second, "abcde", 5);
    batch_builder_commit(builder, 5, 1);
    assert_int_equal(batch_builder_pending(builder), 15);

    struct batch *batch = batch_builder_seal(builder);
    assert_int_equal(batch->count, 3);
    assert_int_equal(batch->len, 15);
    assert_int_equal(batch->refs, 1);
    assert_int_equal(batch->envelope_len, 0);
    assert_memory_equal(batch->data, "0123456789abcde", 15);
    assert_int_equal(batch_builder_pending(builder), 0);
    assert_null(batch_builder_seal(builder));
    batch_unref(batch);
    batch_builder_free(builder);
    batch_builder_free(NULL);
}

static void footprints_cover_what_a_batch_takes(void **state)
{
    (void)state;
    struct batch_builder *builder = batch_builder_new();
    struct batch *batches[16], *last = NULL;
    for (unsigned i = 0; i < 16; i++) {
        size_t len = 1 + i * 37;
        batches[i] = build(builder, len, i);
        assert_int_equal(batches[i]->footprint, batch_footprint(len));
        assert_true(batches[i]->footprint >= sizeof(struct batch) + len);
        if (last)
            assert_ptr_equal(batches[i], (uint8_t *)last + last->footprint);
        last = batches[i];
    }
    for (unsigned i = 0; i < 16; i++)
        batch_unref(batches[i]);
    batch_builder_free(builder);
}

static void an_open_batch_is_not_moved_to_another_slab(void **state)
{
    (void)state;
    struct batch_builder *builder = batch_builder_new();
    size_t have, want = SLAB_SPARE + BATCH_LIMIT;
    uint8_t *space;
    size_t written = 0;
    while ((space = batch_builder_space(builder, want, &have))) {
        assert_true(have >= want);
        memset(space, 'x', want);
        batch_builder_commit(builder, want, 1);
        written += want;
    }
    assert_true(written > want);
    assert_int_equal(batch_builder_pending(builder), written);
    struct batch *batch = batch_builder_seal(builder);
    assert_int_equal(batch->len, written);
    assert_non_null(batch_builder_space(builder, want, &have));
    assert_true(have >= want);
    batch_unref(batch);
    batch_builder_free(builder);
}

/* Fills each space to its very end: a sanitizer sees an octet too far, holds() one written over. */
static void the_whole_space_may_be_written(void **state)
{
    (void)state;
    enum { BATCHES = 200 };
    struct batch_builder *builder = batch_builder_new();
    struct batch *batches[BATCHES];
    size_t lens[BATCHES];
    uint64_t noise = 5;
    for (uint32_t i = 0; i < BATCHES; i++) {
        size_t have, want = 1 + noise_below(&noise, SLAB_SPARE + BATCH_LIMIT);
        uint8_t *space = batch_builder_space(builder, want, &have);
        assert_non_null(space);
        assert_true(have >= want);
        memset(space, 0xee, have); /* a read may fill all of it */
        lens[i] = noise_below(&noise, 3) == 0 ? have : want;
        batches[i] = build(builder, lens[i], i);
        assert_non_null(batches[i]);
    }
    for (uint32_t i = 0; i < BATCHES; i++) {
        assert_true(holds(batches[i], lens[i], i));
        batch_unref(batches[i]);
    }
    batch_builder_free(builder);
}

static unsigned add_owner(const void **owners, unsigned count, const void *owner)
{
    for (unsigned i = 0; i < count; i++) {
        if (owners[i] == owner)
            return count;
    }
    owners[count] = owner;
    return count + 1;
}

static void slabs_are_used_again(void **state)
{
    (void)state;
    struct batch_builder *builder = batch_builder_new();
    const void *owners[1000];
    unsigned count = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        struct batch *batch = build(builder, 60000, i);
        count = add_owner(owners, count, batch->owner);
        batch_unref(batch);
    }
    assert_in_range(count, 1, 2);
    batch_builder_free(builder);
}

static void batches_outlive_their_builder(void **state)
{
    (void)state;
    enum { BATCHES = 100 };
    struct batch *batches[BATCHES];
    struct batch_builder *builder = batch_builder_new();
    for (uint32_t i = 0; i < BATCHES; i++)
        batches[i] = build(builder, 20000, i);
    for (uint32_t i = 0; i < BATCHES; i += 2)
        batch_unref(batches[i]);
    batch_builder_free(builder);
    for (uint32_t i = 1; i < BATCHES; i += 2) {
        assert_true(holds(batches[i], 20000, i));
        batch_unref(batches[i]);
    }
}

static void a_batch_of_its_own_memory(void **state)
{
    (void)state;
    uint32_t lens[] = {1, 63, 64, 65, 100000, 5000000};
    for (unsigned i = 0; i < sizeof lens / sizeof *lens; i++) {
        struct batch *batch = batch_alloc(lens[i]);
        assert_int_equal(batch->len, lens[i]);
        assert_int_equal(batch->footprint, batch_footprint(lens[i]));
        assert_int_equal(batch->refs, 1);
        memset((uint8_t *)(batch + 1), 0xab, lens[i]);
        assert_int_equal(batch->data[lens[i] - 1], 0xab);
        batch_ref(batch, 2);
        for (int k = 0; k < 3; k++)
            batch_unref(batch);
    }
}

static void a_batch_apart_leaves_its_slab(void **state)
{
    (void)state;
    struct batch_builder *builder = batch_builder_new();
    struct batch *first = build(builder, 5000, 1);
    struct batch *apart = batch_apart(first);
    assert_ptr_not_equal(apart, first);
    assert_true(holds(apart, 5000, 1));
    assert_int_equal(apart->count, 1);
    assert_int_equal(apart->footprint, batch_footprint(5000));
    assert_ptr_equal(batch_apart(apart), apart); /* it is already */
    struct batch *second = build(builder, 100000, 2);
    batch_builder_free(builder);
    batch_unref(second); /* the slab is freed: apart lives on */
    assert_true(holds(apart, 5000, 1));
    batch_unref(apart);
}

/* Several readers, each with a reference to every batch; the builder goes on and ends before they
 * do. */
enum { READERS = 3, SHARED = 2000, IN_FLIGHT = 64 };

struct exchange {
    struct batch *batches[SHARED];
    _Atomic unsigned built;
    _Atomic unsigned read[READERS];
};

struct reading {
    struct exchange *exchange;
    unsigned me;
    unsigned wrong;
};

static size_t shared_len(uint32_t i)
{
    return 1 + i * 7919u % 30000;
}

static void *read_all(void *arg)
{
    struct reading *reading = arg;
    struct exchange *x = reading->exchange;
    for (uint32_t i = 0; i < SHARED; i++) {
        while (atomic_load(&x->built) <= i)
            sched_yield();
        reading->wrong += !holds(x->batches[i], shared_len(i), i);
        batch_unref(x->batches[i]);
        atomic_store(&x->read[reading->me], i + 1);
    }
    return NULL;
}

static void references_are_dropped_by_several_threads(void **state)
{
    (void)state;
    static struct exchange x;
    struct reading readings[READERS];
    pthread_t threads[READERS];
    struct batch_builder *builder = batch_builder_new();
    for (unsigned i = 0; i < READERS; i++) {
        readings[i] = (struct reading){.exchange = &x, .me = i};
        assert_int_equal(pthread_create(&threads[i], NULL, read_all, &readings[i]), 0);
    }
    for (uint32_t i = 0; i < SHARED; i++) {
        x.batches[i] = build(builder, shared_len(i), i);
        batch_ref(x.batches[i], READERS - 1);
        atomic_store(&x.built, i + 1);
        for (unsigned k = 0; k < READERS; k++) { /* so that slabs come round */
            while (i >= IN_FLIGHT && atomic_load(&x.read[k]) < i - IN_FLIGHT)
                sched_yield();
        }
    }
    batch_builder_free(builder);
    for (unsigned i = 0; i < READERS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(readings[i].wrong, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_stand_back_to_back),
        cmocka_unit_test(footprints_cover_what_a_batch_takes),
        cmocka_unit_test(an_open_batch_is_not_moved_to_another_slab),
        cmocka_unit_test(the_whole_space_may_be_written),
        cmocka_unit_test(slabs_are_used_again),
        cmocka_unit_test(batches_outlive_their_builder),
        cmocka_unit_test(a_batch_of_its_own_memory),
        cmocka_unit_test(a_batch_apart_leaves_its_slab),
        cmocka_unit_test(references_are_dropped_by_several_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
