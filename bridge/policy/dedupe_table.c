#include "dedupe_table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    ALIGNMENT = 8,
    CROWDED = 256 * 1024, /* less than this free: the largest batches still fit */
};

struct dedupe_table {
    uint8_t *circle;
    size_t size, head, used; /* the oldest is at `head` */
    uint32_t *index;         /* where an entry begins, in units of ALIGNMENT, and 1; 0: free */
    size_t slots;            /* a power of two */
    size_t count;
};

struct dedupe_table *dedupe_table_new(size_t octets)
{
    struct dedupe_table *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->slots = 1024;
    while (t->slots * 2 * sizeof *t->index <= octets / 8)
        t->slots *= 2;
    t->size = (octets - t->slots * sizeof *t->index) / ALIGNMENT * ALIGNMENT;
    t->circle = malloc(t->size);
    t->index = calloc(t->slots, sizeof *t->index);
    if (t->circle && t->index)
        return t;
    dedupe_table_free(t);
    return NULL;
}

static struct dedupe_entry *at(const struct dedupe_table *t, size_t offset)
{
    return (struct dedupe_entry *)(void *)(t->circle + offset);
}

void dedupe_table_free(struct dedupe_table *t)
{
    if (!t)
        return;
    while (t->count > 0)
        ticket_drop(&dedupe_table_take(t)->ticket);
    free(t->circle);
    free(t->index);
    free(t);
}

static struct dedupe_entry *entry_in(const struct dedupe_table *t, size_t slot)
{
    return at(t, (size_t)(t->index[slot] - 1) * ALIGNMENT);
}

/* The slot of the key, or the free one where it would be. */
static size_t slot_of(const struct dedupe_table *t, struct dedupe_key key)
{
    size_t slot = key.low & (t->slots - 1);
    while (t->index[slot]) {
        const struct dedupe_entry *entry = entry_in(t, slot);
        if (entry->key.low == key.low && entry->key.high == key.high)
            break;
        slot = (slot + 1) & (t->slots - 1);
    }
    return slot;
}

struct dedupe_entry *dedupe_table_find(const struct dedupe_table *t, struct dedupe_key key)
{
    size_t slot = slot_of(t, key);
    return t->index[slot] ? entry_in(t, slot) : NULL;
}

/* Room for `size` octets in one piece; where the circle's end is too near, that piece is left
 * empty, and marked. */
static struct dedupe_entry *make_room(struct dedupe_table *t, uint32_t size)
{
    size_t tail = (t->head + t->used) % t->size, to_end = t->size - tail;
    bool wraps = t->head + t->used < t->size && to_end < size;
    size_t need = wraps ? to_end + size : size;
    if (t->size - t->used < need || size > t->size)
        return NULL;
    if (wraps) {
        if (to_end >= sizeof(struct dedupe_entry))
            at(t, tail)->size = 0;
        t->used += to_end;
        tail = 0;
    }
    t->used += size;
    assert(tail + size <= t->size && t->used <= t->size);
    return at(t, tail);
}

/* Where the oldest begins: what was left empty at the end of the circle is passed. */
static size_t start_of_oldest(const struct dedupe_table *t)
{
    size_t to_end = t->size - t->head;
    return to_end < sizeof(struct dedupe_entry) || at(t, t->head)->size == 0 ? 0 : t->head;
}

struct dedupe_entry *dedupe_table_add(struct dedupe_table *t, struct dedupe_key key,
                                      struct frame message)
{
    size_t size = (sizeof(struct dedupe_entry) + message.len + DEDUPE_ROOM + ALIGNMENT - 1) /
                  ALIGNMENT * ALIGNMENT;
    if (size > UINT32_MAX / 2 || (t->count + 1) * 4 > t->slots * 3)
        return NULL;
    struct dedupe_entry *entry = make_room(t, (uint32_t)size);
    if (!entry)
        return NULL;
    size_t slot = slot_of(t, key);
    *entry = (struct dedupe_entry){.key = key, .size = (uint32_t)size, .len = message.len};
    memcpy(entry->data, message.data, message.len);
    t->index[slot] = (uint32_t)((size_t)((uint8_t *)entry - t->circle) / ALIGNMENT + 1);
    t->count++;
    return entry;
}

const struct dedupe_entry *dedupe_table_oldest(const struct dedupe_table *t)
{
    return t->count > 0 ? at(t, start_of_oldest(t)) : NULL;
}

/* Closes the gap in the index: what stands behind it, and belongs before, moves up. */
static void forget(struct dedupe_table *t, size_t gap)
{
    size_t mask = t->slots - 1;
    t->index[gap] = 0;
    for (size_t slot = (gap + 1) & mask; t->index[slot]; slot = (slot + 1) & mask) {
        size_t home = entry_in(t, slot)->key.low & mask;
        if (((slot - home) & mask) < ((slot - gap) & mask))
            continue;
        t->index[gap] = t->index[slot];
        t->index[slot] = 0;
        gap = slot;
    }
}

struct dedupe_entry *dedupe_table_take(struct dedupe_table *t)
{
    if (t->count == 0)
        return NULL;
    size_t start = start_of_oldest(t);
    struct dedupe_entry *entry = at(t, start);
    if (start != t->head) {
        t->used -= t->size - t->head;
        t->head = 0;
    }
    forget(t, slot_of(t, entry->key));
    t->head = (start + entry->size) % t->size;
    t->used -= entry->size;
    t->count--;
    if (t->count == 0)
        t->head = t->used = 0;
    return entry;
}

bool dedupe_table_is_crowded(const struct dedupe_table *t)
{
    return t->size - t->used < CROWDED || t->count * 8 > t->slots * 5;
}

size_t dedupe_table_memory(const struct dedupe_table *t)
{
    return t->size + t->slots * sizeof *t->index;
}
