#include "pace.h"

#include <time.h>

#include "scan/dnstap.h"

enum { MICROSECONDS = 1000000 };

const struct histogram_bounds pace_sizes = {
    .count = 12,
    .upper = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048},
};

const struct histogram_bounds pace_ages = {
    .count = 13,
    .upper = {1000, 2500, 5000, 10000, 25000, 100000, 250000, 1000000, 5000000, 30000000, 60000000,
              300000000, UINT64_C(3600000000)},
};

/* The time of the response of a response, else the query's, else the other. False: it has none. */
static bool time_of(const struct dnstap_view *view, uint64_t *sec, uint32_t *nsec)
{
    bool query = dnstap_has(view, DNSTAP_HAS_QUERY_TIME_SEC);
    bool response = dnstap_has(view, DNSTAP_HAS_RESPONSE_TIME_SEC);
    if (!query && !response)
        return false;
    bool answered = response && (view->message_type % 2 == 0 || !query);
    *sec = answered ? view->response_time_sec : view->query_time_sec;
    *nsec = answered ? view->response_time_nsec : view->query_time_nsec;
    return true;
}

static uint64_t age_of(uint64_t sec, uint32_t nsec)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t now_sec = (uint64_t)now.tv_sec;
    /* before the subtraction, which a sender's nonsense must not make wrap */
    if (sec > now_sec)
        return 0;
    uint64_t now_us = now_sec * MICROSECONDS + (uint64_t)now.tv_nsec / 1000;
    uint64_t then_us = sec * MICROSECONDS + nsec / 1000;
    return then_us < now_us ? now_us - then_us : 0;
}

void pace_note(struct pace *pace, const struct batch *batch)
{
    struct reader r = reader_over(batch->data, batch->len);
    struct frame first;
    struct dnstap_view view;
    uint64_t sec;
    uint32_t nsec;
    histogram_note(&pace->sizes, &pace_sizes, batch->count);
    if (frame_next(&r, &first) && dnstap_scan(first, &view) && time_of(&view, &sec, &nsec))
        histogram_note(&pace->ages, &pace_ages, age_of(sec, nsec));
}

void pace_add(struct pace *sum, const struct pace *more)
{
    histogram_add(&sum->sizes, &more->sizes);
    histogram_add(&sum->ages, &more->ages);
}
