/* Where a source puts what arrives: batches are built here and offered to the ring of every route of
 * the source, at once, by reference. The front-loss rule is kept here: a full ring refuses, the batch
 * is counted as dropped for that route alone, and the source goes on; or, with when-full=block, the
 * source waits for room, because its upstream keeps the data anyway.
 *
 *     source ── space, commit, flush ──► intake ── offer ──┬─► ring ─► route
 *                                                          └─► ring ─► route
 *
 * All calls are made by the source's one thread, but for those that say otherwise. */
#ifndef BRIDGE_INTAKE_H
#define BRIDGE_INTAKE_H

#include "batch.h"
#include "ledger.h"
#include "ring.h"
#include "upstream.h"

struct intake;
struct pledge;

enum when_full { WHEN_FULL_DROP, WHEN_FULL_BLOCK };

/* One route's entrance; borrowed, outlives the intake. */
struct entrance {
    struct ring *ring;
    struct account *account;
    const char *sink; /* its name, for the log */
};

/* `source` is borrowed and names the source. `lost` is where the losses before it are summed (upstream_new). NULL when memory
 * runs out. */
struct intake *intake_new(const char *source, enum when_full when_full, _Atomic uint64_t *lost);
void intake_free(struct intake *intake);

/* Main thread, at any time: one more route. False when memory runs out, or there are INTAKE_ROUTES. */
enum { INTAKE_ROUTES = 1024 };
bool intake_add(struct intake *intake, struct entrance entrance);

/* Main thread, at any time: nothing more goes into this ring once it returns; who waits for room there is woken, and
 * drops. A pledge does not suffer by it: nobody wants the messages there any more. */
void intake_remove(struct intake *intake, const struct ring *ring);

/* Main thread, when the source's thread has ended: nothing goes into any ring any more, and none of them is looked at. */
void intake_end(struct intake *intake);

/* Main thread, at any time: one that waits for room waits for this, too: a ring that was removed is about to be replaced,
 * and what comes meanwhile is for its successor. */
void intake_hold(struct intake *intake, bool hold);

/* Where to put the next octets: at least `want` (at most SLAB_SPARE + BATCH_LIMIT), `*have` of them,
 * right behind what was committed. Sends the open batch on where it must. NULL: out of memory. */
uint8_t *intake_space(struct intake *intake, size_t want, size_t *have);

/* The first `len` octets of the space are `count` whole data frames now. */
void intake_commit(struct intake *intake, size_t len, uint32_t count);

/* Sends the open batch on, so that what has come is not held back. Call when nothing more is there. */
void intake_flush(struct intake *intake);

/* Octets that still fit in the open batch. */
size_t intake_left(const struct intake *intake);

/* Source's thread: what it reads can be read later just as well, so that where it waits for room anyway,
 * little is to wait in the rings. That little stays in the processor's cache, and in memory that is used
 * again and again. */
void intake_stay_near(struct intake *intake);

/* Would a batch of `len` octets have to wait now: for sources that have to stay awake meanwhile. */
bool intake_would_wait(const struct intake *intake, size_t len);

/* Sends a batch on that the source made itself; takes over its reference. */
void intake_offer(struct intake *intake, struct batch *batch);

/* For who sends on what is on another account already, and tied to its pledge: each route adds its share to that. Where
 * `wait` says so it waits for room, whatever the intake's own rule. False, and nothing was done: there is no route. The batch
 * is borrowed. */
bool intake_pass_on(struct intake *intake, struct batch *batch, bool wait);

/* `n` messages arrived that break a limit or cannot be read: they are received and malformed. */
void intake_refuse(struct intake *intake, uint64_t n);

/* The source ends without what it was asked for, which no number shows: the run is not whole. `intake_has_failed`: any thread. */
void intake_fail(struct intake *intake);
bool intake_has_failed(const struct intake *intake);

/* Before its thread starts, for a source whose upstream keeps messages until they are settled: whenever
 * a batch is closed, `pledge` gives the pledge to tie to it, with its one reference; NULL for none. */
void intake_on_seal(struct intake *intake, struct pledge *(*pledge)(void *arg), void *arg);

/* The record of the hops before this source; NULL once it was taken. */
struct upstream *intake_upstream(struct intake *intake);

/* Main thread: before the source runs, a record to go on with, which the intake takes over; after it has ended, the record,
 * which the caller takes over. */
void intake_give_upstream(struct intake *intake, struct upstream *upstream);
struct upstream *intake_take_upstream(struct intake *intake);

/* Ends all waiting for room, for good: from here on a full ring drops. Any thread. */
void intake_give_up(struct intake *intake);

#endif
