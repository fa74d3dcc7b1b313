#include "set.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "canonical.h"

enum { FIRST_SLOTS = 64 };

/* Open addressing: where a string stands in `octets`, and half of its hash, so that a slot of
 * another string is passed without a look at it. */
struct slot {
    uint32_t tag;
    uint32_t at; /* 0: free */
};

struct set {
    uint64_t seed; /* random: names that share a slot cannot be chosen beforehand; they would cost time */
    struct slot *slots;
    size_t slot_count; /* a power of two, at least twice `count` */
    size_t count;
    uint8_t *octets; /* length in two octets, string, length, ... */
    size_t len, cap;
};

struct set *set_new(void)
{
    struct set *set = calloc(1, sizeof *set);
    if (!set)
        return NULL;
    set->slots = calloc(FIRST_SLOTS, sizeof *set->slots);
    set->slot_count = FIRST_SLOTS;
    set->len = 1; /* nothing stands at 0 */
    if (set->slots && getrandom(&set->seed, sizeof set->seed, 0) == sizeof set->seed)
        return set;
    set_free(set);
    return NULL;
}

void set_free(struct set *set)
{
    if (!set)
        return;
    free(set->slots);
    free(set->octets);
    free(set);
}

static bool stands_at(const struct set *set, uint32_t at, const void *data, size_t len)
{
    uint16_t there;
    memcpy(&there, set->octets + at, sizeof there);
    return there == len && memcmp(set->octets + at + sizeof there, data, len) == 0;
}

/* The slot of the string, or the free one where it would go. */
static struct slot *find(const struct set *set, uint64_t hash, const void *data, size_t len)
{
    size_t mask = set->slot_count - 1;
    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        struct slot *slot = &set->slots[i];
        if (!slot->at ||
            (slot->tag == (uint32_t)(hash >> 32) && stands_at(set, slot->at, data, len)))
            return slot;
    }
}

static uint64_t hash_of(const struct set *set, const void *data, size_t len)
{
    return XXH3_64bits_withSeed(data, len, set->seed);
}

static bool grow_slots(struct set *set)
{
    struct slot *slots = calloc(set->slot_count * 2, sizeof *slots);
    if (!slots)
        return false;
    size_t mask = set->slot_count * 2 - 1;
    for (size_t i = 0; i < set->slot_count; i++) {
        struct slot slot = set->slots[i];
        if (!slot.at)
            continue;
        uint16_t len;
        memcpy(&len, set->octets + slot.at, sizeof len);
        size_t to = hash_of(set, set->octets + slot.at + sizeof len, len) & mask;
        while (slots[to].at)
            to = (to + 1) & mask;
        slots[to] = slot;
    }
    free(set->slots);
    set->slots = slots;
    set->slot_count *= 2;
    return true;
}

static bool grow_octets(struct set *set, size_t more)
{
    if (set->cap - set->len >= more && set->cap > 0)
        return true;
    size_t cap = (set->cap + more) * 2 + 1024;
    uint8_t *octets = cap <= UINT32_MAX ? realloc(set->octets, cap) : NULL;
    if (!octets)
        return false;
    set->octets = octets;
    set->cap = cap;
    return true;
}

bool set_add(struct set *set, const void *data, size_t len)
{
    uint16_t stored = (uint16_t)len;
    if (len > UINT16_MAX || ((set->count + 1) * 2 > set->slot_count && !grow_slots(set)) ||
        !grow_octets(set, len + sizeof stored))
        return false;
    uint64_t hash = hash_of(set, data, len);
    struct slot *slot = find(set, hash, data, len);
    if (slot->at)
        return true;
    *slot = (struct slot){.tag = (uint32_t)(hash >> 32), .at = (uint32_t)set->len};
    memcpy(set->octets + set->len, &stored, sizeof stored);
    memcpy(set->octets + set->len + sizeof stored, data, len);
    set->len += len + sizeof stored;
    set->count++;
    return true;
}

bool set_has(const struct set *set, const void *data, size_t len)
{
    return set->count > 0 && find(set, hash_of(set, data, len), data, len)->at != 0;
}

uint64_t set_memory(const struct set *set)
{
    return set->slot_count * sizeof *set->slots + set->cap;
}

static uint16_t length_at(const struct set *set, uint32_t at)
{
    uint16_t len;
    memcpy(&len, set->octets + at, sizeof len);
    return len;
}

static int compare(const void *a, const void *b, void *arg)
{
    const struct set *set = arg;
    uint32_t x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    uint16_t x_len = length_at(set, x), y_len = length_at(set, y);
    if (x_len != y_len)
        return x_len < y_len ? -1 : 1;
    return memcmp(set->octets + x + sizeof x_len, set->octets + y + sizeof y_len, x_len);
}

void set_put_sorted(const struct set *set, struct buffer *out)
{
    uint32_t *order = malloc((set->count + 1) * sizeof *order);
    if (!order) {
        out->failed = true;
        return;
    }
    size_t found = 0;
    for (size_t i = 0; i < set->slot_count; i++) {
        if (set->slots[i].at)
            order[found++] = set->slots[i].at;
    }
    assert(found == set->count);
    qsort_r(order, found, sizeof *order, compare, (void *)(uintptr_t)set);
    canonical_put_number(found, out);
    for (size_t i = 0; i < found; i++) {
        canonical_put_number(length_at(set, order[i]), out);
        buffer_put(out, set->octets + order[i] + sizeof(uint16_t), length_at(set, order[i]));
    }
    free(order);
}
