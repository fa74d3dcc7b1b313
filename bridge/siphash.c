#include "siphash.h"

#include <string.h>
#include <sys/random.h>

#include "reader.h"

struct state {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static inline uint64_t load_rest(const uint8_t *at, size_t len)
{
    uint64_t word = 0;
    for (size_t i = 0; i < len; i++)
        word |= (uint64_t)at[i] << 8 * i;
    return word;
}

static inline void rounds(struct state *s, int count)
{
    for (int i = 0; i < count; i++) {
        s->v0 += s->v1;
        s->v1 = rotate(s->v1, 13) ^ s->v0;
        s->v0 = rotate(s->v0, 32);
        s->v2 += s->v3;
        s->v3 = rotate(s->v3, 16) ^ s->v2;
        s->v0 += s->v3;
        s->v3 = rotate(s->v3, 21) ^ s->v0;
        s->v2 += s->v1;
        s->v1 = rotate(s->v1, 17) ^ s->v2;
        s->v2 = rotate(s->v2, 32);
    }
}

static inline void take(struct state *s, uint64_t word)
{
    s->v3 ^= word;
    rounds(s, 2);
    s->v0 ^= word;
}

static inline uint64_t result(const struct state *s)
{
    return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

bool siphash_key_make(struct siphash_key *key)
{
    return getrandom(key, sizeof *key, 0) == sizeof *key;
}

struct siphash siphash(const struct siphash_key *key, const void *data, size_t len)
{
    const uint8_t *at = data;
    struct state s = {
        .v0 = key->low ^ 0x736f6d6570736575,
        .v1 = key->high ^ 0x646f72616e646f6d ^ 0xee,
        .v2 = key->low ^ 0x6c7967656e657261,
        .v3 = key->high ^ 0x7465646279746573,
    };
    size_t left = len;
    for (; left >= 8; left -= 8, at += 8)
        take(&s, load_le64(at));
    take(&s, (uint64_t)len << 56 | load_rest(at, left));
    s.v2 ^= 0xee;
    rounds(&s, 4);
    struct siphash hash = {.low = result(&s)};
    s.v1 ^= 0xdd;
    rounds(&s, 4);
    hash.high = result(&s);
    return hash;
}
