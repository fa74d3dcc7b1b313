/* SipHash-2-4 with 128 bits: a hash with a secret key. Who does not know the key cannot make two inputs with the same
 * hash, but by trying as many as chance asks for. For what strangers' data are told apart by; where a collision
 * costs time alone, XXH3 is quicker. Any thread. */
#ifndef BRIDGE_SIPHASH_H
#define BRIDGE_SIPHASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct siphash_key {
    uint64_t low, high;
};

struct siphash {
    uint64_t low, high;
};

/* A key that nobody knows. False: the system has no random numbers. */
bool siphash_key_make(struct siphash_key *key);

struct siphash siphash(const struct siphash_key *key, const void *data, size_t len);

#endif
