/* A load: records gathered from parcels that travel in one request, each with the right to settle
 * it. A request may carry only a part of it, the window, and what is settled in the window already
 * is left out when it is sent again. Owned by the sink's thread. */
#ifndef ADAPTERS_HTTP_LOAD_H
#define ADAPTERS_HTTP_LOAD_H

#include "buffer.h"
#include "parcel.h"

/* Records in a row that one ticket settles. */
struct load_share {
    struct ticket ticket;
    uint32_t first;
};

struct load {
    struct buffer records;
    uint32_t
        *ends; /* where each record ends in them; of data frames found when it is first asked for */
    uint32_t known; /* records whose end is known */
    bool *settled;  /* of each record, where `apart`; else none of the window is */
    bool apart;     /* records were settled one by one */
    uint32_t count;
    uint32_t count_max;
    struct load_share *shares;
    uint32_t share_count, share_room;
    uint32_t from, to; /* the window: records */
    uint32_t step;     /* its largest width */
    uint64_t begun_ns; /* of the wall clock; the same however often it is sent */
    int64_t begun_ms;  /* of the monotonic clock */
};

/* The way through a parcel's records, whatever they are. */
struct load_cursor {
    const struct parcel *parcel;
    uint32_t record; /* the next one */
    size_t octet;    /* where it begins */
};

/* For at most `count_max` records. NULL: out of memory. Freeing it leaves unsettled what is
 * unsettled. */
struct load *load_new(uint32_t count_max);
void load_free(struct load *load);

/* Takes records until the parcel's end, or until the load has `count_max`, or would have more than
 * `size_max` octets (one record always fits). False: it is full, and the cursor not at the end. Out
 * of memory: the records are settled as failed, and passed. */
bool load_add(struct load *load, struct load_cursor *cursor, size_t size_max);

/* Sets the window to the first records, of at most `size_max` octets (one at least); to those
 * behind the window: false where there are none; to its first half: false where it is a single
 * record. */
void load_begin(struct load *load, size_t size_max);
bool load_next(struct load *load);
bool load_halve(struct load *load);

/* The octets and the unsettled records of the window. */
size_t load_octets(struct load *load);
uint32_t load_open(const struct load *load);

/* Where the window begins in the records. */
const uint8_t *load_window(struct load *load);

/* A record, and whether it is settled. */
const uint8_t *load_record(struct load *load, uint32_t i, size_t *len);

static inline bool load_is_settled(const struct load *load, uint32_t i)
{
    return load->apart && load->settled[i];
}

/* Settles what is not settled: of the window; one record of it. */
void load_settle(struct load *load, enum outcome outcome);
void load_settle_one(struct load *load, uint32_t record, enum outcome outcome);

/* The most octets of memory that one takes with `count` records of `size` octets in all. */
uint64_t load_memory(uint64_t size, uint64_t count);

/* Empties it, to be filled anew. */
void load_clear(struct load *load);

#endif
