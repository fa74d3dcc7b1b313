/* The RRsets of one window: each once, how often it was seen, and when. All memory is taken at the
 * start; at the end of a window everything is given out, and the table is empty again. Owned by one
 * thread. */
#ifndef BRIDGE_ENCODE_COF_TABLE_H
#define BRIDGE_ENCODE_COF_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cof_key {
    uint64_t high, low;
};

struct cof_entry {
    struct cof_key key;
    uint64_t count;
    uint64_t first, last; /* seconds since 1970 */
    uint32_t len;
    char text[]; /* what of the record never changes */
};

struct cof_table;

/* `octets` of memory in all. NULL: out of memory. */
struct cof_table *cof_table_new(size_t octets);
void cof_table_free(struct cof_table *table);

struct cof_entry *cof_table_find(const struct cof_table *table, struct cof_key key);

/* A new entry, whose key is not there yet. NULL: there is no room. */
struct cof_entry *cof_table_add(struct cof_table *table, struct cof_key key, const void *text,
                                size_t len);

/* Takes back the entries that were added since a mark. */
struct cof_mark {
    size_t used, count;
};
struct cof_mark cof_table_mark(const struct cof_table *table);
void cof_table_take_back(struct cof_table *table, struct cof_mark mark);

/* The entries in the order in which they came: the first with *at 0. NULL behind the last. */
const struct cof_entry *cof_table_next(const struct cof_table *table, size_t *at);

/* Octets that are left for entries; 0 where the index is full. */
size_t cof_table_room(const struct cof_table *table);

bool cof_table_is_empty(const struct cof_table *table);
void cof_table_clear(struct cof_table *table);

#endif
