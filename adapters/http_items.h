/* Reads the answer of Elasticsearch's and OpenSearch's _bulk, which tells of each document by
 * itself. */
#ifndef ADAPTERS_HTTP_ITEMS_H
#define ADAPTERS_HTTP_ITEMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum item_result {
    ITEM_TAKEN,    /* 2xx */
    ITEM_RETRY,    /* 429, 5xx: it was not taken now */
    ITEM_REJECTED, /* any other */
};

/* Calls `each` for the items in their order, with what the server says of one that it did not take
 * (borrowed; may be empty). False, and nothing is called, where the answer is not one of `count`
 * items. Any thread. */
bool http_items_read(const char *answer, size_t len, uint32_t count,
                     void (*each)(void *arg, uint32_t i, enum item_result result,
                                  const char *reason),
                     void *arg);

/* The most octets of memory that reading an answer of `count` items takes. */
uint64_t http_items_memory(uint64_t count);

#endif
