#include "gaps.h"

#include <string.h>

static void remove_at(struct gaps *g, unsigned i)
{
    g->count--;
    memmove(&g->at[i], &g->at[i + 1], (g->count - i) * sizeof g->at[0]);
}

static void forget_lowest(struct gaps *g)
{
    g->forgotten++;
    g->forgotten_numbers += g->at[0].to - g->at[0].from;
    remove_at(g, 0);
}

static void insert(struct gaps *g, unsigned i, struct gap gap)
{
    if (g->count == GAPS_MAX) {
        forget_lowest(g);
        i -= i > 0;
    }
    memmove(&g->at[i + 1], &g->at[i], (g->count - i) * sizeof g->at[0]);
    g->at[i] = gap;
    g->count++;
}

void gaps_add(struct gaps *g, struct gap gap)
{
    insert(g, g->count, gap);
}

/* Takes [low, high), which is part of a gap but not all of it, out of that gap. Only one that falls
 * in two needs another place in the table. */
static void shrink(struct gaps *g, unsigned i, uint64_t low, uint64_t high)
{
    struct gap *gap = &g->at[i];
    struct gap rest = {.from = high, .to = gap->to};
    if (low == gap->from) {
        gap->from = high;
        return;
    }
    gap->to = low;
    if (high < rest.to)
        insert(g, i + 1, rest);
}

uint64_t gaps_fill(struct gaps *g, uint64_t from, uint64_t to)
{
    uint64_t filled = 0;
    for (unsigned i = 0; i < g->count;) {
        const struct gap *gap = &g->at[i];
        uint64_t low = from > gap->from ? from : gap->from;
        uint64_t high = to < gap->to ? to : gap->to;
        if (low >= high) {
            i++;
            continue;
        }
        filled += high - low;
        if (low == gap->from && high == gap->to)
            remove_at(g, i);
        else
            shrink(g, i++, low, high);
    }
    return filled;
}
