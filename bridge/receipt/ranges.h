/* Runs of numbers: added in any order, then put in order and apart, then asked. Main thread. */
#ifndef RECEIPT_RANGES_H
#define RECEIPT_RANGES_H

#include <stdbool.h>
#include <stddef.h>

#include "gaps.h"

enum { RANGES_MAX = 1 << 20 };

struct ranges {
    struct gap *at; /* from <= number < to */
    size_t count, room;
};

/* False: out of memory, or there are RANGES_MAX. */
bool ranges_add(struct ranges *ranges, struct gap range);

/* In order, and apart. */
void ranges_tidy(struct ranges *ranges);

/* Of tidy ones: is the number in one? `*last` is the last number up to which the answer is the same. */
bool ranges_have(const struct ranges *ranges, uint64_t number, uint64_t *last);

void ranges_free(struct ranges *ranges);

#endif
