#include "upstream.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#include "capped.h"
#include "json.h"
#include "log.h"

enum { LINKS_MAX = 1024, LINK_HOPS = 64 };

struct link {
    uint64_t instance; /* the sender's; new at each of its starts */
    uint64_t heard;    /* the batch, of all batches, that came last */
    struct sequence sequence;
    bool shared;
    bool finished;
    unsigned hop_count;
    struct hop_ledger *hops; /* every hop seen on the way, by instance; the sender among them */
};

struct upstream {
    const char *source;
    pthread_mutex_t lock;
    struct link **links; /* oldest first */
    unsigned count;
    uint64_t batches;     /* on all links */
    uint64_t lost_before; /* on links that had to make room for newer ones */
};

struct upstream *upstream_new(const char *source)
{
    struct upstream *upstream = calloc(1, sizeof *upstream);
    if (!upstream)
        return NULL;
    upstream->source = source;
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
    free(upstream);
}

/* A sender that restarts is a new link: without a bound, a flapping one would fill the memory. The one
 * that was silent for longest makes room. */
static void forget_quietest(struct upstream *upstream)
{
    unsigned quietest = 0;
    for (unsigned i = 1; i < upstream->count; i++) {
        if (upstream->links[i]->heard < upstream->links[quietest]->heard)
            quietest = i;
    }
    struct link **link = &upstream->links[quietest];
    upstream->lost_before += (*link)->sequence.lost;
    link_free(*link);
    upstream->count--;
    memmove(link, link + 1, (upstream->count - quietest) * sizeof *link);
}

static struct link *link_of(struct upstream *upstream, uint64_t instance)
{
    for (unsigned i = upstream->count; i-- > 0;) {
        if (upstream->links[i]->instance == instance)
            return upstream->links[i];
    }
    if (upstream->count == LINKS_MAX)
        forget_quietest(upstream);
    struct link **links = realloc(upstream->links, (upstream->count + 1) * sizeof *links);
    if (!links)
        return NULL;
    upstream->links = links;
    struct link *link = calloc(1, sizeof *link);
    if (!link)
        return NULL;
    link->instance = instance;
    links[upstream->count++] = link;
    return link;
}

static void note_hop(struct link *link, const struct hop_ledger *hop)
{
    for (unsigned i = 0; i < link->hop_count; i++) {
        if (link->hops[i].instance == hop->instance) {
            link->hops[i] = *hop;
            return;
        }
    }
    if (link->hop_count == LINK_HOPS)
        return; /* a fan-in wider than this shows its first hops */
    struct hop_ledger *hops = realloc(link->hops, (link->hop_count + 1) * sizeof *hops);
    if (!hops)
        return;
    link->hops = hops;
    /* the sender stands last, those before it in the order of their coming */
    unsigned at = link->hop_count++;
    if (at > 0 && hops[at - 1].instance == link->instance) {
        hops[at] = hops[at - 1];
        at--;
    }
    hops[at] = *hop;
}

void upstream_note(struct upstream *upstream, const struct envelope *envelope)
{
    static struct log_limit limit;
    const struct hop_ledger *sender = &envelope->path[envelope->hops - 1];
    pthread_mutex_lock(&upstream->lock);
    struct link *link = link_of(upstream, sender->instance);
    if (!link) {
        pthread_mutex_unlock(&upstream->lock);
        log_limited(&limit, LOG_ERROR, "source %s: out of memory for the ledger of hop %s",
                    upstream->source, sender->hop);
        return;
    }
    link->heard = ++upstream->batches;
    bool joins = !link->sequence.joined;
    bool ends = envelope->final && !link->finished;
    uint64_t lost = sequence_note(&link->sequence, envelope->sequence, envelope->count,
                                  envelope->shared, envelope->epoch);
    link->shared = envelope->shared;
    link->finished = envelope->final;
    for (unsigned i = 0; i < envelope->hops; i++)
        note_hop(link, &envelope->path[i]);
    pthread_mutex_unlock(&upstream->lock);

    if (joins)
        log_line(LOG_INFO, "source %s: joined hop %s (instance %016" PRIx64 ") at sequence %" PRIu64,
                 upstream->source, sender->hop, sender->instance, envelope->sequence);
    if (lost > 0)
        log_limited(&limit, LOG_WARN,
                    "source %s: %" PRIu64 " messages lost on the link from hop %s, before sequence %" PRIu64,
                    upstream->source, lost, sender->hop, envelope->sequence);
    if (ends)
        log_line(LOG_INFO, "source %s: hop %s (instance %016" PRIx64 ") ended at sequence %" PRIu64,
                 upstream->source, sender->hop, sender->instance, envelope->sequence);
}

void upstream_lose(struct upstream *upstream, uint64_t messages)
{
    pthread_mutex_lock(&upstream->lock);
    upstream->lost_before = capped_add(upstream->lost_before, messages);
    pthread_mutex_unlock(&upstream->lock);
}

uint64_t upstream_lost(struct upstream *upstream)
{
    pthread_mutex_lock(&upstream->lock);
    uint64_t lost = upstream->lost_before;
    for (unsigned i = 0; i < upstream->count; i++)
        lost += upstream->links[i]->sequence.lost;
    pthread_mutex_unlock(&upstream->lock);
    return lost;
}

