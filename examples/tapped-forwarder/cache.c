#include "cache.h"

#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 1 << 14 };

struct cache {
    size_t octets, limit;
    cache_leaves *leaves;
    void *arg;
    struct cache_entry *newest, *oldest;
    struct cache_entry *buckets[BUCKETS];
};

struct cache *cache_new(size_t octets, cache_leaves *leaves, void *arg)
{
    struct cache *cache = calloc(1, sizeof *cache);
    if (!cache)
        return NULL;
    cache->limit = octets;
    cache->leaves = leaves;
    cache->arg = arg;
    return cache;
}

/* FNV-1a: keys come from clients, but a long chain costs them no more than a miss. */
static struct cache_entry **bucket(struct cache *cache, const struct dns_key *key)
{
    uint32_t hash = 2166136261u;
    for (uint16_t i = 0; i < key->len; i++)
        hash = (hash ^ key->octets[i]) * 16777619u;
    return &cache->buckets[(hash ^ hash >> 16) % BUCKETS];
}

static bool key_equal(const struct dns_key *a, const struct dns_key *b)
{
    return a->len == b->len && memcmp(a->octets, b->octets, a->len) == 0;
}

static void list_remove(struct cache *cache, struct cache_entry *e)
{
    *(e->newer ? &e->newer->older : &cache->newest) = e->older;
    *(e->older ? &e->older->newer : &cache->oldest) = e->newer;
}

static void list_add(struct cache *cache, struct cache_entry *e)
{
    e->newer = NULL;
    e->older = cache->newest;
    *(cache->newest ? &cache->newest->newer : &cache->oldest) = e;
    cache->newest = e;
}

static void entry_free(struct cache_entry *e)
{
    free(e->wire);
    free(e->ttl_at);
    free(e);
}

static void entry_remove(struct cache *cache, struct cache_entry *e)
{
    struct cache_entry **at = bucket(cache, &e->key);
    while (*at != e)
        at = &(*at)->next;
    *at = e->next;
    list_remove(cache, e);
    cache->octets -= e->octets;
    entry_free(e);
}

static bool entry_expired(const struct cache_entry *e, time_t now)
{
    return now - e->stored >= (time_t)e->ttl;
}

static void entry_leave(struct cache *cache, struct cache_entry *e, time_t now)
{
    cache->leaves(cache->arg, e, entry_expired(e, now) ? CACHE_EXPIRED : CACHE_PURGED, now);
    entry_remove(cache, e);
}

static struct cache_entry *lookup(struct cache *cache, const struct dns_key *key)
{
    struct cache_entry *e = *bucket(cache, key);
    while (e && !key_equal(&e->key, key))
        e = e->next;
    return e;
}

const struct cache_entry *cache_find(struct cache *cache, const struct dns_key *key, time_t now)
{
    struct cache_entry *e = lookup(cache, key);
    if (!e)
        return NULL;
    if (entry_expired(e, now)) {
        entry_leave(cache, e, now);
        return NULL;
    }
    e->hits++;
    list_remove(cache, e);
    list_add(cache, e);
    return e;
}

static struct cache_entry *entry_new(const struct dns_key *key, const uint8_t *wire, size_t len,
                                     const struct dns_answer *answer)
{
    struct cache_entry *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    size_t ttl_octets = answer->ttl_count * sizeof *e->ttl_at;
    e->wire = malloc(len);
    e->ttl_at = malloc(ttl_octets + 1);
    if (!e->wire || !e->ttl_at) {
        entry_free(e);
        return NULL;
    }
    memcpy(e->wire, wire, len);
    memcpy(e->ttl_at, answer->ttl_at, ttl_octets);
    e->key = *key;
    e->len = len;
    e->ttl_count = answer->ttl_count;
    e->ttl = answer->ttl;
    e->octets = sizeof *e + len + ttl_octets;
    return e;
}

void cache_put(struct cache *cache, const struct dns_key *key, const uint8_t *wire, size_t len,
               const struct dns_answer *answer, time_t now)
{
    struct cache_entry *old = lookup(cache, key);
    if (old)
        entry_remove(cache, old);
    struct cache_entry *e = entry_new(key, wire, len, answer);
    if (!e)
        return;
    while (cache->oldest && cache->octets + e->octets > cache->limit)
        entry_leave(cache, cache->oldest, now);
    if (e->octets > cache->limit) {
        entry_free(e);
        return;
    }
    e->stored = now;
    struct cache_entry **at = bucket(cache, key);
    e->next = *at;
    *at = e;
    list_add(cache, e);
    cache->octets += e->octets;
}

void cache_free(struct cache *cache)
{
    while (cache && cache->oldest)
        entry_remove(cache, cache->oldest);
    free(cache);
}
