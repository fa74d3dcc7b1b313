#include "upstream.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

struct link {
    uint64_t peer;  /* the connection that it came over */
    uint64_t heard; /* the batch, of all batches, that came last */
    struct sequence sequence;
    bool shared;
    bool finished;
    bool hops_left_out;
    struct hop_ledger sender; /* its instance is new at each of its starts */
    unsigned hop_count;
    struct hop_ledger *hops; /* every hop seen on the way to the sender, by instance */
};

struct upstream {
    char *source;
    pthread_mutex_t lock;
    struct link **links; /* oldest first */
    unsigned count;
    unsigned hop_count; /* over all links */
    uint64_t batches;   /* on all links */
    _Atomic uint64_t lost; /* written under the lock */
    _Atomic uint64_t *total;
};

struct upstream *upstream_new(const char *source, _Atomic uint64_t *total)
{
    struct upstream *upstream = calloc(1, sizeof *upstream);
    char *name = strdup(source);
    if (!upstream || !name) {
        free(upstream);
        free(name);
        return NULL;
    }
    upstream->source = name;
    upstream->total = total;
    pthread_mutex_init(&upstream->lock, NULL);
    return upstream;
}

static void link_free(struct link *link)
{
    free(link->hops);
    free(link);
}

void upstream_free(struct upstream *upstream)
{
    if (!upstream)
        return;
    for (unsigned i = 0; i < upstream->count; i++)
        link_free(upstream->links[i]);
    free(upstream->links);
    pthread_mutex_destroy(&upstream->lock);
    free(upstream->source);
    free(upstream);
}

uint64_t upstream_memory(void)
{
    return sizeof(struct upstream) + UPSTREAM_LINKS * (sizeof(struct link) + sizeof(struct link *)) +
           2 * UPSTREAM_HOPS * sizeof(struct hop_ledger);
}

static unsigned links_of(const struct upstream *upstream, uint64_t peer)
{
    unsigned count = 0;
    for (unsigned i = 0; i < upstream->count; i++)
        count += upstream->links[i]->peer == peer;
    return count;
}

/* The link that was silent for longest, among those of one connection or (0) of all. */
static unsigned quietest_of(const struct upstream *upstream, uint64_t peer)
{
    unsigned quietest = upstream->count;
    for (unsigned i = 0; i < upstream->count; i++) {
        if (peer != 0 && upstream->links[i]->peer != peer)
            continue;
        if (quietest == upstream->count || upstream->links[i]->heard < upstream->links[quietest]->heard)
            quietest = i;
    }
    return quietest;
}

/* Of a connection that shows more than one sender the most, so that no other pays for it. 0: there is none. */
static uint64_t busiest_peer(const struct upstream *upstream)
{
    uint64_t busiest = 0;
    unsigned most = 1;
    for (unsigned i = 0; i < upstream->count; i++) {
        uint64_t peer = upstream->links[i]->peer;
        unsigned count = peer && peer != busiest ? links_of(upstream, peer) : 0;
        if (count > most) {
            most = count;
            busiest = peer;
        }
    }
    return busiest;
}

/* What it lost stays in the sum. */
static void forget(struct upstream *upstream, unsigned at)
{
    assert(at < upstream->count);
    struct link **link = &upstream->links[at];
    upstream->hop_count -= (*link)->hop_count;
    link_free(*link);
    upstream->count--;
    memmove(link, link + 1, (upstream->count - at) * sizeof *link);
}

/* A sender that restarts is a new link: without a bound, a flapping one would fill the memory. */
static void make_room(struct upstream *upstream, uint64_t peer)
{
    if (peer != 0 && links_of(upstream, peer) >= UPSTREAM_PEER_LINKS)
        forget(upstream, quietest_of(upstream, peer));
    if (upstream->count == UPSTREAM_LINKS)
        forget(upstream, quietest_of(upstream, busiest_peer(upstream)));
}

static struct link *link_of(struct upstream *upstream, uint64_t peer, uint64_t instance)
{
    for (unsigned i = upstream->count; i-- > 0;) {
        if (upstream->links[i]->sender.instance == instance)
            return upstream->links[i];
    }
    make_room(upstream, peer);
    struct link **links = realloc(upstream->links, (upstream->count + 1) * sizeof *links);
    if (!links)
        return NULL;
    upstream->links = links;
    struct link *link = calloc(1, sizeof *link);
    if (!link)
        return NULL;
    links[upstream->count++] = link;
    return link;
}

static void note_hop(struct upstream *upstream, struct link *link, const struct hop_ledger *hop)
{
    for (unsigned i = 0; i < link->hop_count; i++) {
        if (link->hops[i].instance == hop->instance) {
            link->hops[i] = *hop;
            return;
        }
    }
    bool room = link->hop_count < UPSTREAM_LINK_HOPS && upstream->hop_count < UPSTREAM_HOPS;
    struct hop_ledger *hops = room ? realloc(link->hops, (link->hop_count + 1) * sizeof *hops) : NULL;
    if (!hops) {
        link->hops_left_out = true; /* a fan-in wider than this shows its first hops */
        return;
    }
    link->hops = hops;
    link->hops[link->hop_count++] = *hop;
    upstream->hop_count++;
}

