#include "receipt/ranges.h"

#include <stdlib.h>

bool ranges_add(struct ranges *ranges, struct gap range)
{
    if (ranges->count == ranges->room) {
        size_t room = ranges->room ? 2 * ranges->room : 256;
        struct gap *grown = room <= RANGES_MAX ? realloc(ranges->at, room * sizeof *grown) : NULL;
        if (!grown)
            return false;
        ranges->at = grown;
        ranges->room = room;
    }
    ranges->at[ranges->count++] = range;
    return true;
}

static int by_start(const void *a, const void *b)
{
    const struct gap *x = a, *y = b;
    return x->from < y->from ? -1 : x->from > y->from;
}

void ranges_tidy(struct ranges *ranges)
{
    size_t kept = 0;
    if (ranges->count > 0)
        qsort(ranges->at, ranges->count, sizeof *ranges->at, by_start);
    for (size_t i = 0; i < ranges->count; i++) {
        struct gap *before = kept > 0 ? &ranges->at[kept - 1] : NULL;
        if (before && ranges->at[i].from <= before->to)
            before->to = ranges->at[i].to > before->to ? ranges->at[i].to : before->to;
        else
            ranges->at[kept++] = ranges->at[i];
    }
    ranges->count = kept;
}

bool ranges_have(const struct ranges *ranges, uint64_t number, uint64_t *last)
{
    size_t low = 0, high = ranges->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (ranges->at[middle].to <= number)
            low = middle + 1;
        else
            high = middle;
    }
    const struct gap *range = low < ranges->count ? &ranges->at[low] : NULL;
    bool inside = range && range->from <= number;
    *last = inside ? range->to - 1 : range ? range->from - 1 : UINT64_MAX;
    return inside;
}

void ranges_free(struct ranges *ranges)
{
    free(ranges->at);
    *ranges = (struct ranges){0};
}
