/* The account of one link for one interval: which messages, and the digests of blocks of them, so
 * that what survives a loss can still be compared. Owned by the thread of the source or sink; whole
 * runs of frames are digested at a time, and nothing is allocated once it is made. */
#ifndef RECEIPT_INTERVAL_H
#define RECEIPT_INTERVAL_H

#include <openssl/evp.h>

#include "buffer.h"
#include "gaps.h"
#include "receipt/format.h"

struct interval {
    uint64_t number;
    uint32_t part; /* further lines of an interval that has more blocks than a line may */
    bool shared;   /* gaps are no losses: no blocks, no gaps, only counts */
    uint32_t epoch;
    char policy[SHA256_HEX + 1]; /* "none": there is none */

    uint64_t messages, octets; /* octets of payload, without the frames' lengths */
    uint64_t first, last;      /* the lowest and the highest number, where there are messages */
    uint64_t duplicates;
    struct gaps missing, refused;
    int64_t from_ms, to_ms; /* of the first and the last batch, since 1970 */

    struct block blocks[BLOCKS_MAX];
    unsigned count;
    bool open; /* the digest of block `open_at` goes on in `run` */
    unsigned open_at;
    EVP_MD_CTX *run;
    EVP_MD_CTX *look; /* for a copy of it, to be finished; and for what came late */
    uint8_t running_before[SHA256_OCTETS];
    uint8_t running[SHA256_OCTETS]; /* over all blocks of the link up to the line that was written
                                       last */
};

/* False: no memory. */
bool interval_init(struct interval *interval);
void interval_free(struct interval *interval);

/* Empties it for another interval, or another part of one, of the same link. */
void interval_begin(struct interval *interval, uint64_t number, uint32_t part);

/* Has nothing happened that a line would tell? */
bool interval_is_empty(const struct interval *interval);

/* The data frames from `*data` to `end` are the messages first .. first+count-1. How many of them
 * it took: all, or those before the one for whose block there is no room any more; `*data` is
 * behind them. `now_ms` since 1970. */
uint32_t interval_add(struct interval *interval, uint64_t first, uint32_t count,
                      const uint8_t **data, const uint8_t *end, int64_t now_ms);

/* Appends the line's fields that tell of it. What follows may still be added to it. */
void interval_write(struct interval *interval, struct buffer *out);

#endif
