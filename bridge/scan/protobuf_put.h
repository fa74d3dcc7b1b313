/* Writing Protocol Buffers, field by field. `out->failed` when memory runs out. */
#ifndef BRIDGE_SCAN_PROTOBUF_PUT_H
#define BRIDGE_SCAN_PROTOBUF_PUT_H

#include "../buffer.h"
#include "octets.h"
#include "protobuf.h"

static inline void wire_varint(uint64_t value, struct buffer *out)
{
    uint8_t octets[10];
    size_t len = 0;
    for (; value >= 0x80; value >>= 7)
        octets[len++] = (uint8_t)(value | 0x80);
    octets[len++] = (uint8_t)value;
    buffer_put(out, octets, len);
}

static inline void wire_number(unsigned field, uint64_t value, struct buffer *out)
{
    wire_varint(field << 3 | PROTOBUF_VARINT, out);
    wire_varint(value, out);
}

static inline void wire_fixed32(unsigned field, uint32_t value, struct buffer *out)
{
    uint8_t octets[4] = {(uint8_t)value, (uint8_t)(value >> 8), (uint8_t)(value >> 16),
                         (uint8_t)(value >> 24)};
    wire_varint(field << 3 | PROTOBUF_FIXED32, out);
    buffer_put(out, octets, sizeof octets);
}

/* A length-delimited field's tag and length. */
static inline void wire_head(unsigned field, uint64_t len, struct buffer *out)
{
    wire_varint(field << 3 | PROTOBUF_OCTETS, out);
    wire_varint(len, out);
}

static inline void wire_octets(unsigned field, struct octets octets, struct buffer *out)
{
    wire_head(field, octets.len, out);
    buffer_put(out, octets.data, octets.len);
}

static inline uint32_t wire_varint_len(uint64_t value)
{
    uint32_t len = 1;
    for (; value >= 0x80; value >>= 7)
        len++;
    return len;
}

#endif
