/* The account of one route: what its source gave it, and what became of each message.
 *
 *     received = delivered + dropped + filtered + rejected + malformed + failed + in_flight
 *
 * in_flight is what is left: it is computed, never counted, and is 0 once all is settled. Two threads
 * write, each its own cache line: the source's and the sink's. Any thread may read at any time, and
 * the equation holds in every reading. */
#ifndef BRIDGE_LEDGER_H
#define BRIDGE_LEDGER_H

#include <stdatomic.h>
#include <stdint.h>

/* What a sink's thread can say of messages in its hands. */
enum outcome {
    OUTCOME_DELIVERED, /* the sink's peer took them */
    OUTCOME_FILTERED,  /* a policy took them out on purpose */
    OUTCOME_REJECTED,  /* a policy sent them to another sink, where they are received anew */
    OUTCOME_MALFORMED, /* could not be decoded where decoding was needed */
    OUTCOME_FAILED,    /* the sink gave up for good */
    OUTCOMES
};

struct account {
    _Alignas(64) _Atomic uint64_t received;
    _Atomic uint64_t dropped;
    _Atomic uint64_t refused; /* malformed already at the source */
    _Alignas(64) _Atomic uint64_t settled[OUTCOMES];
};

/* One reading of an account, or the sum of several. */
struct tally {
    uint64_t received;
    uint64_t delivered;
    uint64_t dropped;
    uint64_t filtered;
    uint64_t rejected;
    uint64_t malformed;
    uint64_t failed;
    uint64_t in_flight;
};

/* A source or sink by its URL. Of those that bear one, the second has `nth` 2. */
struct named {
    const char *url;
    unsigned nth;
};

/* The source's thread: `n` messages arrived for this route; were refused by its ring; broke a limit
 * (the last two: of those that arrived). */
void account_received(struct account *account, uint64_t n);
void account_dropped(struct account *account, uint64_t n);
void account_refused(struct account *account, uint64_t n);

/* The sink's thread: what became of `n` messages. */
void account_settle(struct account *account, enum outcome outcome, uint64_t n);

struct tally account_read(const struct account *account);

void tally_add(struct tally *sum, const struct tally *one);

#endif
