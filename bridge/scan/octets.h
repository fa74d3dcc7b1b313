/* Octets that somebody else owns: a borrowed view. It lives as long as what it was cut from. */
#ifndef BRIDGE_OCTETS_H
#define BRIDGE_OCTETS_H

#include <stdint.h>

struct octets {
    const uint8_t *data;
    uint32_t len;
};

#endif
