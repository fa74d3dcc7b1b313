/* Reproducible damage for robustness tests. */
#ifndef TESTS_NOISE_H
#define TESTS_NOISE_H

#include <stdint.h>
#include <string.h>

/* xorshift64*: the same numbers on every machine. */
static inline uint32_t noise_next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (uint32_t)(*state * 2685821657736338717u >> 32);
}

static inline uint32_t noise_below(uint64_t *state, uint32_t bound)
{
    return bound ? noise_next(state) % bound : 0;
}

/* Damages `len` octets in place, a little, and says how many are left: never more. */
static inline uint32_t noise_damage(uint64_t *state, uint8_t *data, uint32_t len)
{
    static const uint8_t edges[] = {0, 1, 2, 0x3f, 0x40, 0x7f, 0x80, 0xc0, 0xff};

    for (uint32_t times = 1 + noise_below(state, 3); times > 0 && len > 0; times--) {
        uint32_t at = noise_below(state, len);
        uint32_t kind = noise_below(state, 8);
        if (kind == 0) {
            len = at;
        } else if (kind == 1) {
            memmove(data + at, data + at + 1, len - at - 1);
            len--;
        } else if (kind < 4) {
            data[at] = edges[noise_below(state, sizeof edges)];
        } else if (kind < 6) {
            data[at] = (uint8_t)(data[at] ^ 1u << noise_below(state, 8));
        } else {
            data[at] = (uint8_t)noise_next(state);
        }
    }
    return len;
}

#endif
