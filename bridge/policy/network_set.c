#include "network_set.h"

#include <stdlib.h>
#include <string.h>

#include "../network.h"

enum { KEY = 17 }; /* the address, the number of bits */

struct network_set {
    struct set *keys;
    bool lengths[129];
};

struct network_set *network_set_new(void)
{
    struct network_set *set = calloc(1, sizeof *set);
    if (!set)
        return NULL;
    set->keys = set_new();
    if (set->keys)
        return set;
    free(set);
    return NULL;
}

void network_set_free(struct network_set *set)
{
    if (!set)
        return;
    set_free(set->keys);
    free(set);
}

bool network_set_add(struct network_set *set, const char *text, bool *memory)
{
    struct network network;
    uint8_t key[KEY];
    *memory = true;
    if (!network_read(text, strlen(text), &network))
        return false;
    memcpy(key, network.address, 16);
    network_mask(key, 16, network.bits);
    key[16] = (uint8_t)network.bits;
    set->lengths[network.bits] = true;
    *memory = set_add(set->keys, key, sizeof key);
    return *memory;
}

bool network_set_has(const struct network_set *set, struct octets address)
{
    uint8_t key[KEY];
    if (!network_map(address.data, address.len, key))
        return false;
    int least = address.len == 4 ? NETWORK_IPV4_BITS : 0; /* ::/0 holds no IPv4 address */
    for (int bits = 128; bits >= least; bits--) {         /* ever less of the address is left */
        if (!set->lengths[bits])
            continue;
        network_mask(key, 16, (unsigned)bits);
        key[16] = (uint8_t)bits;
        if (set_has(set->keys, key, sizeof key))
            return true;
    }
    return false;
}

uint64_t network_set_memory(const struct network_set *set)
{
    return set_memory(set->keys);
}

void network_set_put_sorted(const struct network_set *set, struct buffer *out)
{
    set_put_sorted(set->keys, out);
}
