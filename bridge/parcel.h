/* What a route hands its sink: records in the sink's format, and the account in which the sink says
 * what became of each. All is borrowed for the call; the batch may be referenced to keep it. */
#ifndef BRIDGE_PARCEL_H
#define BRIDGE_PARCEL_H

#include "batch.h"
#include "frame.h"
#include "ledger.h"

struct parcel {
    struct batch *batch;   /* the messages that the records were made from */
    const uint8_t *data;   /* the records, back to back */
    size_t len;
    const uint32_t *ends;  /* where each record ends; NULL: the records are data frames */
    const struct frame *origins; /* with `ends`: the message that each record was made from */
    uint32_t count;        /* records, each one message */
    struct account *account;
};

/* How many records stand wholly within the first `octets`, and where the last of these ends. */
uint32_t parcel_whole(const struct parcel *parcel, size_t octets, size_t *end);

/* `n` of the parcel's messages came to this end. The sink's thread. */
void parcel_settle(const struct parcel *parcel, enum outcome outcome, uint64_t n);

/* For a sink that learns only later what became of its records: the right to settle them once `write` has
 * returned. Each ticket is dropped once, whether all of its messages were settled or not. The sink's
 * thread, like `write`. */
struct ticket {
    struct account *account;
    struct pledge *pledge;
};

struct ticket ticket_take(const struct parcel *parcel);
struct ticket ticket_copy(const struct ticket *ticket);
void ticket_settle(const struct ticket *ticket, enum outcome outcome, uint64_t n);
void ticket_drop(struct ticket *ticket);

#endif
