/* A source's interest in what becomes of a batch. A source whose upstream keeps messages until they are
 * acknowledged (a Kafka topic) ties a pledge to each batch; it is kept when every route has settled
 * every message of it well: delivered, filtered, or malformed. What is dropped, failed, or still in
 * flight at the end leaves it unkept, and the upstream unacknowledged.
 *
 * The pledge lives as long as anybody can still settle messages of it: its batch, copies of that, and
 * the tickets of sinks (parcel.h). When the last has let go, `release` is told, by whichever thread. */
#ifndef BRIDGE_PLEDGE_H
#define BRIDGE_PLEDGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct pledge {
    _Atomic uint32_t refs;
    _Atomic uint64_t open; /* messages times routes that are not settled well */
    void (*release)(struct pledge *pledge);
};

/* One reference, for the batch that it is tied to. */
static inline void pledge_init(struct pledge *pledge, void (*release)(struct pledge *))
{
    atomic_init(&pledge->refs, 1);
    atomic_init(&pledge->open, 1); /* until it is offered it is not kept */
    pledge->release = release;
}

/* All of these: any thread; NULL is no pledge. */

/* Before the batch is offered: this many messages over all routes are to be settled. */
static inline void pledge_promise(struct pledge *pledge, uint64_t messages)
{
    if (pledge)
        atomic_store_explicit(&pledge->open, messages, memory_order_relaxed);
}

/* By who holds a reference: so many more are to be settled. */
static inline void pledge_more(struct pledge *pledge, uint64_t messages)
{
    if (pledge)
        atomic_fetch_add_explicit(&pledge->open, messages, memory_order_relaxed);
}

static inline struct pledge *pledge_ref(struct pledge *pledge)
{
    /* relaxed: the caller's own reference keeps it alive */
    if (pledge)
        atomic_fetch_add_explicit(&pledge->refs, 1, memory_order_relaxed);
    return pledge;
}

static inline void pledge_settle(struct pledge *pledge, uint64_t messages)
{
    /* relaxed: read only by `release`, after the acq_rel of the last pledge_unref */
    if (pledge)
        atomic_fetch_sub_explicit(&pledge->open, messages, memory_order_relaxed);
}

static inline void pledge_unref(struct pledge *pledge)
{
    if (pledge && atomic_fetch_sub_explicit(&pledge->refs, 1, memory_order_acq_rel) == 1)
        pledge->release(pledge);
}

/* In `release`: was everything settled well? */
static inline bool pledge_kept(const struct pledge *pledge)
{
    return atomic_load_explicit(&pledge->open, memory_order_relaxed) == 0;
}

#endif
