/* A network as a person writes it: ADDRESS or ADDRESS/BITS. Any thread. */
#ifndef BRIDGE_NETWORK_H
#define BRIDGE_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NETWORK_IPV4_BITS = 96 }; /* of an IPv4-mapped address, before the IPv4 one */

struct network {
    uint8_t address[16]; /* an IPv4 one as IPv4-mapped IPv6 */
    unsigned bits;       /* of the 128 */
};

/* False where `text` is none. Bits behind the prefix may be set. */
bool network_read(const char *text, size_t len, struct network *network);

/* An address of 4 or 16 octets as 16. False for any other length. */
bool network_map(const uint8_t *address, size_t len, uint8_t out[16]);

/* Clears what stands behind the first `bits`. */
void network_mask(uint8_t *address, size_t len, unsigned bits);

#endif
