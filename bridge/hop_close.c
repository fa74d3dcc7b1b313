/* How sources and sinks that have stopped leave a hop: closed on threads of their own, their numbers kept. */
#include <stdlib.h>
#include <string.h>

#include "hop_inside.h"
#include "log.h"

static void *run_closer(void *arg)
{
    struct closer *closer = arg;
    closer->work(closer->arg);
    atomic_store(&closer->done, true);
    bell_ring(closer->changed);
    return NULL;
}

/* NULL: it was closed here, for want of a thread. */
static struct closer *start_closing(struct hop *hop, enum direction direction, const char *url, void (*work)(void *arg),
                                    void *arg)
{
    struct closer *closer = calloc(1, sizeof *closer);
    char *name = strdup(url);
    if (closer && name) {
        *closer = (struct closer){.direction = direction, .url = name, .work = work, .arg = arg, .changed = hop->changed};
        if (pthread_create(&closer->thread, NULL, run_closer, closer) == 0) {
            closer->next = hop->closers;
            hop->closers = closer;
            return closer;
        }
    }
    free(closer);
    free(name);
    work(arg);
    return NULL;
}

bool hop_is_closing(const struct hop *hop, enum direction direction, const char *url)
{
    for (const struct closer *c = hop->closers; c; c = c->next) {
        if (c->direction == direction && strcmp(c->url, url) == 0)
            return true;
    }
    return false;
}

static void closer_free(struct closer *closer)
{
    pthread_join(closer->thread, NULL);
    free(closer->url);
    free(closer);
}

static void forget_closer(struct hop *hop, const struct closer *closer)
{
    for (unsigned i = 0; i < hop->feed_count; i++) {
        if (hop->feeds[i]->closer == closer)
            hop->feeds[i]->closer = NULL;
    }
}

static void collect_closers(struct hop *hop, bool all)
{
    for (struct closer **at = &hop->closers; *at;) {
        struct closer *closer = *at;
        if (!all && !atomic_load(&closer->done)) {
            at = &closer->next;
            continue;
        }
        *at = closer->next;
        forget_closer(hop, closer);
        closer_free(closer);
    }
}

void hop_join_closers(struct hop *hop)
{
    collect_closers(hop, true);
}

/* The row of a route that has ended. Under the lock. */
static void keep_row(struct hop *hop, const struct exit *exit, const struct route *route)
{
    struct route_copy row = {
        .source = route_source(route),
        .sink = exit->name,
        .name = exit->called,
        .tally = route_tally(route),
    };
    pace_add(&row.pace, route_pace(route));
    if (hop->past.route_count >= HOP_PAST_ROUTES)
        row.source = row.sink = (struct named){.url = "(earlier)", .nth = 1};
    ledger_copy_add_route(&hop->past, &row);
}

static void collect_routes(struct hop *hop, struct exit *exit)
{
    for (;;) {
        pthread_mutex_lock(&hop->lock);
        struct route *route = outlet_take_ended(exit->outlet);
        if (route)
            keep_row(hop, exit, route);
        pthread_mutex_unlock(&hop->lock);
        if (!route)
            return;
        route_free(route);
    }
}

static void collect(struct hop *hop)
{
    collect_closers(hop, false);
    for (unsigned i = 0; i < hop->exit_count; i++)
        collect_routes(hop, hop->exits[i]);
}

/* The oldest makes room; what it lost stays in the hop's sum. */
static void keep_source(struct hop *hop, struct feed *feed)
{
    struct upstream *oldest = NULL;
    char *url = strdup(feed->name.url), *oldest_url = NULL;
    pthread_mutex_lock(&hop->lock);
    struct upstream *upstream = intake_take_upstream(feed->intake);
    if (url && hop->past_source_count == HOP_PAST_SOURCES) {
        oldest = hop->past_sources[0].upstream;
        oldest_url = hop->past_sources[0].url;
        memmove(hop->past_sources, hop->past_sources + 1, --hop->past_source_count * sizeof *hop->past_sources);
    }
    if (url)
        hop->past_sources[hop->past_source_count++] = (struct past_source){
            .url = url, .nth = feed->name.nth, .upstream = upstream, .turned_away = feed->turned_away};
    else
        oldest = upstream;
    pthread_mutex_unlock(&hop->lock);
    upstream_free(oldest);
    free(oldest_url);
}

struct source_to_close {
    const struct source_ops *ops;
    struct source *source;
};

static void close_source(void *arg)
{
    struct source_to_close *close = arg;
    close->ops->free(close->source);
    free(close);
}

/* Its numbers go on in its successor, which may come as soon as it is closed. */
static void close_feed(struct hop *hop, struct feed *feed)
{
    const struct source_ops *ops = feed->endpoint->adapter->source;
    struct source_to_close *close = malloc(sizeof *close);
    if (!close)
        return; /* tried again at the next turn */
    uint64_t turned_away = ops->turned_away ? ops->turned_away(feed->source) : 0;
    *close = (struct source_to_close){.ops = ops, .source = feed->source};
    pthread_mutex_lock(&hop->lock); /* who copies the ledger sees them in one place or the other */
    feed->turned_away += turned_away;
    feed->source = NULL;
    pthread_mutex_unlock(&hop->lock);
    keep_source(hop, feed);
    feed->closer = start_closing(hop, DIRECTION_SOURCE, feed->name.url, close_source, close);
}

