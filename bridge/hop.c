#include "hop_inside.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"

static bool add_route(struct hop *hop, struct exit *exit, struct named source, bool waits, struct intake *from,
                      struct entrance *entrance)
{
    struct route *route = route_new(exit->outlet, source, waits, from);
    pthread_mutex_lock(&hop->lock);
    bool added = route && outlet_add_route(exit->outlet, route, entrance);
    pthread_mutex_unlock(&hop->lock);
    if (!added)
        route_free(route);
    return added && intake_add(from, *entrance);
}

/* The ring and account between the two. */
static bool connect_them(struct feed *feed, struct exit *exit, struct error *error)
{
    struct entrance entrance;
    if (exit->role.diverted || feed->retired || exit->retired)
        return true;
    return add_route(exit->hop, exit, feed->name, endpoint_blocks_when_full(feed->endpoint), feed->intake, &entrance) ||
           error_set(error, "%s: out of memory for its ring", exit->name.url);
}

void hop_retire_feed(struct hop *hop, struct feed *feed)
{
    if (feed->retired)
        return;
    feed->retired = true;
    feed->deadline = clock_ms(CLOCK_MONOTONIC) + (int64_t)hop->drain_ms;
    if (feed->source)
        feed->endpoint->adapter->source->stop(feed->source);
}

/* Nothing goes into its rings any more. */
void hop_retire_exit(struct hop *hop, struct exit *exit)
{
    if (exit->retired)
        return;
    exit->retired = true;
    exit->deadline = clock_ms(CLOCK_MONOTONIC) + (int64_t)hop->drain_ms;
    for (unsigned i = 0; i < hop->feed_count; i++) {
        for (unsigned k = 0; k < outlet_route_count(exit->outlet); k++)
            intake_remove(hop->feeds[i]->intake, route_ring(outlet_route(exit->outlet, k)));
    }
}

static bool start_source(struct hop *hop, struct feed *feed, struct error *error)
{
    for (unsigned i = 0; i < hop->exit_count; i++) {
        if (!connect_them(feed, hop->exits[i], error))
            return false;
    }
    return !hop->running || feed_start(feed, error);
}

bool hop_add_source(struct hop *hop, struct endpoint *endpoint, struct error *error)
{
    if (hop->feed_count == HOP_PLACES) {
        endpoint_delete(endpoint);
        return error_set(error, "there are %d sources already", HOP_PLACES);
    }
    struct feed *feed = feed_open(hop, endpoint, error);
    if (!feed)
        return false;
    pthread_mutex_lock(&hop->lock);
    hop->feeds[hop->feed_count++] = feed;
    pthread_mutex_unlock(&hop->lock);
    if (start_source(hop, feed, error))
        return true;
    hop_retire_feed(hop, feed);
    return false;
}

static bool start_sink(struct hop *hop, struct exit *exit, struct error *error)
{
    if (hop->running) {
        hop_hold_sources(hop);
        if (!hop_lead_diversions(hop, error) || !outlet_start(exit->outlet, hop->changed, error))
            return false;
    }
    for (unsigned i = 0; i < hop->feed_count; i++) {
        if (!connect_them(hop->feeds[i], exit, error))
            return false;
    }
    return true;
}

bool hop_add_sink(struct hop *hop, struct endpoint *endpoint, struct exit_role role,
                  struct error *error)
{
    if (hop->exit_count == HOP_PLACES) {
        endpoint_delete(endpoint);
        return error_set(error, "there are %d sinks already", HOP_PLACES);
    }
    struct exit *exit = exit_open(hop, endpoint, role, error);
    if (!exit)
        return false;
    pthread_mutex_lock(&hop->lock);
    hop->exits[hop->exit_count++] = exit;
    pthread_mutex_unlock(&hop->lock);
    if (start_sink(hop, exit, error))
        return true;
    hop_retire_exit(hop, exit);
    return false;
}

static struct diversion *diversion_to(struct exit *exit, const char *name)
{
    for (unsigned i = 0; i < exit->diversion_count; i++) {
        if (strcmp(exit->diversions[i].to, name) == 0)
            return &exit->diversions[i];
    }
    if (exit->diversion_count == EXIT_DIVERSIONS)
        return NULL;
    struct diversion *d = &exit->diversions[exit->diversion_count];
    *d = (struct diversion){.to = strdup(name),
                            .intake = intake_new(exit->rejects_url, WHEN_FULL_DROP, &exit->hop->lost)};
    if (d->to && d->intake) {
        exit->diversion_count++;
        return d;
    }
    free(d->to);
    intake_free(d->intake);
    return NULL;
}