/* Numbers that a late batch fills are taken back. Whatever senders say, the sum stays a number that can be added to others. */
static void change_lost(struct upstream *upstream, uint64_t before, uint64_t after)
{
    uint64_t was = atomic_load_explicit(&upstream->lost, memory_order_relaxed), is;
    if (after >= before)
        is = after - before > ENVELOPE_NUMBER_MAX - was ? ENVELOPE_NUMBER_MAX : was + (after - before);
    else
        is = before - after > was ? 0 : was - (before - after);
    atomic_store_explicit(&upstream->lost, is, memory_order_relaxed);
    if (upstream->total)
        atomic_fetch_add_explicit(upstream->total, is - was, memory_order_relaxed);
}

void upstream_lose(struct upstream *upstream, uint64_t messages)
{
    pthread_mutex_lock(&upstream->lock);
    change_lost(upstream, 0, messages);
    pthread_mutex_unlock(&upstream->lock);
}

/* Under the lock. What this envelope shows to be lost. */
static uint64_t note_link(struct upstream *upstream, struct link *link, uint64_t peer,
                          const struct envelope *envelope)
{
    uint64_t before = link->sequence.lost;
    uint64_t lost = sequence_note(&link->sequence, envelope->sequence, envelope->count, envelope->shared, envelope->epoch);
    change_lost(upstream, before, link->sequence.lost);
    link->peer = peer;
    link->heard = ++upstream->batches;
    link->shared = envelope->shared;
    link->finished = envelope->final;
    link->sender = envelope->path[envelope->hops - 1];
    for (unsigned i = 0; i + 1 < envelope->hops; i++) {
        if (envelope->path[i].instance != link->sender.instance)
            note_hop(upstream, link, &envelope->path[i]);
    }
    return lost;
}

void upstream_note_from(struct upstream *upstream, uint64_t peer, const struct envelope *envelope)
{
    static struct log_limit no_memory, joined, losing, ended;
    assert(envelope->hops > 0 && envelope->hops <= ENVELOPE_HOPS);
    const struct hop_ledger *sender = &envelope->path[envelope->hops - 1];
    bool joins = false, ends = false;
    uint64_t lost = 0;
    pthread_mutex_lock(&upstream->lock);
    struct link *link = link_of(upstream, peer, sender->instance);
    if (link) {
        joins = !link->sequence.joined;
        ends = envelope->final && !link->finished;
        lost = note_link(upstream, link, peer, envelope);
    }
    pthread_mutex_unlock(&upstream->lock);

    if (!link)
        log_limited(&no_memory, LOG_ERROR, "source %s: out of memory for the ledger of hop %s", upstream->source,
                    sender->hop);
    if (joins)
        log_limited(&joined, LOG_INFO, "source %s: joined hop %s (instance %016" PRIx64 ") at sequence %" PRIu64,
                    upstream->source, sender->hop, sender->instance, envelope->sequence);
    if (lost > 0)
        log_limited(&losing, LOG_WARN,
                    "source %s: %" PRIu64 " messages lost on the link from hop %s, before sequence %" PRIu64,
                    upstream->source, lost, sender->hop, envelope->sequence);
    if (ends)
        log_limited(&ended, LOG_INFO, "source %s: hop %s (instance %016" PRIx64 ") ended at sequence %" PRIu64,
                    upstream->source, sender->hop, sender->instance, envelope->sequence);
}

void upstream_note(struct upstream *upstream, const struct envelope *envelope)
{
    upstream_note_from(upstream, 0, envelope);
}

uint64_t upstream_lost(const struct upstream *upstream)
{
    return atomic_load_explicit(&upstream->lost, memory_order_relaxed);
}

void upstream_add_hops(struct upstream *upstream, struct envelope *envelope)
{
    pthread_mutex_lock(&upstream->lock);
    for (unsigned i = 0; i < upstream->count; i++) {
        const struct link *link = upstream->links[i];
        for (unsigned k = 0; k < link->hop_count; k++)
            envelope_add_hop(envelope, &link->hops[k]);
        envelope_add_hop(envelope, &link->sender);
    }
    pthread_mutex_unlock(&upstream->lock);
}

void link_copies_free(struct link_copy *links, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        free(links[i].hops);
    free(links);
}

static bool copy_link(const struct link *link, struct link_copy *copy)
{
    const struct sequence *s = &link->sequence;
    *copy = (struct link_copy){
        .sender = link->sender,
        .joined_at = s->joined_at,
        .next = s->next,
        .received = s->received,
        .lost = s->lost,
        .duplicates = s->duplicates,
        .shared = link->shared,
        .finished = link->finished,
        .hops_left_out = link->hops_left_out,
        .hop_count = link->hop_count,
    };
    if (link->hop_count == 0)
        return true;
    copy->hops = malloc(link->hop_count * sizeof *copy->hops);
    if (copy->hops)
        memcpy(copy->hops, link->hops, link->hop_count * sizeof *copy->hops);
    return copy->hops != NULL;
}

struct link_copy *upstream_copy(struct upstream *upstream, unsigned *count)
{
    pthread_mutex_lock(&upstream->lock);
    unsigned all = upstream->count, copied = 0;
    struct link_copy *copies = all ? calloc(all, sizeof *copies) : NULL;
    while (copies && copied < all && copy_link(upstream->links[copied], &copies[copied]))
        copied++;
    pthread_mutex_unlock(&upstream->lock);
    *count = all;
    if (copies && copied < all) {
        link_copies_free(copies, copied);
        copies = NULL;
    }
    return copies;
}
