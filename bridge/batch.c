#include "batch.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "pledge.h"

enum {
    ALIGNMENT = 64,  /* a batch's head starts its own cache line */
    POOL_SPARES = 8, /* empty slabs kept for use again: what a busy source cycles through */
};

struct slab {
    _Atomic uint32_t refs; /* batches that live in it, and the builder while it writes here */
    size_t size;
    struct slab_pool *pool;
    struct slab *next; /* in the pool */
    _Alignas(ALIGNMENT) uint8_t data[];
};

/* Slabs come back from any thread, so the spares are under a lock; it is taken once per slab. */
struct slab_pool {
    _Atomic uint32_t refs; /* slabs out there, and the builder */
    pthread_mutex_t lock;
    struct slab *spares;
    unsigned spare_count;
    bool closed;
};

struct batch_builder {
    struct slab_pool *pool;
    struct slab *slab;
    size_t start; /* of the open batch's head in the slab */
    size_t len;   /* octets of frames committed */
    uint32_t count;
};

static size_t align_up(size_t n)
{
    return (n + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
}

static void pool_unref(struct slab_pool *pool)
{
    /* acq_rel: the last one out sees everything that the others did with the pool */
    if (atomic_fetch_sub_explicit(&pool->refs, 1, memory_order_acq_rel) != 1)
        return;
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

static struct slab *slab_get(struct slab_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    struct slab *slab = pool->spares;
    if (slab) {
        pool->spares = slab->next;
        pool->spare_count--;
    }
    pthread_mutex_unlock(&pool->lock);
    if (!slab) {
        slab = aligned_alloc(ALIGNMENT, SLAB_SIZE);
        if (!slab)
            return NULL;
        slab->size = SLAB_SIZE - sizeof *slab;
        slab->pool = pool;
    }
    slab->next = NULL;
    atomic_init(&slab->refs, 1);
    atomic_fetch_add_explicit(&pool->refs, 1, memory_order_relaxed);
    return slab;
}

static void slab_unref(struct slab *slab)
{
    /* acq_rel: readers of the slab's batches are done before it is written again */
    if (atomic_fetch_sub_explicit(&slab->refs, 1, memory_order_acq_rel) != 1)
        return;
    struct slab_pool *pool = slab->pool;
    pthread_mutex_lock(&pool->lock);
    bool keep = !pool->closed && pool->spare_count < POOL_SPARES;
    if (keep) {
        slab->next = pool->spares;
        pool->spares = slab;
        pool->spare_count++;
    }
    pthread_mutex_unlock(&pool->lock);
    if (!keep)
        free(slab);
    pool_unref(pool);
}

void batch_ref(struct batch *batch, uint32_t n)
{
    /* relaxed: the caller's own reference keeps the batch alive */
    atomic_fetch_add_explicit(&batch->refs, n, memory_order_relaxed);
}

void batch_unref(struct batch *batch)
{
    /* acq_rel: all reading is over before the memory is given back */
    if (atomic_fetch_sub_explicit(&batch->refs, 1, memory_order_acq_rel) != 1)
        return;
    struct pledge *pledge = batch->pledge;
    batch->release(batch);
    pledge_unref(pledge);
}

static void release_to_slab(struct batch *batch)
{
    slab_unref(batch->owner);
}

static void release_own(struct batch *batch)
{
    free(batch);
}

size_t batch_footprint(size_t len)
{
    return align_up(sizeof(struct batch) + len);
}

struct batch *batch_alloc(uint32_t len)
{
    /* the rounding of the footprint is malloc's own share */
    struct batch *batch = malloc(sizeof *batch + len);
    if (!batch)
        return NULL;
    *batch = (struct batch){
        .len = len,
        .footprint = (uint32_t)batch_footprint(len),
        .data = (uint8_t *)(batch + 1),
        .release = release_own,
    };
    atomic_init(&batch->refs, 1);
    return batch;
}

struct batch *batch_apart(struct batch *batch)
{
    if (batch->release != release_to_slab)
        return batch;
    struct batch *copy = batch_alloc(batch->len);
    if (!copy)
        return NULL;
    copy->count = batch->count;
    copy->pledge = pledge_ref(batch->pledge);
    memcpy(copy + 1, batch->data, batch->len);
    batch_unref(batch);
    return copy;
}

struct batch_builder *batch_builder_new(void)
{
    struct batch_builder *builder = calloc(1, sizeof *builder);
    struct slab_pool *pool = calloc(1, sizeof *pool);
    if (!builder || !pool) {
        free(builder);
        free(pool);
        return NULL;
    }
    pthread_mutex_init(&pool->lock, NULL);
    atomic_init(&pool->refs, 1);
    builder->pool = pool;
    return builder;
}

void batch_builder_free(struct batch_builder *builder)
{
    if (!builder)
        return;
    struct slab_pool *pool = builder->pool;
    if (builder->slab)
        slab_unref(builder->slab);
    pthread_mutex_lock(&pool->lock);
    pool->closed = true;
    struct slab *spare = pool->spares;
    pool->spares = NULL;
    pthread_mutex_unlock(&pool->lock);
    while (spare) {
        struct slab *next = spare->next;
        free(spare);
        spare = next;
    }
    pool_unref(pool);
    free(builder);
}

uint8_t *batch_builder_space(struct batch_builder *builder, size_t want, size_t *have)
{
    struct slab *slab = builder->slab;
    size_t used = builder->start + sizeof(struct batch) + builder->len;
    if (slab && used + want <= slab->size) {
        *have = slab->size - used;
        return slab->data + used;
    }
    if (builder->len > 0)
        return NULL;
    struct slab *fresh = slab_get(builder->pool);
    if (!fresh)
        return NULL;
    if (slab)
        slab_unref(slab);
    builder->slab = fresh;
    builder->start = 0;
    *have = fresh->size - sizeof(struct batch);
    return fresh->data + sizeof(struct batch);
}

void batch_builder_commit(struct batch_builder *builder, size_t len, uint32_t count)
{
    builder->len += len;
    builder->count += count;
}

size_t batch_builder_pending(const struct batch_builder *builder)
{
    return builder->len;
}

struct batch *batch_builder_seal(struct batch_builder *builder)
{
    if (builder->count == 0)
        return NULL;
    struct slab *slab = builder->slab;
    struct batch *batch = (struct batch *)(void *)(slab->data + builder->start);
    size_t footprint = batch_footprint(builder->len);
    *batch = (struct batch){
        .count = builder->count,
        .len = (uint32_t)builder->len,
        .footprint = (uint32_t)footprint,
        .data = (uint8_t *)(batch + 1),
        .release = release_to_slab,
        .owner = slab,
    };
    atomic_init(&batch->refs, 1);
    atomic_fetch_add_explicit(&slab->refs, 1, memory_order_relaxed);

    builder->start += footprint;
    builder->len = 0;
    builder->count = 0;
    if (builder->start + sizeof(struct batch) + SLAB_SPARE > slab->size) {
        slab_unref(slab);
        builder->slab = NULL;
        builder->start = 0;
    }
    return batch;
}

size_t batch_builder_overhead(void)
{
    return (size_t)(POOL_SPARES + 1) * SLAB_SIZE;
}
