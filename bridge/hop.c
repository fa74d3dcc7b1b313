#include "hop.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "json.h"
#include "log.h"
#include "route.h"

struct feed { /* a source at work */
    const struct endpoint *endpoint;
    struct source *source;
    struct intake *intake;
    pthread_t thread;
    bool started;
    _Atomic bool ended;
    struct bell *changed;
};

struct exit { /* a sink at work, and what it may ask of us */
    struct hop *hop;
    struct outlet *outlet;
    struct sink_host host;
};

struct hop {
    const struct config *config;
    struct bell *changed;
    struct feed *feeds;
    struct exit *exits;
    unsigned feed_count; /* opened so far */
    unsigned exit_count;
    struct timespec started;
};

static uint64_t lost_in_all(struct hop *hop)
{
    uint64_t lost = 0;
    for (unsigned i = 0; i < hop->feed_count; i++)
        lost += upstream_lost(intake_upstream(hop->feeds[i].intake));
    return lost;
}

static struct tally sum_of(const struct outlet *outlet)
{
    struct tally sum = {0};
    for (unsigned i = 0; i < outlet_route_count(outlet); i++) {
        struct tally one = outlet_route_tally(outlet, i);
        tally_add(&sum, &one);
    }
    return sum;
}

/* A sink asks for the account that its envelopes carry. */
static void exit_ledger(void *arg, struct tally *tally, uint64_t *lost)
{
    struct exit *exit = arg;
    *tally = sum_of(exit->outlet);
    *lost = lost_in_all(exit->hop);
}

static void exit_path(void *arg, struct envelope *envelope)
{
    const struct hop *hop = ((struct exit *)arg)->hop;
    for (unsigned i = 0; i < hop->feed_count; i++)
        upstream_add_hops(intake_upstream(hop->feeds[i].intake), envelope);
}

static bool open_feed(struct hop *hop, const struct endpoint *endpoint, struct error *error)
{
    struct feed *feed = &hop->feeds[hop->feed_count];
    feed->endpoint = endpoint;
    feed->changed = hop->changed;
    feed->intake = intake_new(
        endpoint->url, endpoint_blocks_when_full(endpoint) ? WHEN_FULL_BLOCK : WHEN_FULL_DROP);
    if (!feed->intake)
        return error_set(error, "%s: out of memory", endpoint->url);
    hop->feed_count++;
    feed->source = endpoint->adapter->source->open(&endpoint->place, error);
    return feed->source || error_prefix(error, endpoint->url);
}

static bool open_exit(struct hop *hop, const struct endpoint *endpoint, struct error *error)
{
    struct exit *exit = &hop->exits[hop->exit_count];
    exit->hop = hop;
    exit->host = (struct sink_host){
        .hop = hop->config->hop, .ledger = exit_ledger, .path = exit_path, .arg = exit};
    exit->outlet = outlet_new(endpoint, &exit->host, error);
    if (!exit->outlet)
        return false;
    hop->exit_count++;
    for (unsigned i = 0; i < hop->feed_count; i++) {
        struct entrance entrance;
        struct feed *feed = &hop->feeds[i];
        if (!outlet_add_route(exit->outlet, feed->endpoint->url, &entrance) ||
            !intake_add(feed->intake, entrance))
            return error_set(error, "%s: out of memory for its ring", endpoint->url);
    }
    return true;
}

struct hop *hop_open(const struct config *config, struct bell *changed, struct error *error)
{
    struct hop *hop = calloc(1, sizeof *hop);
    if (hop) {
        hop->config = config;
        hop->changed = changed;
        clock_gettime(CLOCK_MONOTONIC, &hop->started);
        hop->feeds = calloc(config->source_count, sizeof *hop->feeds);
        hop->exits = calloc(config->sink_count, sizeof *hop->exits);
    }
    if (!hop || !hop->feeds || !hop->exits) {
        error_set(error, "out of memory");
        hop_free(hop);
        return NULL;
    }
    bool ok = true;
    for (unsigned i = 0; ok && i < config->source_count; i++)
        ok = open_feed(hop, &config->sources[i], error);
    for (unsigned i = 0; ok && i < config->sink_count; i++)
        ok = open_exit(hop, &config->sinks[i], error);
    if (ok)
        return hop;
    hop_free(hop);
    return NULL;
}

