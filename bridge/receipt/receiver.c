#include "receipt/receiver.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "json.h"
#include "log.h"
#include "receipt/interval.h"
#include "sequence.h"

/* Numbers from which none of ours come: beyond, a file of receipts could not be read by everyone.
 */
#define NUMBER_LIMIT ((uint64_t)1 << 62)

/* A partner decides when lines end, and each is signed and brought to the disk: so many at once, and a second, of a link and of
 * the whole source. An honest one needs ten a second at the most, with receipts-every=100ms. */
enum { LINK_BURST = 256, LINK_RATE = 16, SOURCE_BURST = 4096, SOURCE_RATE = 256 };

struct allowance {
    int64_t since; /* ms, when `lines` was reckoned; 0: never yet */
    uint64_t lines;
};

static bool allowance_take(struct allowance *a, uint64_t burst, uint64_t rate, int64_t now)
{
    uint64_t earned = a->since == 0 ? burst : (uint64_t)(now - a->since) * rate / 1000;
    if (earned > 0) {
        a->lines = a->lines + earned < burst ? a->lines + earned : burst;
        a->since = now;
    }
    if (a->lines == 0)
        return false;
    a->lines--;
    return true;
}

struct link {
    uint64_t instance;
    char name[LINK_NAME_MAX];
    struct sequence sequence;
    struct interval interval;
    bool changed;  /* since its line was written, or there is none */
    bool numbered; /* by the sender; else by us */
    int64_t began; /* of the interval, by the monotonic clock */
    int64_t heard; /* the last batch */
    struct allowance allowance;
};

struct receipt_receiver {
    const char *url;
    struct receipt_file *file;
    int64_t every_ms;
    int64_t due; /* before this no link has been silent for long; -1: none is open */
    struct link *links[RECEIPT_LINKS];
    unsigned count;
    struct allowance allowance;
    struct buffer fields;
};

bool receipt_receiver_open(struct receipt_receiver **receiver, const struct place *place,
                           struct error *error)
{
    *receiver = NULL;
    if (!receipt_wanted(place->options))
        return true;
    struct receipt_receiver *r = calloc(1, sizeof *r);
    if (!r)
        return error_set(error, "out of memory for receipts");
    r->url = place->url;
    r->due = -1;
    r->every_ms = (int64_t)options_number(place->options, "receipts-every");
    r->file = receipt_open_file(place, false, error);
    if (!r->file) {
        free(r);
        return false;
    }
    *receiver = r;
    return true;
}

/* May a line end because the partner says so? */
static bool may_end_line(struct receipt_receiver *r, struct link *link, int64_t now)
{
    static struct log_limit limit;
    if (!link->changed || (allowance_take(&link->allowance, LINK_BURST, LINK_RATE, now) &&
                           allowance_take(&r->allowance, SOURCE_BURST, SOURCE_RATE, now)))
        return true;
    log_limited(&limit, LOG_WARN,
                "source %s: the sender of %s ends more than %d lines of receipts a second: what comes "
                "meanwhile gets no receipt",
                r->url, link->name, LINK_RATE);
    return false;
}

static void write_line(struct receipt_receiver *r, struct link *link, const char *closed)
{
    if (!link->changed)
        return;
    link->changed = false;
    receipt_fields_begin(&r->fields, "interval", false);
    json_text(&r->fields, "link", link->name);
    json_text(&r->fields, "closed", closed);
    json_text(&r->fields, "numbered", link->numbered ? "sender" : "receiver");
    interval_write(&link->interval, &r->fields);
    receipt_file_put(r->file, &r->fields);
}

static void close_link(struct receipt_receiver *r, unsigned i, const char *why)
{
    struct link *link = r->links[i];
    write_line(r, link, why);
    interval_free(&link->interval);
    free(link);
    r->links[i] = r->links[--r->count];
}

static void make_room(struct receipt_receiver *r)
{
    unsigned quietest = 0;
    for (unsigned i = 1; i < r->count; i++) {
        if (r->links[i]->heard < r->links[quietest]->heard)
            quietest = i;
    }
    close_link(r, quietest, "silence");
}

static struct link *add_link(struct receipt_receiver *r, uint64_t instance, const char *name)
{
    static struct log_limit limit;
    if (!allowance_take(&r->allowance, SOURCE_BURST, SOURCE_RATE, clock_ms(CLOCK_MONOTONIC))) {
        log_limited(&limit, LOG_WARN, "source %s: more than %d links a second begin: %s gets no receipt", r->url, SOURCE_RATE, name);
        return NULL;
    }
    if (r->count == RECEIPT_LINKS)
        make_room(r);
    struct link *link = calloc(1, sizeof *link);
    if (!link || !interval_init(&link->interval)) {
        free(link);
        log_limited(&limit, LOG_ERROR, "source %s: out of memory for the receipts of %s", r->url,
                    name);
        return NULL;
    }
    link->instance = instance;
    snprintf(link->name, sizeof link->name, "%s", name);
    r->links[r->count++] = link;
    return link;
}

