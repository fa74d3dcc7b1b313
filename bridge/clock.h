/* Clocks in milliseconds. Any thread. */
#ifndef BRIDGE_CLOCK_H
#define BRIDGE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t clock_ms(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Of two times in milliseconds, where -1 is never. */
static inline int clock_sooner(int a, int b)
{
    return a < 0 || (b >= 0 && b < a) ? b : a;
}

#endif
