/* Ranges of numbers that are missing: ascending, apart, and bounded. Where there is no more room
 * the lowest is forgotten, and counted. Zeroed: none. Owned by one thread, or under its owner's
 * lock. */
#ifndef BRIDGE_GAPS_H
#define BRIDGE_GAPS_H

#include <stdint.h>

enum { GAPS_MAX = 64 };

struct gap {
    uint64_t from, to; /* from <= number < to */
};

struct gaps {
    struct gap at[GAPS_MAX];
    unsigned count;
    uint64_t forgotten;         /* ranges */
    uint64_t forgotten_numbers; /* in them */
};

/* A further one, above all others. */
void gaps_add(struct gaps *gaps, struct gap gap);

/* Takes from <= number < to out of them; how many of these had been missing. */
uint64_t gaps_fill(struct gaps *gaps, uint64_t from, uint64_t to);

#endif
