/* Gathers records into loads and has them posted (http_poster.h).
 *
 * A load goes when it is full, or has waited for `linger`. When no slot is free for it, `write`
 * waits, and the ring in front takes the loss. */
#include <stdlib.h>

#include "clock.h"
#include "http.h"
#include "http_body.h"
#include "http_poster.h"

struct sink {
    struct poster *poster;
    struct load *filling;
    int64_t linger; /* ms */
    _Atomic bool interrupted;
};

/* Moves the requests on; where that frees no slot, waits until something happens. False:
 * interrupted. */
static bool wait_a_while(struct sink *s)
{
    unsigned before = poster_free_slots(s->poster);
    int next = poster_move(s->poster);
    if (!atomic_load(&s->interrupted) && poster_free_slots(s->poster) == before)
        poster_wait(s->poster, next);
    return !atomic_load(&s->interrupted);
}

static void http_sink_write(struct sink *s, const struct parcel *parcel)
{
    struct load_cursor cursor = {.parcel = parcel};
    while (!load_add(s->filling, &cursor, poster_size_max(s->poster))) {
        while (!poster_offer(s->poster, &s->filling)) {
            if (!wait_a_while(s))
                return;
        }
    }
    poster_move(s->poster);
}

static int http_sink_idle(struct sink *s)
{
    int next = poster_move(s->poster);
    if (s->filling->count == 0 || poster_free_slots(s->poster) == 0)
        return next; /* a slot that becomes free brings us here again */
    int64_t left = s->filling->begun_ms + s->linger - clock_ms(CLOCK_MONOTONIC);
    if (left <= 0) {
        poster_offer(s->poster, &s->filling);
        return poster_move(s->poster);
    }
    return next < 0 || left < next ? (int)left : next;
}

static void http_sink_wait(struct sink *s, int timeout_ms)
{
    poster_wait(s->poster, timeout_ms);
}

static void http_sink_rouse(struct sink *s)
{
    poster_rouse(s->poster);
}

static void http_sink_finish(struct sink *s)
{
    bool going = !atomic_load(&s->interrupted);
    while (going && s->filling->count > 0 && !poster_offer(s->poster, &s->filling))
        going = wait_a_while(s);
    while (going && !poster_is_idle(s->poster))
        going = wait_a_while(s);
}

static void http_sink_interrupt(struct sink *s)
{
    atomic_store(&s->interrupted, true);
    poster_rouse(s->poster);
}

static void http_sink_reload(struct sink *s)
{
    poster_reload(s->poster);
}

static void http_sink_free(struct sink *s)
{
    poster_free(s->poster);
    load_free(s->filling);
    free(s);
}

static struct sink *http_sink_open(const struct place *place, const struct sink_host *host,
                                   struct error *error)
{
    struct sink *s = calloc(1, sizeof *s);
    struct load *filling = load_new((uint32_t)options_number(place->options, "batch-count"));
    if (!s || !filling) {
        error_set(error, "out of memory");
        load_free(filling);
        free(s);
        return NULL;
    }
    s->filling = filling;
    s->linger = (int64_t)options_number(place->options, "linger");
    s->poster = poster_new(place, host->hop, error);
    if (s->poster)
        return s;
    http_sink_free(s);
    return NULL;
}

/* One record may be larger than a request should be. */
static uint64_t http_sink_memory(const struct options *options, uint64_t batch_max)
{
    uint64_t size = options_number(options, "batch-size"),
             count = options_number(options, "batch-count");
    size = size > batch_max ? size : batch_max;
    return sizeof(struct sink) + load_memory(size, count) + poster_memory(options, size);
}

static const char *http_sink_format_of(const struct place *place)
{
    return body_find(options_string(place->options, "body"))->format;
}

const struct sink_ops http_sink_ops = {
    .format_of = http_sink_format_of,
    .check = poster_check,
    .open = http_sink_open,
    .write = http_sink_write,
    .idle = http_sink_idle,
    .wait = http_sink_wait,
    .rouse = http_sink_rouse,
    .finish = http_sink_finish,
    .interrupt = http_sink_interrupt,
    .reload = http_sink_reload,
    .free = http_sink_free,
    .memory = http_sink_memory,
};
