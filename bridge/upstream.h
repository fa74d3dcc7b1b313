/* What one source knows of the hops before it, from the envelopes: per sender (a link) the numbers
 * that came and that did not, and the last ledger of every hop on the way. The source's thread notes,
 * any thread reads; a lock is taken once per batch. */
#ifndef BRIDGE_UPSTREAM_H
#define BRIDGE_UPSTREAM_H

#include <stdio.h>

#include "envelope.h"
#include "sequence.h"

struct upstream;

/* `source` is borrowed and names the source in logs and ledgers. NULL when memory runs out. */
struct upstream *upstream_new(const char *source);
void upstream_free(struct upstream *upstream);

/* A batch arrived in this envelope. Logs where a sender is joined, loses or ends. */
void upstream_note(struct upstream *upstream, const struct envelope *envelope);

/* Messages that never arrived, and that no numbers show: the records of a topic that expired before they were read. */
void upstream_lose(struct upstream *upstream, uint64_t messages);

/* Messages that never arrived, over all links of this source. */
uint64_t upstream_lost(struct upstream *upstream);

/* Adds the last ledger of every hop known to an envelope's path, the newest senders last. */
void upstream_add_hops(struct upstream *upstream, struct envelope *envelope);

/* Appends one JSON object per link to the open array; prints one block of the table per link. */
void upstream_json(struct upstream *upstream, struct buffer *out);
void upstream_print(struct upstream *upstream, FILE *out);

/* One link, as it is read: borrowed for the call that shows it. */
struct link_view {
    const char *source;
    const char *hop; /* the sender's name */
    uint64_t instance;
    const struct sequence *sequence;
    bool shared;
    bool finished;
    const struct hop_ledger *hops;
    unsigned hop_count;
};

/* Shows each link, the oldest first, under the lock: `visit` is quick and calls nothing here. */
void upstream_visit(struct upstream *upstream,
                    void (*visit)(void *arg, const struct link_view *link), void *arg);

/* The fields of a tally, in the ledger's order. */
void tally_json(struct buffer *out, const struct tally *tally);

#endif
