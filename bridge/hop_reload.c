/* Making a running hop what another configuration says. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "hop_inside.h"
#include "log.h"

/* Does a sink leave off being the same when this option changes? A policy is exchanged under way,
 * and a name is only what others call it. */
static bool matters(const struct option_spec *spec)
{
    return strcmp(spec->name, "policy") != 0 && strcmp(spec->name, "name") != 0;
}

static bool same_endpoint(const struct endpoint *a, const struct endpoint *b)
{
    if (a->adapter != b->adapter || strcmp(a->url, b->url) != 0 ||
        strcmp(a->address, b->address) != 0 || a->options.count != b->options.count)
        return false;
    for (unsigned i = 0; i < a->options.count; i++) {
        if (matters(a->options.specs[i]) && !option_same_text(a->options.texts[i], b->options.texts[i]))
            return false;
    }
    return true;
}

/* What becomes of what is there, and of what is to be there: one entry each for the sources and
 * sinks of the hop and of the next configuration. */
struct comparison {
    const struct config *next;
    bool feed_stays[HOP_PLACES], exit_stays[HOP_PLACES];
    struct exit *sink_is[HOP_PLACES]; /* the next configuration's sink is this one, which stays */
    bool source_is_there[HOP_PLACES];
    bool diverted[HOP_PLACES];
};

static void compare_sources(const struct hop *hop, struct comparison *c)
{
    for (unsigned i = 0; i < c->next->source_count; i++) {
        for (unsigned k = 0; k < hop->feed_count && !c->source_is_there[i]; k++) {
            const struct feed *feed = hop->feeds[k];
            if (feed->retired || c->feed_stays[k] ||
                !same_endpoint(feed->endpoint, c->next->sources[i]))
                continue;
            c->feed_stays[k] = c->source_is_there[i] = true;
        }
    }
}

static void compare_sinks(const struct hop *hop, struct comparison *c)
{
    for (unsigned i = 0; i < c->next->sink_count; i++) {
        c->diverted[i] = config_is_diverted(c->next, i);
        for (unsigned k = 0; k < hop->exit_count && !c->sink_is[i]; k++) {
            struct exit *exit = hop->exits[k];
            if (exit->retired || c->exit_stays[k] || exit->role.diverted != c->diverted[i] ||
                !same_endpoint(exit->endpoint, c->next->sinks[i]))
                continue;
            c->exit_stays[k] = true;
            c->sink_is[i] = exit;
        }
    }
}

/* Is something at this address, or about to be no longer? */
static bool source_is_taken(const struct hop *hop, const char *url)
{
    for (unsigned i = 0; i < hop->feed_count; i++) {
        if (hop->feeds[i]->source && strcmp(hop->feeds[i]->name.url, url) == 0)
            return true;
    }
    return hop_is_closing(hop, DIRECTION_SOURCE, url);
}

static bool sink_is_taken(const struct hop *hop, const char *url)
{
    for (unsigned i = 0; i < hop->exit_count; i++) {
        if (strcmp(hop->exits[i]->name.url, url) == 0)
            return true;
    }
    return hop_is_closing(hop, DIRECTION_SINK, url);
}

static void await(struct hop *hop, struct endpoint **endpoint, enum direction direction,
                  bool diverted)
{
    hop->awaited[hop->awaited_count++] =
        (struct awaited){.endpoint = endpoint_take(endpoint), .direction = direction, .diverted = diverted};
}

/* Opens what is new where nothing is in its way; the rest has to wait. False with the error. */
static bool open_new(struct hop *hop, struct config *next, const struct comparison *c,
                     struct error *error)
{
    bool ok = hop->awaited_count + next->sink_count + next->source_count <= HOP_AWAITED ||
              error_set(error, "what the last change asked for is still being done");
    /* those that policies send messages to come first */
    for (unsigned n = 0; ok && n < 2 * next->sink_count; n++) {
        unsigned i = n % next->sink_count;
        if (c->sink_is[i] || c->diverted[i] != (n < next->sink_count))
            continue;
        if (sink_is_taken(hop, next->sinks[i]->url))
            await(hop, &next->sinks[i], DIRECTION_SINK, c->diverted[i]);
        else
            ok = hop_add_sink(hop, endpoint_take(&next->sinks[i]),
                              (struct exit_role){.diverted = c->diverted[i]}, error);
    }
    for (unsigned i = 0; ok && i < next->source_count; i++) {
        if (c->source_is_there[i])
            continue;
        if (source_is_taken(hop, next->sources[i]->url))
            await(hop, &next->sources[i], DIRECTION_SOURCE, false);
        else
            ok = hop_add_source(hop, endpoint_take(&next->sources[i]), error);
    }
    return ok;
}

static void retire_feed(struct hop *hop, struct feed *feed)
{
    hop_retire_feed(hop, feed);
    log_line(LOG_INFO, "source %s: no longer in the configuration; it stops", feed->name.url);
}

static void retire_exit(struct hop *hop, struct exit *exit)
{
    hop_retire_exit(hop, exit);
    log_line(LOG_INFO,
             "sink %s: no longer in the configuration; it delivers what it has, and stops",
             exit->name.url);
}

/* What others call the sinks that stay. */
static void change_names(struct hop *hop, const struct comparison *c)
{
    for (unsigned i = 0; i < c->next->sink_count; i++) {
        struct exit *exit = c->sink_is[i];
        if (!exit)
            continue;
        const char *called = options_string(&c->next->sinks[i]->options, "name");
        char *before = exit->called, *name = called ? strdup(called) : NULL;
        pthread_mutex_lock(&hop->lock); /* the ledger shows it */
        exit->called = name;
        pthread_mutex_unlock(&hop->lock);
        free(before);
    }
}

