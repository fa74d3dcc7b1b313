#include "ring.h"

#include <stdlib.h>

enum {
    CACHE_LINE = 64,
    SLOT_SHARE = 256, /* octets of capacity per slot; smaller batches find the slots full first */
};

struct ring {
    size_t capacity;
    size_t mask;
    struct bell *filled;
    struct batch **slots;

    /* the producer's line: what it wrote, and what it last saw the consumer had taken */
    _Alignas(CACHE_LINE) _Atomic uint64_t head;
    _Atomic uint64_t octets_in;
    uint64_t tail_seen;
    uint64_t octets_out_seen;

    /* the consumer's line */
    _Alignas(CACHE_LINE) _Atomic uint64_t tail;
    _Atomic uint64_t octets_out;
    uint64_t head_seen;

    _Alignas(CACHE_LINE) struct bell drained;
};

static size_t slot_count(size_t capacity)
{
    size_t slots = 16;
    while (slots * SLOT_SHARE < capacity)
        slots *= 2;
    return slots;
}

size_t ring_overhead(size_t capacity)
{
    return sizeof(struct ring) + slot_count(capacity) * sizeof(struct batch *);
}

struct ring *ring_new(size_t capacity, struct bell *filled)
{
    struct ring *ring = aligned_alloc(CACHE_LINE, sizeof *ring);
    if (!ring)
        return NULL;
    size_t slots = slot_count(capacity);
    *ring = (struct ring){.capacity = capacity, .mask = slots - 1, .filled = filled};
    ring->slots = calloc(slots, sizeof(struct batch *));
    if (!ring->slots) {
        free(ring);
        return NULL;
    }
    return ring;
}

void ring_free(struct ring *ring)
{
    if (!ring)
        return;
    struct batch *batch;
    while ((batch = ring_take(ring)))
        batch_unref(batch);
    free(ring->slots);
    free(ring);
}

/* The producer asks the consumer's line only when its last look says full. */
static bool room_for(struct ring *ring, uint64_t head, uint64_t octets, size_t footprint)
{
    for (int look = 0; look < 2; look++) {
        if (head - ring->tail_seen <= ring->mask &&
            octets - ring->octets_out_seen + footprint <= ring->capacity)
            return true;
        /* acquire: the consumer is done with the slot before it is written again */
        ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire);
        ring->octets_out_seen = atomic_load_explicit(&ring->octets_out, memory_order_acquire);
    }
    return false;
}

bool ring_offer(struct ring *ring, struct batch *batch)
{
    /* relaxed: only this thread writes these two */
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    uint64_t octets = atomic_load_explicit(&ring->octets_in, memory_order_relaxed);
    if (!room_for(ring, head, octets, batch->footprint))
        return false;
    ring->slots[head & ring->mask] = batch;
    /* release: who sees these octets inside also sees the ones taken out to make room for them */
    atomic_store_explicit(&ring->octets_in, octets + batch->footprint, memory_order_release);
    /* release: slot and batch are visible before the consumer sees the new head */
    atomic_store_explicit(&ring->head, head + 1, memory_order_release);
    bell_ring(ring->filled);
    return true;
}

bool ring_has_room(struct ring *ring, size_t footprint)
{
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    uint64_t octets = atomic_load_explicit(&ring->octets_in, memory_order_relaxed);
    return room_for(ring, head, octets, footprint);
}

struct bell *ring_drained(struct ring *ring)
{
    return &ring->drained;
}

struct batch *ring_take(struct ring *ring)
{
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed); /* only we write it */
    if (tail == ring->head_seen) {
        /* acquire: pairs with the release in ring_offer */
        ring->head_seen = atomic_load_explicit(&ring->head, memory_order_acquire);
        if (tail == ring->head_seen)
            return NULL;
    }
    struct batch *batch = ring->slots[tail & ring->mask];
    uint64_t octets = atomic_load_explicit(&ring->octets_out, memory_order_relaxed);
    atomic_store_explicit(&ring->octets_out, octets + batch->footprint, memory_order_release);
    /* release: the slot was read before the producer may write it */
    atomic_store_explicit(&ring->tail, tail + 1, memory_order_release);
    bell_ring(&ring->drained);
    return batch;
}

size_t ring_octets(const struct ring *ring)
{
    uint64_t out = atomic_load_explicit(&ring->octets_out, memory_order_acquire);
    for (int look = 0; look < 4; look++) {
        /* out before in: it never overtakes in, so the difference is never negative */
        uint64_t in = atomic_load_explicit(&ring->octets_in, memory_order_acquire);
        uint64_t again = atomic_load_explicit(&ring->octets_out, memory_order_acquire);
        if (again == out)
            return (size_t)(in - out);
        out = again;
    }
    return ring->capacity; /* both sides are too busy for a still picture: say the bound */
}

size_t ring_capacity(const struct ring *ring)
{
    return ring->capacity;
}
