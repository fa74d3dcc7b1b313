/* One source, or one sink, at work: opened, started, freed. */
#include <stdlib.h>
#include <string.h>

#include "hop_inside.h"

static void *run_feed(void *arg)
{
    struct feed *feed = arg;
    feed->endpoint->adapter->source->run(feed->source, feed->intake);
    atomic_store(&feed->ended, true);
    bell_ring(feed->hop->changed);
    return NULL;
}

bool feed_start(struct feed *feed, struct error *error)
{
    int failed = pthread_create(&feed->thread, NULL, run_feed, feed);
    feed->started = failed == 0;
    return feed->started ||
           error_set(error, "%s: cannot start its thread: %s", feed->name.url, strerror(failed));
}

/* Its thread has ended, or never ran. */
void feed_free(struct feed *feed)
{
    if (!feed)
        return;
    if (feed->started)
        pthread_join(feed->thread, NULL);
    if (feed->source)
        feed->endpoint->adapter->source->free(feed->source);
    intake_free(feed->intake);
    endpoint_delete(feed->endpoint);
    free(feed);
}

/* The least number that no other of this URL bears. One that is going leaves its name to its successor. */
static unsigned feed_number(const struct hop *hop, const char *url)
{
    unsigned nth = 1;
    for (unsigned i = 0; i < hop->feed_count; i++) {
        const struct feed *feed = hop->feeds[i];
        if (!feed->retired && feed->name.nth == nth && strcmp(feed->name.url, url) == 0) {
            nth++;
            i = (unsigned)-1;
        }
    }
    return nth;
}

static unsigned exit_number(const struct hop *hop, const char *url)
{
    unsigned nth = 1;
    for (unsigned i = 0; i < hop->exit_count; i++) {
        const struct exit *exit = hop->exits[i];
        if (!exit->retired && exit->name.nth == nth && strcmp(exit->name.url, url) == 0) {
            nth++;
            i = (unsigned)-1;
        }
    }
    return nth;
}

/* Goes on with the numbers of the source that was here before. */
static void continue_past(struct hop *hop, struct feed *feed)
{
    for (unsigned i = 0; i < hop->past_source_count; i++) {
        struct past_source *past = &hop->past_sources[i];
        if (past->nth != feed->name.nth || strcmp(past->url, feed->name.url) != 0)
            continue;
        pthread_mutex_lock(&hop->lock);
        const struct past_source found = *past;
        *past = hop->past_sources[--hop->past_source_count];
        pthread_mutex_unlock(&hop->lock);
        intake_give_upstream(feed->intake, found.upstream);
        feed->turned_away = found.turned_away;
        free(found.url);
        return;
    }
}

struct feed *feed_open(struct hop *hop, struct endpoint *endpoint, struct error *error)
{
    struct feed *feed = calloc(1, sizeof *feed);
    if (!feed) {
        endpoint_delete(endpoint);
        error_set(error, "out of memory");
        return NULL;
    }
    feed->hop = hop;
    feed->endpoint = endpoint;
    feed->name = (struct named){.url = endpoint->url, .nth = feed_number(hop, endpoint->url)};
    feed->intake = intake_new(endpoint->url, endpoint_blocks_when_full(endpoint) ? WHEN_FULL_BLOCK : WHEN_FULL_DROP,
                              &hop->lost);
    if (!feed->intake)
        error_set(error, "out of memory");
    else
        feed->source = endpoint->adapter->source->open(&endpoint->place, error);
    if (feed->source) {
        continue_past(hop, feed);
        return feed;
    }
    error_prefix(error, endpoint->url);
    feed_free(feed);
    return NULL;
}

/* A sink asks for the account that its envelopes carry: once per batch, so without a lock. */
static void exit_ledger(void *arg, struct tally *tally, uint64_t *lost)
{
    struct exit *exit = arg;
    *tally = outlet_tally(exit->outlet);
    *lost = atomic_load_explicit(&exit->hop->lost, memory_order_relaxed);
}

static const char *exit_policy(void *arg)
{
    return outlet_policy_hash(((struct exit *)arg)->outlet);
}

static void exit_path(void *arg, struct envelope *envelope)
{
    struct hop *hop = ((struct exit *)arg)->hop;
    pthread_mutex_lock(&hop->lock);
    for (unsigned i = 0; i < hop->feed_count; i++) {
        struct upstream *upstream = intake_upstream(hop->feeds[i]->intake);
        if (upstream)
            upstream_add_hops(upstream, envelope);
    }
    pthread_mutex_unlock(&hop->lock);
}

static void exit_gone(void *arg)
{
    struct exit *exit = arg;
    atomic_store(&exit->gone, true);
    bell_ring(exit->hop->changed);
}

void exit_free(struct exit *exit)
{
    if (!exit)
        return;
    outlet_free(exit->outlet);
    for (unsigned i = 0; i < exit->diversion_count; i++) {
        intake_free(exit->diversions[i].intake);
        free(exit->diversions[i].to);
    }
    free(exit->rejects_url);
    free(exit->called);
    endpoint_delete(exit->endpoint);
    free(exit);
}

struct exit *exit_open(struct hop *hop, struct endpoint *endpoint, struct exit_role role, struct error *error)
{
    struct exit *exit = calloc(1, sizeof *exit);
    if (!exit) {
        endpoint_delete(endpoint);
        error_set(error, "out of memory");
        return NULL;
    }
    const char *called = options_string(&endpoint->options, "name");
    exit->hop = hop;
    exit->endpoint = endpoint;
    exit->role = role;
    exit->called = called ? strdup(called) : NULL;
    exit->name = (struct named){.url = endpoint->url, .nth = exit_number(hop, endpoint->url)};
    exit->host = (struct sink_host){.hop = hop->name,
                                    .successor = role.successor,
                                    .live = hop->live,
                                    .ledger = exit_ledger,
                                    .path = exit_path,
                                    .policy = exit_policy,
                                    .gone = exit_gone,
                                    .arg = exit};
    if (asprintf(&exit->rejects_url, "rejects of %s", called ? called : endpoint->url) < 0)
        exit->rejects_url = NULL;
    if (!exit->rejects_url || (called && !exit->called))
        error_set(error, "out of memory");
    else
        exit->outlet = outlet_new(endpoint, &exit->host, error);
    if (exit->outlet && (!endpoint->policy || hop_set_policy(exit, endpoint, error)))
        return exit;
    exit_free(exit);
    return NULL;
}