static void *run_feed(void *arg)
{
    struct feed *feed = arg;
    feed->endpoint->adapter->source->run(feed->source, feed->intake);
    atomic_store(&feed->ended, true);
    bell_ring(feed->changed);
    return NULL;
}

bool hop_start(struct hop *hop, struct error *error)
{
    for (unsigned i = 0; i < hop->exit_count; i++) {
        if (!outlet_start(hop->exits[i].outlet, hop->changed, error))
            return false;
    }
    for (unsigned i = 0; i < hop->feed_count; i++) {
        struct feed *feed = &hop->feeds[i];
        int failed = pthread_create(&feed->thread, NULL, run_feed, feed);
        if (failed)
            return error_set(error, "%s: cannot start its thread: %s", feed->endpoint->url,
                             strerror(failed));
        feed->started = true;
    }
    return true;
}

void hop_reopen(struct hop *hop)
{
    for (unsigned i = 0; i < hop->feed_count; i++) {
        const struct source_ops *ops = hop->feeds[i].endpoint->adapter->source;
        if (ops->reload)
            ops->reload(hop->feeds[i].source);
    }
    for (unsigned i = 0; i < hop->exit_count; i++)
        outlet_reopen(hop->exits[i].outlet);
}

void hop_stop_sources(struct hop *hop)
{
    for (unsigned i = 0; i < hop->feed_count; i++) {
        struct feed *feed = &hop->feeds[i];
        if (feed->source)
            feed->endpoint->adapter->source->stop(feed->source);
    }
}

bool hop_sources_ended(const struct hop *hop)
{
    for (unsigned i = 0; i < hop->feed_count; i++) {
        if (hop->feeds[i].started && !atomic_load(&hop->feeds[i].ended))
            return false;
    }
    return true;
}

void hop_close_sinks(struct hop *hop)
{
    for (unsigned i = 0; i < hop->exit_count; i++)
        outlet_close(hop->exits[i].outlet);
}

bool hop_sinks_ended(const struct hop *hop)
{
    for (unsigned i = 0; i < hop->exit_count; i++) {
        if (!outlet_ended(hop->exits[i].outlet))
            return false;
    }
    return true;
}

void hop_give_up(struct hop *hop)
{
    hop_stop_sources(hop);
    for (unsigned i = 0; i < hop->feed_count; i++)
        intake_give_up(hop->feeds[i].intake);
    for (unsigned i = 0; i < hop->exit_count; i++)
        outlet_interrupt(hop->exits[i].outlet);
}

static void free_feed(struct feed *feed)
{
    if (feed->started)
        pthread_join(feed->thread, NULL);
    if (feed->source)
        feed->endpoint->adapter->source->free(feed->source);
}

void hop_free(struct hop *hop)
{
    if (!hop)
        return;
    if (!hop_sources_ended(hop) || !hop_sinks_ended(hop))
        hop_give_up(hop);
    for (unsigned i = 0; i < hop->feed_count; i++)
        free_feed(&hop->feeds[i]);
    /* the outlets ask the intakes for what was lost until their threads have ended */
    for (unsigned i = 0; i < hop->exit_count; i++)
        outlet_free(hop->exits[i].outlet);
    for (unsigned i = 0; i < hop->feed_count; i++)
        intake_free(hop->feeds[i].intake);
    free(hop->feeds);
    free(hop->exits);
    free(hop);
}

static double seconds_running(const struct hop *hop)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - hop->started.tv_sec) +
           (double)(now.tv_nsec - hop->started.tv_nsec) / 1e9;
}

static void print_route(const char *source, const char *sink, const struct tally *t, FILE *out)
{
    fprintf(out, "  %s -> %s\n", source, sink);
    fprintf(out,
            "  %12" PRIu64 " %12" PRIu64 " %12" PRIu64 " %12" PRIu64 " %12" PRIu64 " %12" PRIu64
            " %12" PRIu64 "\n",
            t->received, t->delivered, t->dropped, t->filtered, t->malformed, t->failed,
            t->in_flight);
}

