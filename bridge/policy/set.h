/* A set of octet strings, looked up in constant time whatever its size: millions of names,
 * networks, identities. Filled on one thread, then only read. */
#ifndef BRIDGE_POLICY_SET_H
#define BRIDGE_POLICY_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../buffer.h"

struct set;

struct set *set_new(void);
void set_free(struct set *set);

/* False when memory runs out. A string that is in the set already is left alone. */
bool set_add(struct set *set, const void *data, size_t len);
bool set_has(const struct set *set, const void *data, size_t len);

/* Appends how many there are, and each with its length, in an order that is always the same.
 * `out->failed` when memory runs out. */
void set_put_sorted(const struct set *set, struct buffer *out);

uint64_t set_memory(const struct set *set);

#endif