static bool feed_has_routes(const struct hop *hop, const struct feed *feed)
{
    for (unsigned i = 0; i < hop->exit_count; i++) {
        if (outlet_has_routes(hop->exits[i]->outlet, feed->intake))
            return true;
    }
    return false;
}

/* False: it is still there. */
static bool progress_feed(struct hop *hop, struct feed *feed, int64_t now)
{
    if (!feed->retired)
        return false;
    if (feed->started && !atomic_load(&feed->ended)) {
        if (now >= feed->deadline)
            intake_give_up(feed->intake);
        return false;
    }
    if (feed->started)
        pthread_join(feed->thread, NULL);
    feed->started = false;
    if (!feed->routes_ended) {
        intake_end(feed->intake); /* each route goes when its own sink is done with it, some long before the feed */
        for (unsigned i = 0; i < hop->exit_count; i++)
            outlet_end_routes(hop->exits[i]->outlet, feed->intake);
        feed->routes_ended = true;
        collect(hop);
    }
    bool has_routes = feed_has_routes(hop, feed);
    /* one whose upstream keeps messages acknowledges what its routes still settle */
    bool waits = feed->endpoint->adapter->source->upstream_keeps && has_routes && now < feed->deadline;
    if (feed->source && !waits)
        close_feed(hop, feed);
    return !feed->source && !feed->closer && !has_routes;
}

static bool is_led_to(const struct hop *hop, const struct exit *exit)
{
    for (unsigned i = 0; i < hop->exit_count; i++) {
        const struct exit *from = hop->exits[i];
        for (unsigned k = 0; k < from->diversion_count && !outlet_ended(from->outlet); k++) {
            if (from->diversions[k].exit == exit)
                return true;
        }
    }
    return false;
}

/* Nothing is led to this exit any more, and nothing from it. */
static void lead_away(struct hop *hop, struct exit *exit)
{
    for (unsigned i = 0; i < hop->exit_count; i++) {
        for (unsigned k = 0; k < hop->exits[i]->diversion_count; k++) {
            struct diversion *d = &hop->exits[i]->diversions[k];
            if (!d->exit || (d->exit != exit && hop->exits[i] != exit))
                continue;
            intake_remove(d->intake, d->ring);
            outlet_end_routes(d->exit->outlet, d->intake);
            d->exit = NULL;
            d->ring = NULL;
        }
    }
}

static void close_exit(void *arg)
{
    exit_free(arg);
}

static bool progress_exit(struct hop *hop, struct exit *exit, int64_t now)
{
    if (!exit->closed && (hop->closing || exit->retired) && !is_led_to(hop, exit)) {
        outlet_close(exit->outlet);
        exit->closed = true;
    }
    if (!exit->retired)
        return false;
    if (!outlet_ended(exit->outlet)) {
        if (now >= exit->deadline)
            outlet_interrupt(exit->outlet);
        return false;
    }
    outlet_join(exit->outlet);
    lead_away(hop, exit);
    return true;
}

/* The rows of all its routes, and then it is no longer shown. */
static void remove_exit(struct hop *hop, unsigned at)
{
    struct exit *exit = hop->exits[at];
    pthread_mutex_lock(&hop->lock);
    for (unsigned i = 0; i < outlet_route_count(exit->outlet); i++)
        keep_row(hop, exit, outlet_route(exit->outlet, i));
    hop->exit_count--;
    memmove(&hop->exits[at], &hop->exits[at + 1], (hop->exit_count - at) * sizeof *hop->exits);
    pthread_mutex_unlock(&hop->lock);
    start_closing(hop, DIRECTION_SINK, exit->endpoint->url, close_exit, exit);
}

static void remove_feed(struct hop *hop, unsigned at)
{
    struct feed *feed = hop->feeds[at];
    pthread_mutex_lock(&hop->lock);
    hop->feed_count--;
    memmove(&hop->feeds[at], &hop->feeds[at + 1], (hop->feed_count - at) * sizeof *hop->feeds);
    pthread_mutex_unlock(&hop->lock);
    feed_free(feed);
}

void hop_progress_parts(struct hop *hop, int64_t now)
{
    collect(hop);
    for (unsigned i = 0; i < hop->exit_count; i++) {
        if (progress_exit(hop, hop->exits[i], now))
            remove_exit(hop, i--);
    }
    for (unsigned i = 0; i < hop->feed_count; i++) {
        if (progress_feed(hop, hop->feeds[i], now))
            remove_feed(hop, i--);
    }
}

void hop_close(struct hop *hop)
{
    while (hop->exit_count > 0) {
        outlet_join(hop->exits[0]->outlet);
        remove_exit(hop, 0);
    }
}

bool hop_is_closed(struct hop *hop)
{
    collect_closers(hop, false);
    if (hop->closers)
        return false;
    /* sinks settle messages until they are closed, and sources acknowledge these */
    bool closing = false;
    for (unsigned i = 0; i < hop->feed_count; i++) {
        struct feed *feed = hop->feeds[i];
        if (feed->started)
            pthread_join(feed->thread, NULL);
        feed->started = false;
        if (feed->source)
            close_feed(hop, feed);
        closing |= feed->source || feed->closer;
    }
    return !closing;
}

void hop_name_closing(const struct hop *hop)
{
    for (const struct closer *c = hop->closers; c; c = c->next) {
        if (!atomic_load(&c->done))
            log_line(LOG_ERROR, "%s %s: does not close; the process ends without it",
                     c->direction == DIRECTION_SINK ? "sink" : "source", c->url);
    }
}