static struct link *link_of(struct receipt_receiver *r, const struct envelope *e, const char *topic)
{
    const struct hop_ledger *sender = &e->path[e->hops - 1];
    char name[LINK_NAME_MAX];
    snprintf(name, sizeof name, "%s:%016" PRIx64 ":%s", sender->hop, sender->instance, topic);
    for (unsigned i = 0; i < r->count; i++) {
        if (r->links[i]->instance == sender->instance && strcmp(r->links[i]->name, name) == 0)
            return r->links[i];
    }
    return add_link(r, sender->instance, name);
}

/* Where the sender does not number its intervals, we do, by our own clock. */
static uint64_t number_of(const struct receipt_receiver *r, const struct link *link,
                          const struct envelope *e, int64_t now)
{
    if (e->has_interval)
        return e->interval;
    bool begun = link->interval.policy[0] != '\0';
    return link->interval.number + (begun && now - link->began >= r->every_ms);
}

static void read_policy(const struct envelope *e, char out[SHA256_HEX + 1])
{
    if (e->has_policy)
        hex_write(e->policy, POLICY_OCTETS, out);
    else
        snprintf(out, SHA256_HEX + 1, "none");
}

/* The line of the interval before is written, and the one of this batch begins. False: it may not end yet. */
static bool turn_to(struct receipt_receiver *r, struct link *link, const struct envelope *e,
                    int64_t now)
{
    struct interval *it = &link->interval;
    char policy[SHA256_HEX + 1];
    uint64_t number = number_of(r, link, e, now);
    read_policy(e, policy);
    /* what is late goes into the line that is open, if it says the same of it */
    bool begun = it->policy[0] != '\0';
    if (begun && number <= it->number && it->shared == e->shared && it->epoch == e->epoch &&
        strcmp(it->policy, policy) == 0)
        return true;
    if (!may_end_line(r, link, now))
        return false;
    write_line(r, link, "next");
    interval_begin(it, number, begun && it->number == number ? it->part + 1 : 0);
    it->shared = e->shared;
    it->epoch = e->epoch;
    memcpy(it->policy, policy, sizeof policy);
    link->numbered = e->has_interval;
    link->began = now;
    return true;
}

/* The frames of messages first .. first+count-1 into the account. */
static void add(struct receipt_receiver *r, struct link *link, uint64_t first, uint32_t count,
                const uint8_t *data, const uint8_t *end)
{
    struct interval *it = &link->interval;
    int64_t now = clock_ms(CLOCK_REALTIME);
    while (count > 0) {
        uint32_t taken = interval_add(it, first, count, &data, end, now);
        link->changed = true;
        first += taken;
        count -= taken;
        if (count == 0)
            return;
        write_line(r, link, "full");
        interval_begin(it, it->number, it->part + 1);
    }
}

/* Behind `count` frames. */
static const uint8_t *skip(const uint8_t *data, const uint8_t *end, uint64_t count)
{
    struct reader r = reader_over(data, (size_t)(end - data));
    struct frame frame;
    while (count > 0 && frame_next(&r, &frame))
        count--;
    return r.at;
}

struct arrival {
    uint64_t first;
    uint32_t count;
    const uint8_t *data, *end; /* NULL: refused */
};

/* The part of a batch with numbers from <= number < to, which had not come before. */
static void take(struct receipt_receiver *r, struct link *link, const struct arrival *a,
                 uint64_t from, uint64_t to)
{
    if (to <= from)
        return;
    gaps_fill(&link->interval.missing, from, to);
    link->changed = true;
    if (!a->data) {
        gaps_add(&link->interval.refused, (struct gap){.from = from, .to = to});
        return;
    }
    const uint8_t *start = skip(a->data, a->end, from - a->first);
    uint64_t behind = a->first + a->count - to;
    add(r, link, from, (uint32_t)(to - from), start,
        behind ? skip(start, a->end, to - from) : a->end);
}

/* What is late fills holes; what is not in one came before. `before`: the sequence before this
 * arrival. */
static void take_late(struct receipt_receiver *r, struct link *link, const struct arrival *a,
                      const struct sequence *before)
{
    uint64_t end = a->first + a->count;
    for (unsigned i = 0; i < before->gaps.count; i++) {
        const struct gap *gap = &before->gaps.at[i];
        uint64_t from = gap->from > a->first ? gap->from : a->first;
        take(r, link, a, from, gap->to < end ? gap->to : end);
    }
    if (a->first < before->joined_at)
        take(r, link, a, a->first, before->joined_at < end ? before->joined_at : end);
    take(r, link, a, before->next, end);
}

