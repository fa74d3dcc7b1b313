/* A cache of answers, bounded in octets; the least recently used leave first. One thread's. */
#ifndef FORWARDER_CACHE_H
#define FORWARDER_CACHE_H

#include "dns.h"

#include <time.h>

struct cache;

struct cache_entry {
    struct dns_key key;
    uint8_t *wire;
    size_t len;
    uint16_t *ttl_at;
    unsigned ttl_count;
    uint32_t ttl; /* seconds, when it was stored */
    time_t stored;
    uint64_t hits;
    size_t octets; /* of memory */

    struct cache_entry *next; /* in its bucket */
    struct cache_entry *newer, *older;
};

enum cache_reason { CACHE_PURGED, CACHE_EXPIRED };

/* Told of each entry that leaves, before it does; not when the cache is freed. */
typedef void cache_leaves(void *arg, const struct cache_entry *entry, enum cache_reason reason,
                          time_t now);

/* NULL when memory is short. */
struct cache *cache_new(size_t octets, cache_leaves *leaves, void *arg);
void cache_free(struct cache *cache);

/* The answer, counted as a hit, or NULL. Borrowed until the next call. */
const struct cache_entry *cache_find(struct cache *cache, const struct dns_key *key, time_t now);

/* Keeps a copy; in place of one for the same key. Quietly does not when memory is short. */
void cache_put(struct cache *cache, const struct dns_key *key, const uint8_t *wire, size_t len,
               const struct dns_answer *answer, time_t now);

#endif
