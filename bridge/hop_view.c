/* What a hop shows of itself: the ledger, and every route, source and link. */
#include <inttypes.h>
#include <string.h>

#include "hop_inside.h"
#include "json.h"

static double seconds_running(const struct hop *hop)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - hop->started.tv_sec) +
           (double)(now.tv_nsec - hop->started.tv_nsec) / 1e9;
}

static void print_route(const struct exit *exit, unsigned k, bool rejects, FILE *out)
{
    const struct outlet *outlet = exit->outlet;
    const struct tally t = outlet_route_tally(outlet, k);
    fprintf(out, "  %s -> %s", outlet_route_source(outlet, k).url, exit->name.url);
    if (exit->called)
        fprintf(out, " (%s)", exit->called);
    fputc('\n', out);
    fprintf(out, "  %12" PRIu64 " %12" PRIu64 " %12" PRIu64 " %12" PRIu64, t.received, t.delivered,
            t.dropped, t.filtered);
    if (rejects)
        fprintf(out, " %12" PRIu64, t.rejected);
    fprintf(out, " %12" PRIu64 " %12" PRIu64 " %12" PRIu64 "\n", t.malformed, t.failed,
            t.in_flight);
}

static struct tally sum_of_all(const struct hop *hop)
{
    struct tally sum = {0};
    for (unsigned i = 0; i < hop->exit_count; i++) {
        struct tally one = outlet_tally(hop->exits[i]->outlet);
        tally_add(&sum, &one);
    }
    return sum;
}

void hop_print_ledger(struct hop *hop, FILE *out)
{
    pthread_mutex_lock(&hop->lock);
    flockfile(out);
    bool rejects =
        sum_of_all(hop).rejected > 0; /* a column only where a policy sends messages elsewhere */
    fprintf(out, "ledger of hop %s after %.1f s\n", hop->name, seconds_running(hop));
    fprintf(out, "  %12s %12s %12s %12s", "received", "= delivered", "+ dropped", "+ filtered");
    if (rejects)
        fprintf(out, " %12s", "+ rejected");
    fprintf(out, " %12s %12s %12s\n", "+ malformed", "+ failed", "+ in flight");
    for (unsigned i = 0; i < hop->exit_count; i++) {
        const struct outlet *outlet = hop->exits[i]->outlet;
        for (unsigned k = 0; k < outlet_route_count(outlet); k++)
            print_route(hop->exits[i], k, rejects, out);
    }
    for (unsigned i = 0; i < hop->feed_count; i++)
        upstream_print(intake_upstream(hop->feeds[i]->intake), out);
    fprintf(out, "  lost before this hop: %" PRIu64 "\n", hop_lost(hop));
    fflush(out);
    funlockfile(out);
    pthread_mutex_unlock(&hop->lock);
}

static void route_json(const struct exit *exit, unsigned k, struct buffer *out)
{
    const struct outlet *outlet = exit->outlet;
    const struct tally tally = outlet_route_tally(outlet, k);
    size_t capacity, octets = outlet_route_ring(outlet, k, &capacity);
    json_open(out, NULL, '{');
    json_text(out, "source", outlet_route_source(outlet, k).url);
    json_text(out, "sink", exit->name.url);
    if (exit->called)
        json_text(out, "name", exit->called);
    tally_json(out, &tally);
    json_number(out, "ring", octets);
    json_number(out, "ring_capacity", capacity);
    json_close(out, '}');
}

void hop_json_ledger(struct hop *hop, struct buffer *out)
{
    pthread_mutex_lock(&hop->lock);
    json_open(out, NULL, '{');
    json_text(out, "hop", hop->name);
    json_number(out, "seconds", (uint64_t)seconds_running(hop));
    json_open(out, "routes", '[');
    for (unsigned i = 0; i < hop->exit_count; i++) {
        const struct outlet *outlet = hop->exits[i]->outlet;
        for (unsigned k = 0; k < outlet_route_count(outlet); k++)
            route_json(hop->exits[i], k, out);
    }
    json_close(out, ']');
    json_open(out, "upstream", '[');
    for (unsigned i = 0; i < hop->feed_count; i++)
        upstream_json(intake_upstream(hop->feeds[i]->intake), out);
    json_close(out, ']');
    json_number(out, "lost", hop_lost(hop));
    json_close(out, '}');
    buffer_put_char(out, '\n');
    pthread_mutex_unlock(&hop->lock);
}

void hop_sum(struct hop *hop, struct tally *sum, uint64_t *lost)
{
    pthread_mutex_lock(&hop->lock);
    *sum = sum_of_all(hop);
    *lost = hop_lost(hop);
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

static void show_routes(const struct exit *exit, const struct hop_visitor *visitor)
{
    const struct outlet *outlet = exit->outlet;
    for (unsigned k = 0; k < outlet_route_count(outlet); k++) {
        struct route_view view = {
            .source = outlet_route_source(outlet, k),
            .sink = exit->name,
            .tally = outlet_route_tally(outlet, k),
            .pace = outlet_route_pace(outlet, k),
        };
        view.ring = outlet_route_ring(outlet, k, &view.ring_capacity);
        visitor->route(visitor->arg, &view);
    }
}

struct link_guide {
    const struct hop_visitor *visitor;
    struct named source;
};

static void show_link(void *arg, const struct link_view *link)
{
    const struct link_guide *guide = arg;
    guide->visitor->link(guide->visitor->arg, &guide->source, link);
}

static void show_source(const struct feed *feed, const struct hop_visitor *visitor)
{
    const struct source_ops *ops = feed->endpoint->adapter->source;
    struct upstream *upstream = intake_upstream(feed->intake);
    struct link_guide guide = {.visitor = visitor, .source = feed->name};
    bool knows = ops->connections && feed->source;
    const struct source_view view = {
        .name = guide.source,
        .lost = upstream_lost(upstream),
        .knows_connections = knows,
        .connections = knows ? ops->connections(feed->source) : 0,
        .knows_turned_away = ops->turned_away && feed->source,
        .turned_away = ops->turned_away && feed->source ? ops->turned_away(feed->source) : 0,
    };
    visitor->source(visitor->arg, &view);
    upstream_visit(upstream, show_link, &guide);
}

void hop_visit(struct hop *hop, const struct hop_visitor *visitor)
{
    pthread_mutex_lock(&hop->lock);
    for (unsigned i = 0; i < hop->exit_count; i++)
        show_routes(hop->exits[i], visitor);
    for (unsigned i = 0; i < hop->feed_count; i++)
        show_source(hop->feeds[i], visitor);
    pthread_mutex_unlock(&hop->lock);
}
