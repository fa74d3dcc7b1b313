/* What dedupe remembers: messages, each until its time is over or its room is needed, the oldest
 * first. All memory is taken at the start: a circle of entries, and an index into it. Owned by one
 * thread. */
#ifndef BRIDGE_POLICY_DEDUPE_TABLE_H
#define BRIDGE_POLICY_DEDUPE_TABLE_H

#include "subject.h"

struct dedupe_key {
    uint64_t high, low;
};

struct dedupe_entry {
    struct dedupe_key key;
    int64_t until_ms;
    uint64_t repeats; /* so many more came */
    struct ticket ticket;
    uint32_t size; /* of the entry; internal */
    uint32_t len;
    uint8_t data[]; /* the message, and DEDUPE_ROOM octets more */
};

enum { DEDUPE_ROOM = 16 }; /* behind the message, for who lets it go */

struct dedupe_table;

/* `octets` of memory in all. NULL: out of memory. */
struct dedupe_table *dedupe_table_new(size_t octets);
void dedupe_table_free(struct dedupe_table *table);

/* The entry of this key, or NULL. */
struct dedupe_entry *dedupe_table_find(const struct dedupe_table *table, struct dedupe_key key);

/* A new one, with a copy of the message; the key is not there yet. NULL: there is no room. */
struct dedupe_entry *dedupe_table_add(struct dedupe_table *table, struct dedupe_key key,
                                      struct frame message);

/* The oldest entry, or NULL; takes it out: it stays readable until the next call that adds. */
const struct dedupe_entry *dedupe_table_oldest(const struct dedupe_table *table);
struct dedupe_entry *dedupe_table_take(struct dedupe_table *table);

/* Is so little room left that the oldest should go? */
bool dedupe_table_is_crowded(const struct dedupe_table *table);

size_t dedupe_table_memory(const struct dedupe_table *table);

#endif
