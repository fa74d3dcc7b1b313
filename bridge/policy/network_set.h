/* A set of networks, looked up by address: one probe for each length of prefix that is in it, at
 * most 129. Filled on one thread, then only read. */
#ifndef BRIDGE_POLICY_NETWORK_SET_H
#define BRIDGE_POLICY_NETWORK_SET_H

#include "../scan/octets.h"
#include "set.h"

struct network_set;

struct network_set *network_set_new(void);
void network_set_free(struct network_set *set);

/* ADDRESS or ADDRESS/BITS. False where it is neither; *memory when memory ran out. */
bool network_set_add(struct network_set *set, const char *text, bool *memory);

/* Is the address, 4 or 16 octets, in one of them? */
bool network_set_has(const struct network_set *set, struct octets address);

/* Appends what is in it, in an order that is always the same. */
void network_set_put_sorted(const struct network_set *set, struct buffer *out);

uint64_t network_set_memory(const struct network_set *set);

#endif
