/* What a hop shows of itself: copies of its ledger. */
#include <string.h>

#include "hop_inside.h"

static double seconds_running(const struct hop *hop)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - hop->started.tv_sec) +
           (double)(now.tv_nsec - hop->started.tv_nsec) / 1e9;
}

static void copy_routes(const struct exit *exit, struct ledger_copy *copy)
{
    for (unsigned k = 0; k < outlet_route_count(exit->outlet); k++) {
        const struct route *route = outlet_route(exit->outlet, k);
        const struct ring *ring = route_ring(route);
        struct route_copy row = {
            .source = route_source(route),
            .sink = exit->name,
            .name = exit->called,
            .tally = route_tally(route),
            .ring = ring_octets(ring),
            .ring_capacity = ring_capacity(ring),
        };
        pace_add(&row.pace, route_pace(route));
        ledger_copy_add_route(copy, &row);
    }
}

static void copy_links(struct upstream *upstream, struct source_copy *source, struct ledger_copy *copy)
{
    source->lost = upstream_lost(upstream);
    source->links = upstream_copy(upstream, &source->link_count);
    if (source->link_count > 0 && !source->links) {
        source->link_count = 0;
        copy->failed = true;
    }
}

/* One that is being replaced shows its numbers among the past ones. */
static void copy_source(const struct feed *feed, struct ledger_copy *copy)
{
    const struct source_ops *ops = feed->endpoint->adapter->source;
    struct upstream *upstream = intake_upstream(feed->intake);
    struct source_copy *source = upstream ? ledger_copy_add_source(copy, feed->name) : NULL;
    if (!source)
        return;
    copy_links(upstream, source, copy);
    source->knows_connections = ops->connections && feed->source;
    source->connections = source->knows_connections ? ops->connections(feed->source) : 0;
    source->knows_turned_away = ops->turned_away != NULL;
    source->turned_away = feed->turned_away;
    if (ops->turned_away && feed->source)
        source->turned_away += ops->turned_away(feed->source);
}

static void copy_past_source(const struct past_source *past, struct ledger_copy *copy)
{
    struct source_copy *source = ledger_copy_add_source(copy, (struct named){.url = past->url, .nth = past->nth});
    if (!source)
        return;
    copy_links(past->upstream, source, copy);
    source->knows_turned_away = past->turned_away > 0;
    source->turned_away = past->turned_away;
}

void hop_copy(struct hop *hop, struct ledger_copy *copy)
{
    *copy = (struct ledger_copy){.seconds = seconds_running(hop)};
    memcpy(copy->hop, hop->name, sizeof copy->hop);
    pthread_mutex_lock(&hop->lock);
    for (unsigned i = 0; i < hop->exit_count; i++)
        copy_routes(hop->exits[i], copy);
    for (unsigned i = 0; i < hop->past.route_count; i++)
        ledger_copy_add_route(copy, &hop->past.routes[i]);
    for (unsigned i = 0; i < hop->feed_count; i++)
        copy_source(hop->feeds[i], copy);
    for (unsigned i = 0; i < hop->past_source_count; i++)
        copy_past_source(&hop->past_sources[i], copy);
    copy->lost = atomic_load(&hop->lost);
    copy->failed = copy->failed || hop->past.failed;
    pthread_mutex_unlock(&hop->lock);
}

void hop_sum(struct hop *hop, struct tally *sum, uint64_t *lost)
{
    pthread_mutex_lock(&hop->lock);
    *sum = hop->past.sum;
    for (unsigned i = 0; i < hop->exit_count; i++) {
        const struct outlet *outlet = hop->exits[i]->outlet;
        for (unsigned k = 0; k < outlet_route_count(outlet); k++) {
            struct tally one = route_tally(outlet_route(outlet, k));
            tally_add(sum, &one);
        }
    }
    *lost = atomic_load(&hop->lost);
    pthread_mutex_unlock(&hop->lock);
}

static bool any_source_failed(struct hop *hop)
{
    bool failed = false;
    pthread_mutex_lock(&hop->lock);
    for (unsigned i = 0; i < hop->feed_count; i++)
        failed = failed || intake_has_failed(hop->feeds[i]->intake);
    pthread_mutex_unlock(&hop->lock);
    return failed;
}

bool hop_is_whole(struct hop *hop)
{
    struct tally sum;
    uint64_t lost;
    hop_sum(hop, &sum, &lost);
    return sum.received == sum.delivered + sum.filtered + sum.rejected && lost == 0 && !any_source_failed(hop);
}
