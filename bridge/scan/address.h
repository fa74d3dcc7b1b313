/* The one form in which the bridge knows an address. Any thread. */
#ifndef BRIDGE_SCAN_ADDRESS_H
#define BRIDGE_SCAN_ADDRESS_H

#include <stdbool.h>
#include <string.h>

#include "octets.h"

/* Some servers send an IPv4 address in 16 octets, as IPv4-mapped IPv6 (::ffff:192.0.2.1): its last four
 * are the address. */
static inline bool address_is_mapped(struct octets address)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    return address.len == 16 && memcmp(address.data, mapped, sizeof mapped) == 0;
}

static inline struct octets address_normal(struct octets address)
{
    return address_is_mapped(address) ? (struct octets){address.data + 12, 4} : address;
}

#endif
