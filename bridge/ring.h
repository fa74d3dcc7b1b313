/* The bounded queue in front of a sink, one per source-sink pair.
 *
 *     source's thread ── ring_offer ──►[ batch batch batch ]── ring_take ──► sink's thread
 *
 * One producer thread, one consumer thread, lock-free, bounded in octets: the sum of the batches'
 * footprints never exceeds the capacity. A full ring refuses; it never waits and never throws away
 * what it took. */
#ifndef BRIDGE_RING_H
#define BRIDGE_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "batch.h"
#include "bell.h"

struct ring;

/* A ring of `capacity` octets. `filled` is rung when a batch goes in (it may serve several rings of
 * one consumer); it must outlive the ring. NULL when memory runs out. */
struct ring *ring_new(size_t capacity, struct bell *filled);

/* Drops the references to what is still inside. No other thread may use the ring any more. */
void ring_free(struct ring *ring);

/* Producer: puts the batch in and takes over one reference, or returns false: full. */
bool ring_offer(struct ring *ring, struct batch *batch);

/* Producer: would a batch of this footprint go in now? */
bool ring_has_room(struct ring *ring, size_t footprint);

/* Producer: the bell rung when the consumer has taken batches out while a producer waited. */
struct bell *ring_drained(struct ring *ring);

/* Consumer: the oldest batch, with its reference, or NULL: empty. */
struct batch *ring_take(struct ring *ring);

/* Any thread: octets inside at this moment, and the bound. */
size_t ring_octets(const struct ring *ring);
size_t ring_capacity(const struct ring *ring);

/* Octets of memory that a ring of this capacity takes beside its batches. */
size_t ring_overhead(size_t capacity);

#endif