void upstream_add_hops(struct upstream *upstream, struct envelope *envelope)
{
    pthread_mutex_lock(&upstream->lock);
    for (unsigned i = 0; i < upstream->count; i++) {
        const struct link *link = upstream->links[i];
        for (unsigned k = 0; k < link->hop_count; k++)
            envelope_add_hop(envelope, &link->hops[k]);
    }
    pthread_mutex_unlock(&upstream->lock);
}

void tally_json(struct buffer *out, const struct tally *tally)
{
    json_number(out, "received", tally->received);
    json_number(out, "delivered", tally->delivered);
    json_number(out, "dropped", tally->dropped);
    json_number(out, "filtered", tally->filtered);
    json_number(out, "rejected", tally->rejected);
    json_number(out, "malformed", tally->malformed);
    json_number(out, "failed", tally->failed);
    json_number(out, "in_flight", tally->in_flight);
}

static void instance_json(struct buffer *out, uint64_t instance)
{
    char text[17];
    snprintf(text, sizeof text, "%016" PRIx64, instance);
    json_text(out, "instance", text);
}

static const struct hop_ledger *sender_of(const struct link *link)
{
    static const struct hop_ledger unknown = {.hop = "?"};
    return link->hop_count ? &link->hops[link->hop_count - 1] : &unknown;
}

static void link_json(const struct upstream *upstream, const struct link *link, struct buffer *out)
{
    const struct sequence *s = &link->sequence;
    json_open(out, NULL, '{');
    json_text(out, "source", upstream->source);
    json_text(out, "hop", sender_of(link)->hop);
    instance_json(out, link->instance);
    json_number(out, "joined_at", s->joined_at);
    json_number(out, "next", s->next);
    json_number(out, "received", s->received);
    json_number(out, "lost", s->lost);
    json_number(out, "duplicates", s->duplicates);
    json_bool(out, "shared", link->shared);
    json_bool(out, "finished", link->finished);
    json_open(out, "path", '[');
    for (unsigned i = 0; i < link->hop_count; i++) {
        json_open(out, NULL, '{');
        json_text(out, "hop", link->hops[i].hop);
        instance_json(out, link->hops[i].instance);
        tally_json(out, &link->hops[i].tally);
        json_number(out, "lost", link->hops[i].lost);
        json_close(out, '}');
    }
    json_close(out, ']');
    json_close(out, '}');
}

void upstream_json(struct upstream *upstream, struct buffer *out)
{
    pthread_mutex_lock(&upstream->lock);
    for (unsigned i = 0; i < upstream->count; i++)
        link_json(upstream, upstream->links[i], out);
    pthread_mutex_unlock(&upstream->lock);
}

static void link_print(const struct upstream *upstream, const struct link *link, FILE *out)
{
    const struct sequence *s = &link->sequence;
    fprintf(out, "  upstream of %s: hop %s, instance %016" PRIx64 "%s\n", upstream->source,
            sender_of(link)->hop, link->instance, link->finished ? ", ended" : "");
    fprintf(out, "    link: joined at %" PRIu64 ", received %" PRIu64 ", lost %" PRIu64, s->joined_at,
            s->received, s->lost);
    if (s->duplicates)
        fprintf(out, ", twice %" PRIu64, s->duplicates);
    fprintf(out, "%s\n", link->shared ? " (shared with other receivers: gaps are not judged)" : "");
    for (unsigned i = 0; i < link->hop_count; i++) {
        const struct hop_ledger *h = &link->hops[i];
        fprintf(out,
                "    hop %-12s received %" PRIu64 " = delivered %" PRIu64 " + dropped %" PRIu64
                " + filtered %" PRIu64,
                h->hop, h->tally.received, h->tally.delivered, h->tally.dropped, h->tally.filtered);
        if (h->tally.rejected)
            fprintf(out, " + rejected %" PRIu64, h->tally.rejected);
        fprintf(out, " + malformed %" PRIu64 " + failed %" PRIu64 " + in flight %" PRIu64 "; lost before it %" PRIu64 "\n",
                h->tally.malformed, h->tally.failed, h->tally.in_flight, h->lost);
    }
}

void upstream_print(struct upstream *upstream, FILE *out)
{
    pthread_mutex_lock(&upstream->lock);
    for (unsigned i = 0; i < upstream->count; i++)
        link_print(upstream, upstream->links[i], out);
    pthread_mutex_unlock(&upstream->lock);
}

void upstream_visit(struct upstream *upstream,
                    void (*visit)(void *arg, const struct link_view *link), void *arg)
{
    pthread_mutex_lock(&upstream->lock);
    for (unsigned i = 0; i < upstream->count; i++) {
        const struct link *link = upstream->links[i];
        const struct link_view view = {
            .source = upstream->source,
            .hop = sender_of(link)->hop,
            .instance = link->instance,
            .sequence = &link->sequence,
            .shared = link->shared,
            .finished = link->finished,
            .hops = link->hops,
            .hop_count = link->hop_count,
        };
        visit(arg, &view);
    }
    pthread_mutex_unlock(&upstream->lock);
}
