/* The envelope in which a batch travels over a bus (bus.proto, docs/bus-format.md): the number of its
 * first message, and the ledgers of the hops that it came through. Plain values; any thread. */
#ifndef BRIDGE_ENVELOPE_H
#define BRIDGE_ENVELOPE_H

#include <stdbool.h>
#include <stdint.h>

#include "buffer.h"
#include "ledger.h"

enum {
    HOP_NAME_MAX = 63,
    ENVELOPE_HOPS = 32,         /* a longer path loses its oldest hops */
    POLICY_OCTETS = 32,
    ENVELOPE_MAX = 16 * 1024,   /* octets; a longer one is refused */
};

/* No number in an envelope is larger: a million messages a second take 285 years to it, sums of many stay in 64 bits, and
 * readers that count in doubles are exact. */
#define ENVELOPE_NUMBER_MAX (UINT64_C(1) << 53)

struct hop_ledger {
    char hop[HOP_NAME_MAX + 1]; /* printable */
    uint64_t instance;
    struct tally tally; /* in_flight is not carried: it is what the others leave */
    uint64_t lost;
};

struct envelope {
    uint64_t sequence;
    uint32_t count;
    uint32_t epoch;
    bool shared;
    bool final;
    bool has_interval; /* the sender writes receipts */
    bool has_policy;
    uint64_t interval;
    uint8_t policy[POLICY_OCTETS];
    unsigned hops;
    struct hop_ledger path[ENVELOPE_HOPS]; /* oldest first; the sender last */
};

/* False where the octets are not an envelope, it names no sender, or a number in it is beyond ENVELOPE_NUMBER_MAX. Octets of
 * names that cannot be printed become '?'. */
bool envelope_read(struct envelope *envelope, const uint8_t *data, size_t len);

/* Appends the encoded envelope. A failure marks the buffer. */
void envelope_write(const struct envelope *envelope, struct buffer *out);

/* Adds a hop at the end of the path. */
void envelope_add_hop(struct envelope *envelope, const struct hop_ledger *hop);

#endif
