#include "histogram.h"

/* There is one writer: a plain addition does. */
static void add(_Atomic uint64_t *counter, uint64_t n)
{
    uint64_t now = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, now + n, memory_order_relaxed);
}

void histogram_note(struct histogram *histogram, const struct histogram_bounds *bounds,
                    uint64_t value)
{
    unsigned i = 0;
    while (i < bounds->count && value > bounds->upper[i])
        i++;
    add(&histogram->counts[i], 1);
    add(&histogram->sum, value);
}

void histogram_add(struct histogram *sum, const struct histogram *more)
{
    for (unsigned i = 0; i <= HISTOGRAM_BOUNDS; i++)
        add(&sum->counts[i], atomic_load_explicit(&more->counts[i], memory_order_relaxed));
    add(&sum->sum, atomic_load_explicit(&more->sum, memory_order_relaxed));
}

struct histogram_reading histogram_read(const struct histogram *histogram,
                                        const struct histogram_bounds *bounds)
{
    struct histogram_reading reading = {0};
    for (unsigned i = 0; i <= bounds->count; i++) {
        reading.count += atomic_load_explicit(&histogram->counts[i], memory_order_relaxed);
        if (i < bounds->count)
            reading.up_to[i] = reading.count;
    }
    reading.sum = atomic_load_explicit(&histogram->sum, memory_order_relaxed);
    return reading;
}