static struct exit *exit_called(struct hop *hop, const char *name)
{
    for (unsigned i = 0; i < hop->exit_count; i++) {
        struct exit *exit = hop->exits[i];
        if (!exit->retired && exit->called && strcmp(exit->called, name) == 0)
            return exit;
    }
    return NULL;
}

static bool lead(struct exit *from, struct diversion *d, struct error *error)
{
    struct exit *to = d->used ? exit_called(from->hop, d->to) : NULL;
    struct entrance entrance;
    if (to == d->exit || (!d->used && outlet_is_changing(from->outlet)))
        return true;
    if (d->exit) {
        intake_remove(d->intake, d->ring);
        outlet_end_routes(d->exit->outlet, d->intake);
    }
    d->exit = NULL;
    if (!to)
        return true;
    const struct named name = {.url = from->rejects_url, .nth = from->name.nth};
    if (!add_route(from->hop, to, name, outlet_waits(from->outlet), d->intake, &entrance))
        return error_set(error, "%s: out of memory for its ring", to->name.url);
    d->exit = to;
    d->ring = entrance.ring;
    return true;
}

bool hop_set_policy(struct exit *exit, struct endpoint *endpoint, struct error *error)
{
    struct intake *gates[PLAN_STEPS];
    unsigned count = 0;
    const char *name;
    for (unsigned i = 0; i < exit->diversion_count; i++)
        exit->diversions[i].used = false;
    while (endpoint->policy && (name = plan_rejects(policy_plan(endpoint->policy), count))) {
        struct diversion *d = diversion_to(exit, name);
        if (!d)
            return error_set(error, "%s: out of memory for what its policy sends elsewhere",
                             exit->name.url);
        d->used = true;
        gates[count++] = d->intake;
    }
    /* before anything is sent that way; what the policy of before uses stays until it is gone */
    for (unsigned i = 0; exit->hop->running && i < exit->diversion_count; i++) {
        if (exit->diversions[i].used && !lead(exit, &exit->diversions[i], error))
            return false;
    }
    if (!outlet_change_policy(exit->outlet, endpoint->policy, endpoint->policy_hash, gates, count))
        return error_set(error, "out of memory");
    endpoint->policy = NULL;
    return true;
}

bool hop_lead_diversions(struct hop *hop, struct error *error)
{
    for (unsigned i = 0; i < hop->exit_count; i++) {
        struct exit *exit = hop->exits[i];
        for (unsigned k = 0; k < exit->diversion_count; k++) {
            if (!lead(exit, &exit->diversions[k], error))
                return false;
        }
    }
    return true;
}

void hop_hold_sources(struct hop *hop)
{
    bool feeds = false, diversions = false;
    for (unsigned i = 0; i < hop->awaited_count; i++) {
        bool sink = hop->awaited[i].direction == DIRECTION_SINK;
        feeds |= sink && !hop->awaited[i].diverted;
        diversions |= sink && hop->awaited[i].diverted;
    }
    for (unsigned i = 0; i < hop->feed_count; i++)
        intake_hold(hop->feeds[i]->intake, feeds && !hop->feeds[i]->retired);
    for (unsigned i = 0; i < hop->exit_count; i++) {
        for (unsigned k = 0; k < hop->exits[i]->diversion_count; k++)
            intake_hold(hop->exits[i]->diversions[k].intake, diversions);
    }
}

static struct hop *hop_new(const struct config *config, struct bell *changed)
{
    struct hop *hop = calloc(1, sizeof *hop);
    if (!hop)
        return NULL;
    strcpy(hop->name, config->hop);
    hop->drain_ms = config->drain_ms;
    hop->live = config_is_live(config);
    hop->changed = changed;
    pthread_mutex_init(&hop->lock, NULL);
    clock_gettime(CLOCK_MONOTONIC, &hop->started);
    return hop;
}

struct hop *hop_open(struct config *config, struct bell *changed, struct error *error)
{
    bool diverted[HOP_PLACES] = {false};
    struct hop *hop = hop_new(config, changed);
    if (!hop) {
        error_set(error, "out of memory");
        return NULL;
    }
    bool ok = config->sink_count <= HOP_PLACES && config->source_count <= HOP_PLACES;
    if (!ok)
        error_set(error, "there are more than %d sources or sinks", HOP_PLACES);
    for (unsigned i = 0; ok && i < config->sink_count; i++)
        diverted[i] = config_is_diverted(config, i);
    for (unsigned i = 0; ok && i < config->source_count; i++)
        ok = hop_add_source(hop, endpoint_take(&config->sources[i]), error);
    for (unsigned i = 0; ok && i < config->sink_count; i++)
        ok = hop_add_sink(hop, endpoint_take(&config->sinks[i]),
                          (struct exit_role){.diverted = diverted[i]}, error);
    if (ok && hop_lead_diversions(hop, error))
        return hop;
    hop_free(hop);
    return NULL;
}