static bool change_policies(struct config *next, const struct comparison *c, struct error *error)
{
    for (unsigned i = 0; i < next->sink_count; i++) {
        struct exit *exit = c->sink_is[i];
        if (!exit || strcmp(exit->endpoint->policy_state, next->sinks[i]->policy_state) == 0)
            continue;
        if (!hop_set_policy(exit, next->sinks[i], error))
            return false;
        memcpy(exit->endpoint->policy_hash, next->sinks[i]->policy_hash,
               sizeof exit->endpoint->policy_hash);
        memcpy(exit->endpoint->policy_state, next->sinks[i]->policy_state,
               sizeof exit->endpoint->policy_state);
        log_line(LOG_INFO, "sink %s: policy replaced", exit->name.url);
    }
    return true;
}

/* What open_new had opened before it failed. */
static void take_back(struct hop *hop, unsigned feeds, unsigned exits, unsigned awaited)
{
    for (unsigned i = feeds; i < hop->feed_count; i++)
        retire_feed(hop, hop->feeds[i]);
    for (unsigned i = exits; i < hop->exit_count; i++)
        retire_exit(hop, hop->exits[i]);
    while (hop->awaited_count > awaited)
        endpoint_delete(hop->awaited[--hop->awaited_count].endpoint);
    hop_hold_sources(hop);
    hop_progress(hop);
}

/* What the change before waited for: this one says anew what is to be there. */
static void forget_awaited(struct hop *hop, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        endpoint_delete(hop->awaited[i].endpoint);
    hop->awaited_count -= count;
    memmove(hop->awaited, hop->awaited + count, hop->awaited_count * sizeof *hop->awaited);
}

/* Nothing can fail any more but for want of memory. */
static bool take_over_next(struct hop *hop, const struct comparison *c, unsigned feeds, unsigned exits,
                           struct error *error)
{
    hop->drain_ms = c->next->drain_ms;
    hop_hold_sources(hop); /* before a gate is closed */
    for (unsigned i = 0; i < feeds; i++) {
        if (!c->feed_stays[i] && !hop->feeds[i]->retired)
            retire_feed(hop, hop->feeds[i]);
    }
    for (unsigned i = 0; i < exits; i++) {
        if (!c->exit_stays[i] && !hop->exits[i]->retired)
            retire_exit(hop, hop->exits[i]);
    }
    hop_hold_sources(hop); /* but not those who end */
    return hop_lead_diversions(hop, error);
}

bool hop_reload(struct hop *hop, struct config *next, struct error *error)
{
    if (hop->closing || next->sink_count > HOP_PLACES || next->source_count > HOP_PLACES)
        return error_set(error, hop->closing ? "the hop is stopping" : "too many sources or sinks");
    struct comparison *c = calloc(1, sizeof *c);
    if (!c)
        return error_set(error, "out of memory");
    c->next = next;
    bool was_live = hop->live;
    hop->live = config_is_live(next);
    compare_sources(hop, c);
    compare_sinks(hop, c);
    unsigned feeds = hop->feed_count, exits = hop->exit_count, awaited = hop->awaited_count;
    bool ok = open_new(hop, next, c, error);
    if (ok) {
        change_names(hop, c);
        ok = change_policies(next, c, error);
    }
    if (ok) {
        forget_awaited(hop, awaited);
        ok = take_over_next(hop, c, feeds, exits, error);
    } else {
        hop->live = was_live;
        take_back(hop, feeds, exits, awaited);
    }
    free(c);
    hop_progress(hop);
    return ok;
}

static bool open_awaited(struct hop *hop, const struct awaited *a, struct error *error)
{
    return a->direction == DIRECTION_SOURCE
               ? hop_add_source(hop, a->endpoint, error)
               : hop_add_sink(hop, a->endpoint,
                              (struct exit_role){.diverted = a->diverted, .successor = true},
                              error);
}

/* What can be opened now that others have stopped. */
static void progress_awaited(struct hop *hop)
{
    unsigned left = 0;
    for (unsigned i = 0; i < hop->awaited_count; i++) {
        const struct awaited a = hop->awaited[i];
        struct error error = {{0}};
        bool taken = a.direction == DIRECTION_SOURCE ? source_is_taken(hop, a.endpoint->url)
                                                     : sink_is_taken(hop, a.endpoint->url);
        if (taken)
            hop->awaited[left++] = a;
        else if (!open_awaited(hop, &a, &error) || !hop_lead_diversions(hop, &error))
            log_line(LOG_ERROR, "%s; it is left out until the configuration is read again (SIGHUP)",
                     error.text);
    }
    hop->awaited_count = left;
    hop_hold_sources(hop);
}

int hop_progress(struct hop *hop)
{
    int64_t now = clock_ms(CLOCK_MONOTONIC), next = INT64_MAX;
    struct error error = {{0}};
    if (!hop_lead_diversions(hop, &error)) /* away from where a policy of before led */
        log_line(LOG_ERROR, "%s", error.text);
    hop_progress_parts(hop, now);
    if (hop->awaited_count > 0 && !hop->closing)
        progress_awaited(hop);
    for (unsigned i = 0; i < hop->feed_count; i++) {
        const struct feed *feed = hop->feeds[i];
        if (feed->retired && feed->deadline > now && feed->deadline < next)
            next = feed->deadline;
    }
    for (unsigned i = 0; i < hop->exit_count; i++) {
        const struct exit *exit = hop->exits[i];
        if (exit->retired && exit->deadline > now && exit->deadline < next)
            next = exit->deadline;
    }
    return next == INT64_MAX ? -1 : next - now > INT_MAX ? INT_MAX : (int)(next - now);
}
