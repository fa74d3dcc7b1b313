/* What a bus sink writes on each batch: its number, and the ledger of this hop behind those before it. One
 * for each run of numbers that a receiver follows; owned by the sink's thread. */
#ifndef BRIDGE_POSTMARK_H
#define BRIDGE_POSTMARK_H

#include "adapters/adapter.h"
#include "batch.h"
#include "envelope.h"

struct postmark {
    uint64_t instance; /* random, new at each start */
    uint64_t sequence; /* of the next message */
    bool shared;
    uint32_t epoch;
    bool has_interval; /* these three: where receipts are written */
    bool has_policy;
    uint64_t interval;
    uint8_t policy[POLICY_OCTETS];
    struct envelope envelope; /* the one being written */
};

/* False with the error: no random number. */
bool postmark_init(struct postmark *postmark, struct error *error);

/* Is each batch from here on for one of several receivers? Gaps say nothing to any of them then. */
void postmark_share(struct postmark *postmark, bool shared);

/* Fills in `envelope` for a batch of `count` messages; without a batch, the closing one. */
void postmark_fill(struct postmark *postmark, const struct sink_host *host, const struct batch *batch,
                   uint32_t count);

#endif