bool hop_start(struct hop *hop, struct error *error)
{
    bool ok = true;
    for (unsigned i = 0; ok && i < hop->exit_count; i++)
        ok = outlet_start(hop->exits[i]->outlet, hop->changed, error);
    for (unsigned i = 0; ok && i < hop->feed_count; i++)
        ok = feed_start(hop->feeds[i], error);
    hop->running = ok;
    return ok;
}

void hop_reopen(struct hop *hop)
{
    for (unsigned i = 0; i < hop->feed_count; i++) {
        const struct feed *feed = hop->feeds[i];
        const struct source_ops *ops = feed->endpoint->adapter->source;
        if (feed->source && ops->reload)
            ops->reload(feed->source);
    }
    for (unsigned i = 0; i < hop->exit_count; i++) {
        outlet_reopen(hop->exits[i]->outlet);
    }
}

void hop_stop_sources(struct hop *hop)
{
    while (hop->awaited_count > 0)
        endpoint_delete(hop->awaited[--hop->awaited_count].endpoint);
    hop_hold_sources(hop);
    for (unsigned i = 0; i < hop->feed_count; i++) {
        struct feed *feed = hop->feeds[i];
        if (feed->source)
            feed->endpoint->adapter->source->stop(feed->source);
    }
}

bool hop_sources_ended(const struct hop *hop)
{
    for (unsigned i = 0; i < hop->feed_count; i++) {
        if (hop->feeds[i]->started && !atomic_load(&hop->feeds[i]->ended))
            return false;
    }
    return hop->awaited_count == 0;
}

void hop_close_sinks(struct hop *hop)
{
    hop->closing = true;
    hop_progress(hop);
}

bool hop_sinks_ended(const struct hop *hop)
{
    for (unsigned i = 0; i < hop->exit_count; i++) {
        if (!outlet_ended(hop->exits[i]->outlet))
            return false;
    }
    return true;
}

void hop_give_up(struct hop *hop)
{
    hop_stop_sources(hop);
    for (unsigned i = 0; i < hop->feed_count; i++)
        intake_give_up(hop->feeds[i]->intake);
    for (unsigned i = 0; i < hop->exit_count; i++) {
        struct exit *exit = hop->exits[i];
        for (unsigned k = 0; k < exit->diversion_count; k++)
            intake_give_up(exit->diversions[k].intake);
        outlet_interrupt(exit->outlet);
    }
}

bool hop_sinks_gone(const struct hop *hop)
{
    unsigned gone = 0, left = 0;
    for (unsigned i = 0; i < hop->exit_count; i++) {
        const struct exit *exit = hop->exits[i];
        bool is_gone = atomic_load(&exit->gone);
        gone += is_gone;
        left += !is_gone && !exit->retired && !exit->role.diverted;
    }
    return gone > 0 && left == 0;
}

static void free_past(struct hop *hop)
{
    for (unsigned i = 0; i < hop->past_source_count; i++) {
        upstream_free(hop->past_sources[i].upstream);
        free(hop->past_sources[i].url);
    }
    ledger_copy_free(&hop->past);
}

void hop_free(struct hop *hop)
{
    if (!hop)
        return;
    if (!hop_sources_ended(hop) || !hop_sinks_ended(hop))
        hop_give_up(hop);
    for (unsigned i = 0; i < hop->feed_count; i++) {
        struct feed *feed = hop->feeds[i];
        if (feed->started)
            pthread_join(feed->thread, NULL);
        feed->started = false;
    }
    /* what a sink's policy sends elsewhere goes into another's ring, until their threads have ended */
    for (unsigned i = 0; i < hop->exit_count; i++)
        outlet_join(hop->exits[i]->outlet);
    hop_join_closers(hop);
    for (unsigned i = 0; i < hop->exit_count; i++)
        exit_free(hop->exits[i]);
    for (unsigned i = 0; i < hop->feed_count; i++)
        feed_free(hop->feeds[i]);
    free_past(hop);
    pthread_mutex_destroy(&hop->lock);
    free(hop);
}
