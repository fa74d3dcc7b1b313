/* A batch: a run of whole messages that travels as one, and the memory that it stands in.
 *
 * Messages stand back to back as data frames (see frame.h). A batch is made by one source thread,
 * then never changed; the rings of all routes share it by reference, so that a message is not copied
 * per sink. Whoever drops the last reference gives the memory back.
 *
 *     slab  [ batch | frames....... | batch | frames .... | free ...................... ]
 *
 * Batches of live sources stand one behind the other in slabs of SLAB_SIZE that are used again from a
 * pool, so that a lone message costs its own size and not a slab, and nothing is allocated per batch. */
#ifndef BRIDGE_BATCH_H
#define BRIDGE_BATCH_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum {
    BATCH_LIMIT = 64 * 1024, /* octets at which a batch is closed; only a single message may be larger */
    SLAB_SIZE = 256 * 1024,
    SLAB_SPARE = 16 * 1024, /* a slab with less room than this is done */
};

struct pledge;

struct batch {
    _Atomic uint32_t refs;
    uint32_t count;     /* messages */
    uint32_t len;       /* octets of frames */
    uint32_t footprint; /* octets of memory it keeps in use: what rings count */
    const uint8_t *data;
    const uint8_t *envelope; /* the one it came in, if it came over a bus: the hops before this one */
    uint32_t envelope_len;
    struct pledge *pledge;   /* of the source, about what becomes of the messages; mostly NULL */
    void (*release)(struct batch *batch); /* called by whichever thread drops the last reference */
    void *owner;                          /* for `release` */
};

/* Adds `n` references; the caller holds one already. Any thread. */
void batch_ref(struct batch *batch, uint32_t n);

/* Drops a reference. Any thread. */
void batch_unref(struct batch *batch);

/* A batch with room for `len` octets of its own, for a message too large for the slabs: `data` may be
 * written by the caller until it is shared. NULL when memory runs out. One reference. */
struct batch *batch_alloc(uint32_t len);

/* Exchanges a reference for one to the same messages in memory of their own: whoever keeps a batch out
 * of many would else keep its whole slab in use. NULL when memory runs out, the reference unchanged. */
struct batch *batch_apart(struct batch *batch);

/* Builds batches in slabs. Owned by one source thread. */
struct batch_builder;

/* NULL when memory runs out. */
struct batch_builder *batch_builder_new(void);

/* The batches that it made live on. */
void batch_builder_free(struct batch_builder *builder);

/* Where to write next, right behind what was committed to the open batch: at least `want` octets
 * (`want` is at most SLAB_SPARE + BATCH_LIMIT), `*have` of them. NULL where the open batch must be
 * sealed first, or, with nothing committed, when memory runs out. */
uint8_t *batch_builder_space(struct batch_builder *builder, size_t want, size_t *have);

/* The first `len` octets of the space are now `count` whole frames of the open batch. */
void batch_builder_commit(struct batch_builder *builder, size_t len, uint32_t count);

/* Octets committed to the open batch. */
size_t batch_builder_pending(const struct batch_builder *builder);

/* Closes the open batch: the caller owns its one reference. NULL when nothing was committed. */
struct batch *batch_builder_seal(struct batch_builder *builder);

/* Octets that batch_alloc(len) takes, and that the builder keeps beside the batches in rings. */
size_t batch_footprint(size_t len);
size_t batch_builder_overhead(void);

#endif
