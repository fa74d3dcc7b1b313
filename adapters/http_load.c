#include "http_load.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "frame.h"

struct load *load_new(uint32_t count_max)
{
    struct load *l = calloc(1, sizeof *l);
    if (!l)
        return NULL;
    l->count_max = count_max;
    l->ends = calloc(count_max, sizeof *l->ends);
    l->settled = calloc(count_max, sizeof *l->settled);
    if (l->ends && l->settled)
        return l;
    load_free(l);
    return NULL;
}

void load_clear(struct load *l)
{
    for (uint32_t i = 0; i < l->share_count; i++)
        ticket_drop(&l->shares[i].ticket);
    buffer_clear(&l->records);
    l->count = l->known = l->share_count = l->from = l->to = 0;
    l->apart = false;
}

void load_free(struct load *l)
{
    if (!l)
        return;
    load_clear(l);
    buffer_free(&l->records);
    free(l->ends);
    free(l->settled);
    free(l->shares);
    free(l);
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static bool add_share(struct load *l, const struct parcel *parcel)
{
    if (l->share_count == l->share_room) {
        uint32_t room = l->share_room ? 2 * l->share_room : 16;
        struct load_share *shares = realloc(l->shares, room * sizeof *shares);
        if (!shares)
            return false;
        l->shares = shares;
        l->share_room = room;
    }
    l->shares[l->share_count++] =
        (struct load_share){.ticket = ticket_take(parcel), .first = l->count};
    return true;
}

/* Finds where data frames end. Most loads travel whole, and nobody asks. */
static void find_ends(struct load *l)
{
    size_t end = l->known ? l->ends[l->known - 1] : 0;
    for (; l->known < l->count; l->known++) {
        end += FRAME_HEADER + load_be32(l->records.data + end);
        l->ends[l->known] = (uint32_t)end;
    }
}

/* Where record `i` begins; for `count`, where all end. */
static size_t begin_of(struct load *l, uint32_t i)
{
    if (i == 0 || i == l->count)
        return i ? l->records.len : 0;
    find_ends(l);
    return l->ends[i - 1];
}

const uint8_t *load_record(struct load *l, uint32_t i, size_t *len)
{
    size_t from = begin_of(l, i);
    *len = begin_of(l, i + 1) - from;
    return l->records.data + from;
}

const uint8_t *load_window(struct load *l)
{
    return l->records.data + begin_of(l, l->from);
}

static size_t record_end(const struct load_cursor *c)
{
    if (c->parcel->ends)
        return c->parcel->ends[c->record];
    return c->octet + FRAME_HEADER + load_be32(c->parcel->data + c->octet);
}

/* How many records more the load takes; the cursor moves behind them. */
static uint32_t fit_records(struct load *l, struct load_cursor *c, size_t size_max)
{
    const struct parcel *parcel = c->parcel;
    size_t base = l->records.len, start = c->octet;
    uint32_t first = c->record;
    if (!parcel->ends && base + parcel->len - start <= size_max &&
        parcel->count - first <= l->count_max - l->count) {
        c->octet = parcel->len;
        c->record = parcel->count;
        return parcel->count - first;
    }
    while (c->record < parcel->count && l->count + (c->record - first) < l->count_max) {
        size_t end = record_end(c), size = base + end - start;
        if (size > size_max && l->count + (c->record - first) > 0)
            break;
        if (parcel->ends)
            l->ends[l->count + (c->record - first)] = (uint32_t)size;
        c->octet = end;
        c->record++;
    }
    return c->record - first;
}

static void note_beginning(struct load *l)
{
    if (l->count > 0)
        return;
    l->begun_ns = clock_ns(CLOCK_REALTIME);
    l->begun_ms = (int64_t)(clock_ns(CLOCK_MONOTONIC) / 1000000);
}

bool load_add(struct load *l, struct load_cursor *c, size_t size_max)
{
    size_t start = c->octet, base = l->records.len;
    uint32_t more = fit_records(l, c, size_max);
    bool done = c->record == c->parcel->count;
    if (more == 0)
        return done;
    note_beginning(l);
    buffer_put(&l->records, c->parcel->data + start, c->octet - start);
    if (l->records.failed || !add_share(l, c->parcel)) {
        l->records.failed = false;
        l->records.len = base;
        parcel_settle(c->parcel, OUTCOME_FAILED, more);
        return done;
    }
    l->count += more;
    if (c->parcel->ends)
        l->known = l->count;
    return done;
}

void load_begin(struct load *l, size_t size_max)
{
    l->from = 0;
    l->to = l->count;
    if (l->records.len > size_max) {
        find_ends(l);
        l->to = 1;
        while (l->to < l->count && l->ends[l->to] <= size_max)
            l->to++;
    }
    l->step = l->to;
}

bool load_next(struct load *l)
{
    l->from = l->to;
    l->to = l->count - l->from < l->step ? l->count : l->from + l->step;
    return l->from < l->to;
}

bool load_halve(struct load *l)
{
    if (l->to - l->from < 2)
        return false;
    l->step = (l->to - l->from) / 2;
    l->to = l->from + l->step;
    return true;
}

size_t load_octets(struct load *l)
{
    return begin_of(l, l->to) - begin_of(l, l->from);
}

uint32_t load_open(const struct load *l)
{
    uint32_t open = 0;
    if (!l->apart)
        return l->to - l->from;
    for (uint32_t i = l->from; i < l->to; i++)
        open += !l->settled[i];
    return open;
}

/* The share that a record belongs to: the last one that begins at or before it. */
static uint32_t find_share(const struct load *l, uint32_t record)
{
    uint32_t low = 0, high = l->share_count;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (l->shares[middle].first <= record)
            low = middle;
        else
            high = middle;
    }
    return low;
}

void load_settle_one(struct load *l, uint32_t record, enum outcome outcome)
{
    if (!l->apart)
        memset(l->settled, 0, l->count * sizeof *l->settled);
    l->apart = true;
    if (!l->settled[record])
        ticket_settle(&l->shares[find_share(l, record)].ticket, outcome, 1);
    l->settled[record] = true;
}

/* Settled windows lie behind us, and nobody asks of them again; so their records are not marked. */
void load_settle(struct load *l, enum outcome outcome)
{
    uint32_t at = l->from;
    for (uint32_t k = find_share(l, at); at < l->to; k++) {
        uint32_t end = k + 1 < l->share_count ? l->shares[k + 1].first : l->count;
        end = end < l->to ? end : l->to;
        uint64_t open = end - at;
        for (; l->apart && at < end; at++)
            open -= l->settled[at];
        ticket_settle(&l->shares[k].ticket, outcome, open);
        at = end;
    }
}

/* The buffer and the shares grow by doubling; at the worst each record has a share of its own. */
uint64_t load_memory(uint64_t size, uint64_t count)
{
    return sizeof(struct load) + 2 * size +
           count * (sizeof(uint32_t) + sizeof(bool) + 2 * sizeof(struct load_share));
}
