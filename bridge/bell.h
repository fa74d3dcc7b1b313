/* A bell that a thread can sleep beside: how a route's thread waits for batches, and a source for
 * space, at no cost while nothing happens. Any number of threads may ring it and wait on it.
 *
 *     waiter:  seen = bell_listen(bell);  if (nothing to do)  bell_wait(bell, seen, -1);
 *     ringer:  make something to do;      bell_ring(bell);
 *
 * A ring between `listen` and `wait` makes `wait` return at once, so none is missed. Without a
 * sleeper, ringing is one atomic addition and one load: no system call. */
#ifndef BRIDGE_BELL_H
#define BRIDGE_BELL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct bell {
    _Atomic uint32_t rings;    /* the futex word */
    _Atomic uint32_t sleepers; /* threads in or about to enter the kernel */
    /* How to wake a sleeper that waits elsewhere, between bell_doze and bell_up; set before threads
     * share the bell. NULL: sleepers are in bell_wait. */
    void (*rouse)(void *arg);
    void *arg;
};

static inline uint32_t bell_listen(struct bell *bell)
{
    /* acquire: what was made before the ring that we see is visible after this load */
    return atomic_load_explicit(&bell->rings, memory_order_acquire);
}

/* Sleeps until the bell was rung after `seen` was read, or `timeout_ms` went by (-1: without end).
 * May return early; the caller looks again. */
void bell_wait(struct bell *bell, uint32_t seen, int timeout_ms);

/* For a waiter that sleeps by other means, which `rouse` ends: false where the bell was rung after `seen`
 * was read, so that there is no sleeping; bell_up follows in either case. */
bool bell_doze(struct bell *bell, uint32_t seen);
void bell_up(struct bell *bell);

void bell_ring(struct bell *bell);

#endif