static void judge(struct receipt_receiver *r, struct link *link, const struct envelope *e,
                  const struct arrival *a)
{
    struct sequence *s = &link->sequence;
    bool follows = s->joined && !e->shared && s->epoch == e->epoch;
    bool late = follows && a->count > 0 && a->first < s->next;
    const struct sequence before = late ? *s : (struct sequence){.next = 0};
    uint64_t duplicates = s->duplicates;
    uint64_t lost = sequence_note(s, e->sequence, e->count, e->shared, e->epoch);
    if (lost > 0)
        gaps_add(&link->interval.missing, (struct gap){.from = a->first - lost, .to = a->first});
    link->interval.duplicates += s->duplicates - duplicates;
    link->changed = link->changed || lost > 0 || s->duplicates > duplicates;
    if (late)
        take_late(r, link, a, &before);
    else
        take(r, link, a, a->first, a->first + a->count);
}

/* It came, but gets no receipt: it is neither missing nor in a block. */
static void pass_over(struct link *link, const struct envelope *e)
{
    uint64_t lost = sequence_note(&link->sequence, e->sequence, e->count, e->shared, e->epoch);
    if (lost > 0)
        gaps_add(&link->interval.missing, (struct gap){.from = e->sequence - lost, .to = e->sequence});
    link->changed = link->changed || lost > 0;
    gaps_fill(&link->interval.missing, e->sequence, e->sequence + e->count);
}

/* Did all of it come before? Then it ends no interval, of whichever one it is. */
static bool is_repeated(const struct sequence *s, const struct envelope *e)
{
    uint64_t end = e->sequence + e->count;
    if (!s->joined || e->shared || e->epoch != s->epoch || e->count == 0 ||
        e->sequence < s->joined_at || end > s->next)
        return false;
    for (unsigned i = 0; i < s->gaps.count; i++) {
        if (s->gaps.at[i].from < end && e->sequence < s->gaps.at[i].to)
            return false;
    }
    return true;
}

static void note_time(struct receipt_receiver *r, struct link *link, int64_t now)
{
    link->heard = now;
    if (r->due < 0)
        r->due = now + r->every_ms;
    if (now >= r->due)
        receipt_receiver_idle(r);
}

void receipt_receiver_note(struct receipt_receiver *r, const struct envelope *e, const char *topic,
                           const uint8_t *data, size_t len)
{
    static struct log_limit limit;
    if (!r)
        return;
    if (e->sequence >= NUMBER_LIMIT || e->interval >= NUMBER_LIMIT) {
        log_limited(&limit, LOG_WARN,
                    "source %s: a batch numbered beyond all bounds gets no receipt", r->url);
        return;
    }
    struct link *link = link_of(r, e, topic);
    if (!link)
        return;
    int64_t now = clock_ms(CLOCK_MONOTONIC);
    const struct arrival arrival = {
        .first = e->sequence, .count = e->count, .data = data, .end = data ? data + len : NULL};
    if (is_repeated(&link->sequence, e) || turn_to(r, link, e, now))
        judge(r, link, e, &arrival);
    else
        pass_over(link, e);
    if (e->final && may_end_line(r, link, now))
        write_line(r, link, "end");
    note_time(r, link, now);
}

/* A sender that is silent for an interval has closed its own: its line is written. If something of
 * the interval comes after all, there will be another, with all of it. */
int receipt_receiver_idle(struct receipt_receiver *r)
{
    if (!r || r->due < 0)
        return -1;
    int64_t now = clock_ms(CLOCK_MONOTONIC);
    if (now >= r->due) {
        r->due = -1;
        for (unsigned i = 0; i < r->count; i++) {
            struct link *link = r->links[i];
            int64_t due = link->heard + r->every_ms;
            if (link->changed && now >= due)
                write_line(r, link, "silence");
            if (link->changed && (r->due < 0 || due < r->due))
                r->due = due;
        }
    }
    if (r->due < 0)
        return -1;
    return r->due > now ? (int)(r->due - now) : 0;
}

void receipt_receiver_end(struct receipt_receiver *r)
{
    while (r && r->count > 0)
        close_link(r, 0, "stop");
}

void receipt_receiver_free(struct receipt_receiver *r)
{
    if (!r)
        return;
    receipt_receiver_end(r);
    receipt_file_close(r->file);
    buffer_free(&r->fields);
    free(r);
}

uint64_t receipt_receiver_memory(const struct options *options)
{
    if (!receipt_wanted(options))
        return 0;
    return sizeof(struct receipt_receiver) + RECEIPT_LINKS * (sizeof(struct link) + 1024) +
           RECEIPT_QUEUE_RECEIVER + 4 * RECEIPT_LINE_MAX;
}
