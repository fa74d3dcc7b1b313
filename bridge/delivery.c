#include "delivery.h"

#include <stdlib.h>

#include "clock.h"
#include "encode/encoder.h"
#include "gather.h"
#include "hex.h"
#include "log.h"
#include "scan/event.h"

enum {
    CHUNK_RECORDS = 1024,     /* records, or */
    CHUNK_OCTETS = 64 * 1024, /* octets, after which encoded records are written */
    SHOWN_OCTETS = 16,        /* of a message that cannot be decoded */
};

struct delivery {
    const struct sink_ops *ops;
    struct sink *sink;
    const struct encoder_ops *encoder_ops; /* NULL: messages go as they are */
    struct encoder *encoder;
    struct gather *gather; /* of an encoder that makes records of many messages; else NULL */
    bool no_events;        /* they are taken out of format=dnstap */
    const _Atomic bool *interrupted;
    const char *url; /* the sink's */
    struct buffer records;
    uint32_t ends[CHUNK_RECORDS];
    struct frame origins[CHUNK_RECORDS];
};

struct delivery *delivery_new(const struct endpoint *endpoint, const _Atomic bool *interrupted,
                              struct error *error)
{
    struct delivery *d = calloc(1, sizeof *d);
    if (!d) {
        error_set(error, "out of memory");
        return NULL;
    }
    d->ops = endpoint->adapter->sink;
    d->interrupted = interrupted;
    d->url = endpoint->url;
    d->encoder_ops = encoder_find(options_string(&endpoint->options, "format"));
    d->no_events = !options_flag(&endpoint->options, "events") &&
                   !(d->ops->knows_events && d->ops->knows_events(&endpoint->options));
    if (!d->encoder_ops)
        return d;
    d->encoder = d->encoder_ops->new (&endpoint->options, error);
    if (d->encoder && d->encoder_ops->next && !(d->gather = gather_new()))
        error_set(error, "out of memory");
    if (d->encoder && (d->gather || !d->encoder_ops->next))
        return d;
    delivery_free(d);
    return NULL;
}

void delivery_free(struct delivery *d)
{
    if (!d)
        return;
    if (d->encoder)
        d->encoder_ops->free(d->encoder);
    gather_free(d->gather);
    buffer_free(&d->records);
    free(d);
}

void delivery_connect(struct delivery *d, struct sink *sink)
{
    d->sink = sink;
}

/* The frames of a batch from `start` to `end`. */
static void write_frames(struct delivery *d, struct account *account, struct batch *batch,
                         const uint8_t *start, const uint8_t *end, uint32_t count)
{
    struct parcel parcel = {
        .batch = batch,
        .data = start,
        .len = (size_t)(end - start),
        .count = count,
        .account = account,
    };
    if (count > 0)
        d->ops->write(d->sink, &parcel);
}

/* The batch without its events: in one piece, as a rule, for it has none. */
static void write_without_events(struct delivery *d, struct account *account, struct batch *batch)
{
    const struct parcel one = {.batch = batch, .account = account};
    const uint8_t *start = batch->data;
    struct reader r = reader_over(batch->data, batch->len);
    struct frame frame;
    uint32_t count = 0;
    for (; frame_next(&r, &frame) && !atomic_load(d->interrupted); count++) {
        if (!frame_is_event(frame))
            continue;
        write_frames(d, account, batch, start, frame.data - FRAME_HEADER, count);
        parcel_settle(&one, OUTCOME_FILTERED, 1);
        start = frame.data + frame.len;
        count = UINT32_MAX; /* 0 at the next frame */
    }
    if (!atomic_load(d->interrupted))
        write_frames(d, account, batch, start, batch->data + batch->len, count);
}

static void write_chunk(struct delivery *d, struct account *account, struct batch *batch,
                        uint32_t count)
{
    struct parcel parcel = {
        .batch = batch,
        .data = d->records.data,
        .len = d->records.len,
        .ends = d->ends,
        .origins = d->origins,
        .count = count,
        .account = account,
    };
    if (count > 0)
        d->ops->write(d->sink, &parcel);
    buffer_clear(&d->records);
}

/* The encoder gives out what it held, on an account of its own. False: out of memory, it holds it
 * still. */
