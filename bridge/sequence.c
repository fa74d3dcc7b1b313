#include "sequence.h"

#include <string.h>

static void remove_gap(struct sequence *s, unsigned i)
{
    s->gap_count--;
    memmove(&s->gaps[i], &s->gaps[i + 1], (s->gap_count - i) * sizeof s->gaps[0]);
}

static void add_gap(struct sequence *s, unsigned i, struct gap gap)
{
    if (s->gap_count == SEQUENCE_GAPS) { /* the oldest can no longer be filled */
        remove_gap(s, 0);
        i -= i > 0;
    }
    memmove(&s->gaps[i + 1], &s->gaps[i], (s->gap_count - i) * sizeof s->gaps[0]);
    s->gaps[i] = gap;
    s->gap_count++;
}

/* Takes [low, high), which is part of a gap but not all of it, out of that gap. Only one that falls
 * in two needs another place in the table. */
static void shrink_gap(struct sequence *s, unsigned i, uint64_t low, uint64_t high)
{
    struct gap *gap = &s->gaps[i];
    struct gap rest = {.from = high, .to = gap->to};
    if (low == gap->from) {
        gap->from = high;
        return;
    }
    gap->to = low;
    if (high < rest.to)
        add_gap(s, i + 1, rest);
}

/* Takes [from, to) out of the gaps; how many of its numbers had been missing. */
static uint64_t fill_gaps(struct sequence *s, uint64_t from, uint64_t to)
{
    uint64_t filled = 0;
    for (unsigned i = 0; i < s->gap_count;) {
        struct gap *gap = &s->gaps[i];
        uint64_t low = from > gap->from ? from : gap->from;
        uint64_t high = to < gap->to ? to : gap->to;
        if (low >= high) {
            i++;
            continue;
        }
        filled += high - low;
        if (low == gap->from && high == gap->to)
            remove_gap(s, i);
        else
            shrink_gap(s, i++, low, high);
    }
    return filled;
}

uint64_t sequence_note(struct sequence *s, uint64_t first, uint32_t count, bool shared,
                       uint32_t epoch)
{
    uint64_t end = first + count;
    s->received += count;
    if (!s->joined) {
        s->joined = true;
        s->joined_at = s->next = first;
        s->epoch = epoch;
    }
    if (shared || epoch != s->epoch) {
        s->epoch = epoch;
        s->gap_count = 0;
        s->next = end > s->next ? end : s->next;
        return 0;
    }
    uint64_t lost = 0;
    if (first > s->next) {
        lost = first - s->next;
        s->lost += lost;
        add_gap(s, s->gap_count, (struct gap){.from = s->next, .to = first});
    } else if (first < s->next && count > 0) {
        uint64_t low = first > s->joined_at ? first : s->joined_at;
        uint64_t high = end < s->next ? end : s->next;
        uint64_t filled = fill_gaps(s, first, high);
        s->lost -= filled;
        if (high > low)
            s->duplicates += high - low - filled;
    }
    if (end > s->next)
        s->next = end;
    return lost;
}
