/* What a route hands its sink: records in the sink's format, and the account in which the sink says
 * what became of each. All is borrowed for the call; the batch may be referenced to keep it. */
#ifndef BRIDGE_PARCEL_H
#define BRIDGE_PARCEL_H

#include "batch.h"
#include "ledger.h"

struct parcel {
    struct batch *batch;   /* the messages that the records were made from */
    const uint8_t *data;   /* the records, back to back */
    size_t len;
    const uint32_t *ends;  /* where each record ends; NULL: the records are data frames */
    uint32_t count;        /* records, each one message */
    struct account *account;
};

/* How many records stand wholly within the first `octets`, and where the last of these ends. */
uint32_t parcel_whole(const struct parcel *parcel, size_t octets, size_t *end);

#endif
