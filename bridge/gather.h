/* The account of an encoder that makes records of many messages: what it holds is in flight until
 * its window ends; then all messages of the window are settled as its records are. They are
 * delivered if every record of the window was, and failed if one failed. Owned by one route's
 * thread. */
#ifndef BRIDGE_GATHER_H
#define BRIDGE_GATHER_H

#include "parcel.h"

struct gather;

/* NULL when memory runs out. */
struct gather *gather_new(void);
void gather_free(struct gather *gather);

/* Has room for one more batch; before a message is given to the encoder, which cannot give it back. False: out
 * of memory. */
bool gather_reserve(struct gather *gather);

/* The encoder took in a message of this account, tied to this pledge (borrowed, NULL for none). There is room. */
void gather_hold(struct gather *gather, struct account *account, struct pledge *pledge);

/* Are there so many batches in the window that it should end now? Each takes memory until then. */
bool gather_is_full(const struct gather *gather);

/* The window ends: its records are written on this account. NULL: out of memory, the window goes
 * on. gather_written says how many there were, and the next window begins. */
struct account *gather_end(struct gather *gather);
void gather_written(struct gather *gather, uint64_t records);

/* Settles the messages of all windows whose records are settled. */
void gather_settle(struct gather *gather);

/* Octets of memory that it takes at the most, while no more than a few windows wait for their sink.
 */
uint64_t gather_memory(void);

#endif
