#include "receipt/sender.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "json.h"
#include "receipt/interval.h"

struct receipt_sender {
    const struct sink_host *host;
    const char *topic;
    struct receipt_file *file;
    int64_t every_ms;
    int64_t began; /* the open interval, by the monotonic clock */
    bool stamped;  /* one is open: some batch bears its number */
    char link[LINK_NAME_MAX];
    struct interval interval;
    struct buffer fields;
};

bool receipt_sender_open(struct receipt_sender **sender, const struct place *place,
                         const struct sink_host *host, const char *topic, struct error *error)
{
    *sender = NULL;
    if (!receipt_wanted(place->options))
        return true;
    struct receipt_sender *s = calloc(1, sizeof *s);
    if (!s || !interval_init(&s->interval)) {
        free(s);
        return error_set(error, "out of memory for receipts");
    }
    s->host = host;
    s->topic = topic;
    s->every_ms = (int64_t)options_number(place->options, "receipts-every");
    s->file = receipt_open_file(place, true, error);
    if (!s->file) {
        receipt_sender_free(s);
        return false;
    }
    *sender = s;
    return true;
}

static void write_line(struct receipt_sender *s, const char *closed)
{
    receipt_fields_begin(&s->fields, "interval", true);
    json_text(&s->fields, "link", s->link);
    json_text(&s->fields, "closed", closed);
    interval_write(&s->interval, &s->fields);
    receipt_file_put(s->file, &s->fields);
}

static void close_interval(struct receipt_sender *s, const char *why)
{
    s->stamped = false;
    if (interval_is_empty(&s->interval) && s->interval.part == 0)
        return; /* its number is still to be had */
    write_line(s, why);
    interval_begin(&s->interval, s->interval.number + 1, 0);
}

static const char *policy_of(const struct receipt_sender *s)
{
    const char *policy = s->host->policy ? s->host->policy(s->host->arg) : NULL;
    return policy ? policy : "none";
}

/* Why the open interval cannot take the next batch; NULL: it can. */
static const char *reason_to_cut(const struct receipt_sender *s, const struct postmark *postmark,
                                 int64_t now)
{
    if (now - s->began >= s->every_ms)
        return "time";
    if (postmark->epoch != s->interval.epoch)
        return "epoch";
    return strcmp(s->interval.policy, policy_of(s)) != 0 ? "policy" : NULL;
}

static void begin_interval(struct receipt_sender *s, const struct postmark *postmark, int64_t now)
{
    s->stamped = true;
    s->began = now;
    s->interval.shared = postmark->shared;
    s->interval.epoch = postmark->epoch;
    snprintf(s->interval.policy, sizeof s->interval.policy, "%s", policy_of(s));
    if (!s->link[0])
        snprintf(s->link, sizeof s->link, "%s:%016" PRIx64 ":%s", s->host->hop, postmark->instance,
                 s->topic);
}

void receipt_sender_stamp(struct receipt_sender *s, struct postmark *postmark)
{
    if (!s)
        return;
    int64_t now = clock_ms(CLOCK_MONOTONIC);
    const char *why = s->stamped ? reason_to_cut(s, postmark, now) : NULL;
    if (why)
        close_interval(s, why);
    if (!s->stamped)
        begin_interval(s, postmark, now);
    postmark->has_interval = true;
    postmark->interval = s->interval.number;
    postmark->has_policy = hex_read(s->interval.policy, postmark->policy, SHA256_OCTETS);
}

void receipt_sender_note(struct receipt_sender *s, uint64_t first, uint32_t count,
                         const uint8_t *data, size_t len)
{
    if (!s)
        return;
    int64_t now = clock_ms(CLOCK_REALTIME);
    const uint8_t *end = data + len;
    for (;;) {
        uint32_t taken = interval_add(&s->interval, first, count, &data, end, now);
        if (taken == count)
            return;
        write_line(s, "full");
        interval_begin(&s->interval, s->interval.number, s->interval.part + 1);
        first += taken;
        count -= taken;
    }
}

int receipt_sender_idle(struct receipt_sender *s)
{
    if (!s || !s->stamped)
        return -1;
    int64_t left = s->began + s->every_ms - clock_ms(CLOCK_MONOTONIC);
    if (left > 0)
        return (int)left;
    close_interval(s, "time");
    return -1;
}

void receipt_sender_end(struct receipt_sender *s)
{
    if (s)
        close_interval(s, "end");
}

void receipt_sender_free(struct receipt_sender *s)
{
    if (!s)
        return;
    if (s->file)
        receipt_sender_end(s);
    receipt_file_close(s->file);
    interval_free(&s->interval);
    buffer_free(&s->fields);
    free(s);
}

uint64_t receipt_sender_memory(const struct options *options)
{
    return receipt_wanted(options)
               ? sizeof(struct receipt_sender) + RECEIPT_QUEUE_SENDER + 4 * RECEIPT_LINE_MAX
               : 0;
}
