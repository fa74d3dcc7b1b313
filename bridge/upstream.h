/* What one source knows of the hops before it, from the envelopes: per sender (a link) the numbers
 * that came and that did not, and the last ledger of every hop on the way. The source's thread notes, under a lock that is
 * held for a copy at most; any thread reads.
 *
 * What a sender writes into its envelopes is bounded here: links, hops, and the lines of the log. */
#ifndef BRIDGE_UPSTREAM_H
#define BRIDGE_UPSTREAM_H

#include <stdatomic.h>

#include "envelope.h"
#include "sequence.h"

enum {
    UPSTREAM_LINKS = 1024,    /* senders that are told apart; the quietest of the connection with most makes room */
    UPSTREAM_PEER_LINKS = 8,  /* of one connection: a sender that restarts has a new connection */
    UPSTREAM_HOPS = 2048,     /* hops before the senders, over all links */
    UPSTREAM_LINK_HOPS = 64,  /* of one link */
};

struct upstream;

/* `source` names the source in logs and is copied. `total` (may be NULL) is where what this source lost is added, beside
 * others; borrowed. NULL when memory runs out. */
struct upstream *upstream_new(const char *source, _Atomic uint64_t *total);
void upstream_free(struct upstream *upstream);

/* Octets that one can take, whatever senders do. */
uint64_t upstream_memory(void);

/* The source's thread: a batch arrived in this envelope, over a connection that has the number `peer` (0: connections
 * cannot be told apart). Logs where a sender is joined, loses or ends. */
void upstream_note_from(struct upstream *upstream, uint64_t peer, const struct envelope *envelope);
void upstream_note(struct upstream *upstream, const struct envelope *envelope); /* peer 0 */

/* The source's thread: messages that never arrived, and that no link's numbers show. */
void upstream_lose(struct upstream *upstream, uint64_t messages);

/* Messages that never arrived, over all links of this source. Any thread, without a lock. */
uint64_t upstream_lost(const struct upstream *upstream);

/* Adds the last ledger of every hop known to an envelope's path, the newest senders last. Any thread. */
void upstream_add_hops(struct upstream *upstream, struct envelope *envelope);

/* One link as it stood at one moment. */
struct link_copy {
    struct hop_ledger sender; /* its last ledger */
    uint64_t joined_at, next, received, lost, duplicates;
    bool shared;
    bool finished;
    bool hops_left_out; /* there were more than fit */
    struct hop_ledger *hops; /* before the sender, in the order of their coming; owned */
    unsigned hop_count;
};

/* Copies of all links, the oldest first, owned by the caller; `*count` of them. NULL with a count of 0: there are none; NULL
 * otherwise: out of memory. Any thread. */
struct link_copy *upstream_copy(struct upstream *upstream, unsigned *count);
void link_copies_free(struct link_copy *links, unsigned count);

#endif