void hop_print_ledger(struct hop *hop, FILE *out)
{
    flockfile(out);
    fprintf(out, "ledger of hop %s after %.1f s\n", hop->config->hop, seconds_running(hop));
    fprintf(out, "  %12s %12s %12s %12s %12s %12s %12s\n", "received", "= delivered", "+ dropped",
            "+ filtered", "+ malformed", "+ failed", "+ in flight");
    for (unsigned i = 0; i < hop->exit_count; i++) {
        const struct outlet *outlet = hop->exits[i].outlet;
        for (unsigned k = 0; k < outlet_route_count(outlet); k++) {
            struct tally tally = outlet_route_tally(outlet, k);
            print_route(outlet_route_source(outlet, k), outlet_sink(outlet), &tally, out);
        }
    }
    for (unsigned i = 0; i < hop->feed_count; i++)
        upstream_print(intake_upstream(hop->feeds[i].intake), out);
    fprintf(out, "  lost before this hop: %" PRIu64 "\n", lost_in_all(hop));
    fflush(out);
    funlockfile(out);
}

void hop_json_ledger(struct hop *hop, struct buffer *out)
{
    json_open(out, NULL, '{');
    json_text(out, "hop", hop->config->hop);
    json_number(out, "seconds", (uint64_t)seconds_running(hop));
    json_open(out, "routes", '[');
    for (unsigned i = 0; i < hop->exit_count; i++) {
        const struct outlet *outlet = hop->exits[i].outlet;
        for (unsigned k = 0; k < outlet_route_count(outlet); k++) {
            struct tally tally = outlet_route_tally(outlet, k);
            json_open(out, NULL, '{');
            json_text(out, "source", outlet_route_source(outlet, k));
            json_text(out, "sink", outlet_sink(outlet));
            tally_json(out, &tally);
            size_t capacity, octets = outlet_route_ring(outlet, k, &capacity);
            json_number(out, "ring", octets);
            json_number(out, "ring_capacity", capacity);
            json_close(out, '}');
        }
    }
    json_close(out, ']');
    json_open(out, "upstream", '[');
    for (unsigned i = 0; i < hop->feed_count; i++)
        upstream_json(intake_upstream(hop->feeds[i].intake), out);
    json_close(out, ']');
    json_number(out, "lost", lost_in_all(hop));
    json_close(out, '}');
    buffer_put_char(out, '\n');
}

void hop_sum(struct hop *hop, struct tally *sum, uint64_t *lost)
{
    *sum = (struct tally){0};
    for (unsigned i = 0; i < hop->exit_count; i++) {
        struct tally one = sum_of(hop->exits[i].outlet);
        tally_add(sum, &one);
    }
    *lost = lost_in_all(hop);
}

bool hop_is_whole(struct hop *hop)
{
    for (unsigned i = 0; i < hop->exit_count; i++) {
        struct tally sum = sum_of(hop->exits[i].outlet);
        if (sum.received != sum.delivered + sum.filtered)
            return false;
    }
    return lost_in_all(hop) == 0;
}

static struct named name_of(const struct endpoint *list, unsigned i)
{
    struct named name = {.url = list[i].url, .nth = 1};
    for (unsigned k = 0; k < i; k++)
        name.nth += strcmp(list[k].url, list[i].url) == 0;
    return name;
}

static void show_routes(struct hop *hop, unsigned exit, const struct hop_visitor *visitor)
{
    const struct outlet *outlet = hop->exits[exit].outlet;
    for (unsigned k = 0; k < outlet_route_count(outlet); k++) {
        struct route_view view = {
            .source = name_of(hop->config->sources, k),
            .sink = name_of(hop->config->sinks, exit),
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

static void show_source(struct hop *hop, unsigned i, const struct hop_visitor *visitor)
{
    const struct feed *feed = &hop->feeds[i];
    const struct source_ops *ops = feed->endpoint->adapter->source;
    struct upstream *upstream = intake_upstream(feed->intake);
    struct link_guide guide = {.visitor = visitor, .source = name_of(hop->config->sources, i)};
    const struct source_view view = {
        .name = guide.source,
        .lost = upstream_lost(upstream),
        .knows_connections = ops->connections != NULL,
        .connections = ops->connections ? ops->connections(feed->source) : 0,
        .knows_turned_away = ops->turned_away != NULL,
        .turned_away = ops->turned_away ? ops->turned_away(feed->source) : 0,
    };
    visitor->source(visitor->arg, &view);
    upstream_visit(upstream, show_link, &guide);
}

void hop_visit(struct hop *hop, const struct hop_visitor *visitor)
{
    for (unsigned i = 0; i < hop->exit_count; i++)
        show_routes(hop, i, visitor);
    for (unsigned i = 0; i < hop->feed_count; i++)
        show_source(hop, i, visitor);
}
