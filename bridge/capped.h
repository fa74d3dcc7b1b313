/* Sums that stay at the most that can be said: whoever sends a message can write any number into it. */
#ifndef BRIDGE_CAPPED_H
#define BRIDGE_CAPPED_H

#include <stdint.h>

static inline uint64_t capped_add(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

#endif