static bool end_window(struct delivery *d)
{
    struct account *account = gather_end(d->gather);
    uint64_t records = 0;
    uint32_t count = 0;
    const struct parcel one = {.account = account};
    while (account && d->encoder_ops->next(d->encoder, &d->records)) {
        if (d->records.failed) { /* out of memory for this record: its window has failed */
            d->records.failed = false;
            d->records.len = count > 0 ? d->ends[count - 1] : 0;
            parcel_settle(&one, OUTCOME_FAILED, 1);
            records++;
            continue;
        }
        d->origins[count] = (struct frame){0}; /* of no message alone */
        d->ends[count++] = (uint32_t)d->records.len;
        records++;
        if (count == CHUNK_RECORDS || d->records.len >= CHUNK_OCTETS) {
            write_chunk(d, account, NULL, count);
            count = 0;
        }
    }
    if (!account)
        return false;
    write_chunk(d, account, NULL, count);
    gather_written(d->gather, records);
    return true;
}

/* Once per batch: what came that cannot be decoded. */
static void say_malformed(const struct delivery *d, uint32_t malformed, struct frame first)
{
    static struct log_limit limit;
    char octets[2 * SHOWN_OCTETS + 1];
    uint32_t shown = first.len < SHOWN_OCTETS ? first.len : SHOWN_OCTETS;
    hex_write(first.data, shown, octets);
    log_limited(&limit, LOG_WARN, "sink %s: %u of the messages given to it cannot be decoded as dnstap, and are counted as malformed; "
                "the first has %u octets: %s%s", d->url, malformed, first.len, octets, first.len > shown ? "..." : "");
}

static void encode_and_write(struct delivery *d, struct account *account, struct batch *batch)
{
    struct reader r = reader_over(batch->data, batch->len);
    struct frame frame;
    const struct parcel one = {.batch = batch, .account = account};
    uint32_t count = 0, malformed = 0;
    struct frame bad = {0};
    while (frame_next(&r, &frame) && !atomic_load(d->interrupted)) {
        if (d->gather && !gather_reserve(d->gather)) {
            parcel_settle(&one, OUTCOME_FAILED, 1);
            continue;
        }
        switch (d->encoder_ops->message(d->encoder, frame, &d->records)) {
        case ENCODE_OK:
            d->origins[count] = frame;
            d->ends[count++] = (uint32_t)d->records.len;
            break;
        case ENCODE_FILTERED:
            parcel_settle(&one, OUTCOME_FILTERED, 1);
            break;
        case ENCODE_MALFORMED:
            parcel_settle(&one, OUTCOME_MALFORMED, 1);
            bad = malformed++ ? bad : frame;
            break;
        case ENCODE_FAILED:
            parcel_settle(&one, OUTCOME_FAILED, 1);
            break;
        case ENCODE_HELD:
            gather_hold(d->gather, account, batch->pledge);
            break;
        case ENCODE_FULL:
            if (end_window(d))
                r.at = frame.data - FRAME_HEADER; /* again */
            else
                parcel_settle(&one, OUTCOME_FAILED, 1);
            break;
        }
        if (count == CHUNK_RECORDS || d->records.len >= CHUNK_OCTETS) {
            write_chunk(d, account, batch, count);
            count = 0;
        }
    }
    write_chunk(d, account, batch, count);
    if (malformed > 0)
        say_malformed(d, malformed, bad);
}

void delivery_batch(struct delivery *d, struct batch *batch, struct account *account)
{
    if (atomic_load(d->interrupted))
        return;
    if (d->encoder_ops)
        encode_and_write(d, account, batch);
    else if (d->no_events)
        write_without_events(d, account, batch);
    else
        write_frames(d, account, batch, batch->data, batch->data + batch->len, batch->count);
}

int delivery_due(const struct delivery *d)
{
    int64_t due = d->gather ? d->encoder_ops->due(d->encoder) : -1;
    int64_t left = due < 0 ? -1 : due - clock_ms(CLOCK_MONOTONIC);
    if (due < 0)
        return -1;
    return left < 0 || gather_is_full(d->gather) ? 0 : left > 60000 ? 60000 : (int)left;
}

void delivery_release(struct delivery *d, bool all)
{
    int due = delivery_due(d);
    if (due == 0 || (all && due > 0))
        end_window(d);
    delivery_settle(d);
}

void delivery_settle(struct delivery *d)
{
    if (d->gather)
        gather_settle(d->gather);
}
