#include "assembly.h"

#include <stdlib.h>

#include "crc32c.h"

struct entry {
    bool used;
    uint64_t sender;
    uint32_t id, last;
    uint8_t flags;
    bool has_crc;
    uint32_t crc;
    uint32_t have; /* pieces */
    uint64_t began_ms;
    size_t octets; /* of memory, with the table of pieces */
    struct piece {
        uint8_t *data;
        uint32_t len;
        bool here;
    } * pieces;
};

struct nmsg_assembly {
    size_t memory_max, used;
    uint64_t age_ms;
    uint64_t given_up;
    struct buffer whole;
    struct entry entries[ASSEMBLIES_MAX];
};

struct nmsg_assembly *nmsg_assembly_new(size_t memory_max, uint64_t age_ms)
{
    struct nmsg_assembly *a = calloc(1, sizeof *a);
    if (!a)
        return NULL;
    a->memory_max = memory_max;
    a->age_ms = age_ms;
    return a;
}

static void drop(struct nmsg_assembly *a, struct entry *e)
{
    for (uint32_t i = 0; e->pieces && i <= e->last; i++)
        free(e->pieces[i].data);
    free(e->pieces);
    a->used -= e->octets;
    *e = (struct entry){0};
}

void nmsg_assembly_free(struct nmsg_assembly *a)
{
    if (!a)
        return;
    for (int i = 0; i < ASSEMBLIES_MAX; i++)
        drop(a, &a->entries[i]);
    buffer_free(&a->whole);
    free(a);
}

static void give_up_old(struct nmsg_assembly *a, uint64_t now_ms)
{
    for (int i = 0; i < ASSEMBLIES_MAX; i++) {
        struct entry *e = &a->entries[i];
        if (e->used && now_ms - e->began_ms >= a->age_ms) {
            drop(a, e);
            a->given_up++;
        }
    }
}

uint64_t nmsg_assembly_given_up(struct nmsg_assembly *a, uint64_t now_ms)
{
    give_up_old(a, now_ms);
    uint64_t n = a->given_up;
    a->given_up = 0;
    return n;
}

/* The one that waits longest; NULL: none waits but `but`. */
static struct entry *oldest(struct nmsg_assembly *a, const struct entry *but)
{
    struct entry *found = NULL;
    for (int i = 0; i < ASSEMBLIES_MAX; i++) {
        struct entry *e = &a->entries[i];
        if (e->used && e != but && (!found || e->began_ms < found->began_ms))
            found = e;
    }
    return found;
}

/* Makes room for `want` octets at the cost of the oldest, but not of `e`. */
static bool make_room(struct nmsg_assembly *a, const struct entry *e, size_t want)
{
    while (a->used + want > a->memory_max) {
        struct entry *old = oldest(a, e);
        if (!old)
            return false;
        drop(a, old);
        a->given_up++;
    }
    return true;
}

static struct entry *free_entry(struct nmsg_assembly *a)
{
    for (int i = 0; i < ASSEMBLIES_MAX; i++)
        if (!a->entries[i].used)
            return &a->entries[i];
    struct entry *e = oldest(a, NULL);
    drop(a, e);
    a->given_up++;
    return e;
}

static struct entry *begin(struct nmsg_assembly *a, uint64_t sender, uint64_t now_ms,
                           const struct nmsg_fragment *f, uint8_t flags)
{
    size_t table = ((size_t)f->last + 1) * sizeof(struct piece);
    if (f->last >= ASSEMBLY_PIECES_MAX || !make_room(a, NULL, table))
        return NULL;
    struct entry *e = free_entry(a);
    e->pieces = calloc((size_t)f->last + 1, sizeof *e->pieces);
    if (!e->pieces)
        return NULL;
    e->used = true;
    e->sender = sender;
    e->id = f->id;
    e->last = f->last;
    e->flags = flags;
    e->has_crc = f->has_crc;
    e->crc = f->crc;
    e->began_ms = now_ms;
    e->octets = table;
    a->used += table;
    return e;
}

static struct entry *find(struct nmsg_assembly *a, uint64_t sender, uint32_t id)
{
    for (int i = 0; i < ASSEMBLIES_MAX; i++) {
        struct entry *e = &a->entries[i];
        if (e->used && e->sender == sender && e->id == id)
            return e;
    }
    return NULL;
}

/* False: no room for it even without all others. */
static bool keep(struct nmsg_assembly *a, struct entry *e, const struct nmsg_fragment *f)
{
    struct piece *piece = &e->pieces[f->current];
    if (piece->here)
        return true; /* datagrams may come twice */
    if (!make_room(a, e, f->piece.len))
        return false;
    piece->data = malloc(f->piece.len > 0 ? f->piece.len : 1);
    if (!piece->data)
        return false;
    if (f->piece.len > 0)
        memcpy(piece->data, f->piece.data, f->piece.len);
    piece->len = f->piece.len;
    piece->here = true;
    e->have++;
    e->octets += f->piece.len;
    a->used += f->piece.len;
    return true;
}

static enum nmsg_assembled join(struct nmsg_assembly *a, struct entry *e, uint8_t *flags,
                                struct octets *whole)
{
    buffer_clear(&a->whole);
    for (uint32_t i = 0; i <= e->last; i++)
        buffer_put(&a->whole, e->pieces[i].data, e->pieces[i].len);
    *whole = (struct octets){a->whole.data, (uint32_t)a->whole.len};
    *flags = e->flags;
    bool ok = !a->whole.failed && (!e->has_crc || nmsg_crc(*whole) == e->crc);
    drop(a, e);
    return ok ? ASSEMBLED_WHOLE : ASSEMBLED_BROKEN;
}

enum nmsg_assembled nmsg_assembly_put(struct nmsg_assembly *a, uint64_t sender, uint64_t now_ms,
                                      const struct nmsg_fragment *f, uint8_t *flags,
                                      struct octets *whole)
{
    uint8_t own = *flags & (uint8_t)~NMSG_FLAG_FRAGMENT;
    give_up_old(a, now_ms);
    struct entry *e = find(a, sender, f->id);
    if (!e)
        e = begin(a, sender, now_ms, f, own);
    if (!e)
        return ASSEMBLED_BROKEN;
    if (f->last != e->last || own != e->flags || !keep(a, e, f)) {
        drop(a, e);
        return ASSEMBLED_BROKEN;
    }
    return e->have == e->last + 1 ? join(a, e, flags, whole) : ASSEMBLED_NOT_YET;
}
