/* A cursor over octets that somebody else owns. Every read checks the bounds; a read that does not
 * fit sets `bad`, yields zero, and moves nothing, so that a caller may read a whole structure and
 * test `bad` once. All integers on the wire here are big endian. Any thread; no allocation. */
#ifndef BRIDGE_READER_H
#define BRIDGE_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct reader {
    const uint8_t *at;
    const uint8_t *end;
    bool bad;
};

static inline struct reader reader_over(const void *data, size_t len)
{
    const uint8_t *at = data;
    return (struct reader){.at = at, .end = len > 0 ? at + len : at, .bad = false}; /* at may be NULL */
}

static inline size_t reader_left(const struct reader *r)
{
    return (size_t)(r->end - r->at);
}

/* The next `len` octets, borrowed, or NULL where there are fewer. */
static inline const uint8_t *reader_take(struct reader *r, size_t len)
{
    if (r->bad || reader_left(r) < len) {
        r->bad = true;
        return NULL;
    }
    const uint8_t *taken = r->at;
    r->at += len;
    return taken;
}

static inline uint16_t load_be16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint64_t load_le64(const uint8_t *p)
{
    return (uint64_t)p[7] << 56 | (uint64_t)p[6] << 48 | (uint64_t)p[5] << 40 | (uint64_t)p[4] << 32 |
           (uint64_t)p[3] << 24 | (uint64_t)p[2] << 16 | (uint64_t)p[1] << 8 | p[0];
}

static inline uint32_t load_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline void store_be32(uint8_t *p, uint32_t value)
{
    p[0] = (uint8_t)(value >> 24);
    p[1] = (uint8_t)(value >> 16);
    p[2] = (uint8_t)(value >> 8);
    p[3] = (uint8_t)value;
}

static inline uint8_t reader_u8(struct reader *r)
{
    const uint8_t *p = reader_take(r, 1);
    return p ? p[0] : 0;
}

static inline uint16_t reader_be16(struct reader *r)
{
    const uint8_t *p = reader_take(r, 2);
    return p ? load_be16(p) : 0;
}

static inline uint32_t reader_be32(struct reader *r)
{
    const uint8_t *p = reader_take(r, 4);
    return p ? load_be32(p) : 0;
}

#endif
