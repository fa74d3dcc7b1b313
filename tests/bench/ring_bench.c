/* ring_bench COUNT: COUNT batches through one ring between two threads. Prints ns per batch of wall
 * time, and of the producer's processor time. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "ring.h"

static struct bell filled;

static double seconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void keep(struct batch *batch)
{
    (void)batch; /* the one batch of this benchmark stands on main's stack */
}

static void *consume(void *arg)
{
    struct ring *ring = arg;
    for (;;) {
        uint32_t seen = bell_listen(&filled);
        struct batch *batch = ring_take(ring);
        if (batch && batch->count == 0)
            return NULL;
        if (!batch)
            bell_wait(&filled, seen, -1);
    }
}

static void offer(struct ring *ring, struct batch *batch)
{
    for (;;) {
        uint32_t seen = bell_listen(ring_drained(ring));
        if (ring_offer(ring, batch))
            return;
        bell_wait(ring_drained(ring), seen, -1);
    }
}

int main(int argc, char **argv)
{
    unsigned long count = argc > 1 ? strtoul(argv[1], NULL, 10) : 10000000;
    struct batch batch = {.count = 1, .footprint = 256, .release = keep};
    struct batch last = {.footprint = 256, .release = keep};
    struct ring *ring = ring_new(1 << 20, &filled);
    pthread_t thread;
    if (!ring || pthread_create(&thread, NULL, consume, ring) != 0)
        return 1;
    double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_THREAD_CPUTIME_ID);
    for (unsigned long i = 0; i < count; i++)
        offer(ring, &batch);
    offer(ring, &last);
    cpu = seconds(CLOCK_THREAD_CPUTIME_ID) - cpu;
    pthread_join(thread, NULL);
    wall = seconds(CLOCK_MONOTONIC) - wall;
    printf("%.1f %.1f\n", wall * 1e9 / (double)count, cpu * 1e9 / (double)count);
    ring_free(ring);
    return 0;
}
