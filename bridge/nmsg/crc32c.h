/* CRC-32C (Castagnoli, reflected polynomial 0x82f63b78), by the processor's instruction where it
 * has one. Any thread. */
#ifndef BRIDGE_NMSG_CRC32C_H
#define BRIDGE_NMSG_CRC32C_H

#include "../scan/octets.h"

uint32_t crc32c(struct octets octets);

/* The same one octet at a time, whatever the processor: what crc32c is tested against. */
uint32_t crc32c_plain(struct octets octets);

/* As NMSG stores it: in network byte order, read as a number of a little-endian host. */
static inline uint32_t nmsg_crc(struct octets octets)
{
    return __builtin_bswap32(crc32c(octets));
}

#endif
