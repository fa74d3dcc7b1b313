/* The wire format of Protocol Buffers, as far as a scan needs it: tags, varints, and how to step
 * over a field that nobody asked for. Everything goes through a `struct reader`: what does not fit
 * or is no valid encoding sets `bad`. Any thread; no allocation. */
#ifndef BRIDGE_PROTOBUF_H
#define BRIDGE_PROTOBUF_H

#include "../reader.h"
#include "octets.h"

enum protobuf_wire {
    PROTOBUF_VARINT = 0,
    PROTOBUF_FIXED64 = 1,
    PROTOBUF_OCTETS = 2, /* a length, then that many octets */
    PROTOBUF_GROUP = 3,
    PROTOBUF_GROUP_END = 4,
    PROTOBUF_FIXED32 = 5,
};

/* Groups inside groups: so many are stepped over, more are refused. */
enum { PROTOBUF_GROUP_DEPTH = 64 };

/* A varint of more than one octet: at most 10 octets, and no bits beyond the 64th. */
uint64_t protobuf_long_varint(struct reader *r);

static inline uint64_t protobuf_varint(struct reader *r)
{
    if (r->at < r->end && *r->at < 0x80 && !r->bad)
        return *r->at++;
    return protobuf_long_varint(r);
}

static inline uint32_t protobuf_fixed32(struct reader *r)
{
    const uint8_t *p = reader_take(r, 4);
    return p ? (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0] : 0;
}

/* A length and that many octets, borrowed. */
static inline struct octets protobuf_octets(struct reader *r)
{
    uint64_t len = protobuf_varint(r);
    const uint8_t *data = NULL;
    if (len > reader_left(r))
        r->bad = true;
    else
        data = reader_take(r, (size_t)len);
    return (struct octets){.data = data, .len = data ? (uint32_t)len : 0};
}

/* A field's number and wire type in one: number * 8 + wire. Sets `bad` where the number is 0 or
 * beyond 2^29 - 1. */
static inline uint32_t protobuf_tag(struct reader *r)
{
    uint64_t tag = protobuf_varint(r);
    if (tag < 8 || tag > UINT32_MAX)
        r->bad = true;
    return (uint32_t)tag;
}

/* Steps over the value of a field whose tag has been read, whatever it holds. */
void protobuf_skip(struct reader *r, uint32_t tag);

#endif
