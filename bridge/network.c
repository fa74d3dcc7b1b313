#include "network.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

enum { MAPPED = NETWORK_IPV4_BITS / 8 };

bool network_map(const uint8_t *address, size_t len, uint8_t out[16])
{
    if (len == 16) {
        memcpy(out, address, 16);
        return true;
    }
    if (len != 4)
        return false;
    memset(out, 0, 10);
    out[10] = out[11] = 0xff;
    memcpy(out + MAPPED, address, 4);
    return true;
}

static bool read_bits(const char *text, const char *end, unsigned width, unsigned *bits)
{
    char *stop;
    unsigned long number = strtoul(text, &stop, 10);
    *bits = (unsigned)number;
    return *text >= '0' && *text <= '9' && stop == end && number <= width;
}

bool network_read(const char *text, size_t len, struct network *network)
{
    char address[INET6_ADDRSTRLEN];
    const char *slash = memchr(text, '/', len);
    size_t address_len = slash ? (size_t)(slash - text) : len;
    struct in_addr in;
    if (address_len >= sizeof address)
        return false;
    memcpy(address, text, address_len);
    address[address_len] = '\0';
    unsigned width = 128;
    if (inet_pton(AF_INET, address, &in) == 1) {
        network_map((const uint8_t *)&in, 4, network->address);
        width = 32;
    } else if (inet_pton(AF_INET6, address, network->address) != 1) {
        return false;
    }
    unsigned bits = width;
    if (slash && !read_bits(slash + 1, text + len, width, &bits))
        return false;
    network->bits = bits + 128 - width;
    return true;
}

void network_mask(uint8_t *address, size_t len, unsigned bits)
{
    size_t whole = bits / 8;
    if (whole >= len)
        return;
    address[whole] &= (uint8_t)(0xff00u >> bits % 8);
    memset(address + whole + 1, 0, len - whole - 1);
}
