/* How often values fell between fixed bounds, as Prometheus counts them. One thread notes, any thread
 * reads; relaxed atomics, no lock, no allocation. Zeroed is ready. */
#ifndef BRIDGE_HISTOGRAM_H
#define BRIDGE_HISTOGRAM_H

#include <stdatomic.h>
#include <stdint.h>

enum { HISTOGRAM_BOUNDS = 14 };

/* Ascending; a value falls below the first bound that is not smaller than itself. */
struct histogram_bounds {
    unsigned count; /* at most HISTOGRAM_BOUNDS */
    uint64_t upper[HISTOGRAM_BOUNDS];
};

struct histogram {
    _Atomic uint64_t counts[HISTOGRAM_BOUNDS + 1]; /* the last: beyond all bounds */
    _Atomic uint64_t sum;
};

/* One reading: how many values are at most as large as each bound; all of them; their sum. */
struct histogram_reading {
    uint64_t up_to[HISTOGRAM_BOUNDS];
    uint64_t count;
    uint64_t sum;
};

void histogram_note(struct histogram *histogram, const struct histogram_bounds *bounds,
                    uint64_t value);

/* Adds the counts of another with the same bounds. The thread that owns `sum`. */
void histogram_add(struct histogram *sum, const struct histogram *more);

struct histogram_reading histogram_read(const struct histogram *histogram,
                                        const struct histogram_bounds *bounds);

#endif
