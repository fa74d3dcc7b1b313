/* A message as it travels: one encoded dnstap.Dnstap, borrowed from the batch that holds it.
 *
 * In a batch, messages stand back to back as Frame Streams data frames: a 4-octet big-endian length,
 * then that many octets. A length of 0 is Frame Streams' escape for control frames and never occurs
 * inside a batch. */
#ifndef BRIDGE_FRAME_H
#define BRIDGE_FRAME_H

#include "reader.h"

enum { FRAME_HEADER = 4 }; /* octets of length before each message */

struct frame {
    const uint8_t *data; /* the message, without its length */
    uint32_t len;
};

/* The next message of a run of data frames. False at the end of the run; false with `r->bad` where
 * the run is torn (a length of 0, or beyond the end). */
static inline bool frame_next(struct reader *r, struct frame *frame)
{
    if (reader_left(r) == 0)
        return false;
    const uint8_t *header = reader_take(r, FRAME_HEADER);
    if (!header)
        return false;
    frame->len = load_be32(header);
    frame->data = reader_take(r, frame->len);
    if (frame->len == 0)
        r->bad = true;
    return !r->bad;
}

#endif
