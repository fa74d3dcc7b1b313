#include "cof_table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 8, USUAL_ENTRY = 256 };
#define TAKEN_BACK UINT32_MAX /* in the index: no entry begins so far behind */

struct cof_table {
    uint8_t *octets;
    size_t size, used;
    uint32_t *index; /* where an entry begins, in units of ALIGNMENT, and 1; 0: free */
    size_t slots;    /* a power of two */
    size_t count;
};

struct cof_table *cof_table_new(size_t octets)
{
    struct cof_table *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->slots = 1024;
    while (t->slots * USUAL_ENTRY < octets)
        t->slots *= 2;
    t->size = octets > t->slots * sizeof *t->index ? octets - t->slots * sizeof *t->index : 0;
    t->octets = malloc(t->size);
    t->index = calloc(t->slots, sizeof *t->index);
    if (t->octets && t->index)
        return t;
    cof_table_free(t);
    return NULL;
}

void cof_table_free(struct cof_table *t)
{
    if (!t)
        return;
    free(t->octets);
    free(t->index);
    free(t);
}

static struct cof_entry *entry_at(const struct cof_table *t, size_t at)
{
    return (struct cof_entry *)(void *)(t->octets + at);
}

/* The slot of the key, or the free one where it would be. */
static size_t slot_of(const struct cof_table *t, struct cof_key key)
{
    size_t slot = key.low & (t->slots - 1);
    for (; t->index[slot]; slot = (slot + 1) & (t->slots - 1)) {
        const struct cof_entry *entry = entry_at(t, (size_t)(t->index[slot] - 1) * ALIGNMENT);
        if (entry->key.low == key.low && entry->key.high == key.high)
            break;
    }
    return slot;
}

struct cof_entry *cof_table_find(const struct cof_table *t, struct cof_key key)
{
    size_t slot = slot_of(t, key);
    return t->index[slot] ? entry_at(t, (size_t)(t->index[slot] - 1) * ALIGNMENT) : NULL;
}

static size_t size_of(size_t len)
{
    return (sizeof(struct cof_entry) + len + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

struct cof_entry *cof_table_add(struct cof_table *t, struct cof_key key, const void *text,
                                size_t len)
{
    if (len > UINT32_MAX || t->size - t->used < size_of(len) || (t->count + 1) * 4 > t->slots * 3 ||
        t->used / ALIGNMENT + 1 >= TAKEN_BACK)
        return NULL;
    assert(t->used % ALIGNMENT == 0);
    struct cof_entry *entry = entry_at(t, t->used);
    *entry = (struct cof_entry){.key = key, .len = (uint32_t)len};
    memcpy(entry->text, text, len);
    t->index[slot_of(t, key)] = (uint32_t)(t->used / ALIGNMENT + 1);
    t->used += size_of(len);
    t->count++;
    return entry;
}

struct cof_mark cof_table_mark(const struct cof_table *t)
{
    return (struct cof_mark){.used = t->used, .count = t->count};
}

/* An entry that came later stands in the index behind those with which it shares a place: with all that came
 * since the mark gone, nothing behind a gap belongs before it. */
void cof_table_take_back(struct cof_table *t, struct cof_mark mark)
{
    size_t at = mark.used;
    while (at < t->used) {
        const struct cof_entry *entry = entry_at(t, at);
        size_t slot = entry->key.low & (t->slots - 1);
        while (t->index[slot] != at / ALIGNMENT + 1)
            slot = (slot + 1) & (t->slots - 1);
        t->index[slot] = TAKEN_BACK;
        at += size_of(entry->len);
    }
    for (size_t slot = 0; slot < t->slots && t->count > mark.count; slot++) {
        t->count -= t->index[slot] == TAKEN_BACK;
        t->index[slot] = t->index[slot] == TAKEN_BACK ? 0 : t->index[slot];
    }
    t->used = mark.used;
}

const struct cof_entry *cof_table_next(const struct cof_table *t, size_t *at)
{
    if (*at >= t->used)
        return NULL;
    const struct cof_entry *entry = entry_at(t, *at);
    *at += size_of(entry->len);
    return entry;
}

size_t cof_table_room(const struct cof_table *t)
{
    return (t->count + 1) * 4 > t->slots * 2 ? 0 : t->size - t->used;
}

bool cof_table_is_empty(const struct cof_table *t)
{
    return t->count == 0;
}

void cof_table_clear(struct cof_table *t)
{
    memset(t->index, 0, t->slots * sizeof *t->index);
    t->used = t->count = 0;
}
