/* How a route goes: the sizes of its batches, and the age of messages when its sink has taken them.
 * Noted once per batch by the route's thread; read by any. Zeroed is ready. */
#ifndef BRIDGE_PACE_H
#define BRIDGE_PACE_H

#include "batch.h"
#include "histogram.h"

struct pace {
    struct histogram sizes; /* messages per batch */
    struct histogram ages;  /* microseconds */
};

extern const struct histogram_bounds pace_sizes;
extern const struct histogram_bounds pace_ages;

/* The sink has taken this batch. Its age is that of its first message, the one that waited longest: from the
 * time that the DNS server put into it until now; 0 where the server's clock is ahead of ours. A
 * message without a time is not counted. */
void pace_note(struct pace *pace, const struct batch *batch);

/* Adds what another noted. The thread that owns `sum`. */
void pace_add(struct pace *sum, const struct pace *more);

#endif
