/* Numbers in the canonical form of a policy, which is the same on every machine. */
#ifndef BRIDGE_POLICY_CANONICAL_H
#define BRIDGE_POLICY_CANONICAL_H

#include "../buffer.h"

static inline void canonical_put_number(uint64_t number, struct buffer *out)
{
    uint8_t octets[8];
    for (int i = 0; i < 8; i++)
        octets[i] = (uint8_t)(number >> (56 - 8 * i));
    buffer_put(out, octets, sizeof octets);
}

#endif
