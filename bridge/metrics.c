#include "metrics.h"

#include <inttypes.h>
#include <stdio.h>

#include "json_string.h"
#include "log.h"

enum family {
    BUILD_INFO,
    START_TIME,
    LOG_DROPPED,
    RECEIVED,
    DELIVERED,
    DROPPED,
    FILTERED,
    REJECTED,
    MALFORMED,
    FAILED,
    IN_FLIGHT,
    RING,
    RING_CAPACITY,
    BATCH_MESSAGES,
    MESSAGE_AGE,
    CONNECTIONS,
    TURNED_AWAY,
    LOST,
    LINK_RECEIVED,
    LINK_LOST,
    LINK_DUPLICATES,
    LINK_SHARED,
    LINK_FINISHED,
    UPSTREAM_RECEIVED,
    UPSTREAM_DELIVERED,
    UPSTREAM_DROPPED,
    UPSTREAM_FILTERED,
    UPSTREAM_REJECTED,
    UPSTREAM_MALFORMED,
    UPSTREAM_FAILED,
    UPSTREAM_IN_FLIGHT,
    UPSTREAM_LOST,
    FAMILIES
};

/* What may be taken back, as losses that a late batch fills, is a gauge. */
static const struct {
    const char *name;
    const char *type;
    const char *help;
} families[FAMILIES] = {
    [BUILD_INFO] = {"build_info", "gauge", "Always 1; the labels name the version and this hop."},
    [START_TIME] = {"start_time_seconds", "gauge", "When the process started, in seconds since 1970."},
    [LOG_DROPPED] = {"log_lines_dropped_total", "counter",
                     "Lines of the log given up because standard error stood still."},
    [RECEIVED] = {"received_total", "counter", "Messages that arrived whole at the source, for this sink."},
    [DELIVERED] = {"delivered_total", "counter", "Messages that the sink's peer took."},
    [DROPPED] = {"dropped_total", "counter", "Messages that a full ring refused: front loss."},
    [FILTERED] = {"filtered_total", "counter", "Messages that a policy took out on purpose."},
    [REJECTED] = {"rejected_total", "counter", "Messages that a policy sent to another sink."},
    [MALFORMED] = {"malformed_total", "counter", "Messages that could not be decoded, or broke a limit."},
    [FAILED] = {"failed_total", "counter", "Messages that the sink gave up for good."},
    [IN_FLIGHT] = {"in_flight_messages", "gauge", "Messages in the ring or in the sink's hands."},
    [RING] = {"ring_bytes", "gauge", "Octets of messages in the ring in front of the sink."},
    [RING_CAPACITY] = {"ring_capacity_bytes", "gauge", "Octets that fit into the ring."},
    [BATCH_MESSAGES] = {"batch_messages", "histogram", "Messages per batch that the sink was given."},
    [MESSAGE_AGE] = {"message_age_seconds", "histogram",
                     "From a batch's first message's own time until the sink had been given the batch."},
    [CONNECTIONS] = {"source_connections", "gauge", "Senders that are connected to a listening source."},
    [TURNED_AWAY] = {"source_turned_away_total", "counter",
                     "Senders that a listening source did not let in: too many, not allowed, the wrong certificate."},
    [LOST] = {"lost_messages", "gauge",
              "Messages that never arrived, over all links of the source; a late batch takes them back."},
    [LINK_RECEIVED] = {"link_received_total", "counter", "Messages that came over the link."},
    [LINK_LOST] = {"link_lost_messages", "gauge",
                   "Messages missing on the link; a late batch takes them back."},
    [LINK_DUPLICATES] = {"link_duplicates_total", "counter", "Messages that came more than once."},
    [LINK_SHARED] = {"link_shared", "gauge", "1: the sender has several receivers, gaps are not judged."},
    [LINK_FINISHED] = {"link_finished", "gauge", "1: the sender said goodbye."},
    [UPSTREAM_RECEIVED] = {"upstream_received_total", "counter", "The hop's own ledger: received."},
    [UPSTREAM_DELIVERED] = {"upstream_delivered_total", "counter", "The hop's own ledger: delivered."},
    [UPSTREAM_DROPPED] = {"upstream_dropped_total", "counter", "The hop's own ledger: dropped."},
    [UPSTREAM_FILTERED] = {"upstream_filtered_total", "counter", "The hop's own ledger: filtered."},
    [UPSTREAM_REJECTED] = {"upstream_rejected_total", "counter", "The hop's own ledger: rejected."},
    [UPSTREAM_MALFORMED] = {"upstream_malformed_total", "counter", "The hop's own ledger: malformed."},
    [UPSTREAM_FAILED] = {"upstream_failed_total", "counter", "The hop's own ledger: failed."},
    [UPSTREAM_IN_FLIGHT] = {"upstream_in_flight_messages", "gauge", "The hop's own ledger: in flight."},
    [UPSTREAM_LOST] = {"upstream_lost_messages", "gauge", "Messages that never arrived at that hop."},
};

/* All series of a family stand together, but are read a route or link at a time, so that the numbers
 * of one belong together: each family has its own buffer. */
struct sheet {
    struct buffer series[FAMILIES];
    struct buffer labels; /* of what is being written */
};

static void put_number(struct buffer *out, uint64_t number)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%" PRIu64, number);
    buffer_put_string(out, digits);
}

static void put_seconds(struct buffer *out, uint64_t microseconds)
{
    char digits[32];
    snprintf(digits, sizeof digits, "%" PRIu64 ".%06" PRIu64, microseconds / 1000000,
             microseconds % 1000000);
    buffer_put_string(out, digits);
}

/* A label's value is UTF-8; what is not becomes U+FFFD, an octet at a time. */
static void put_escaped(struct buffer *out, const char *text)
{
    struct octets left = {(const uint8_t *)text, (uint32_t)strlen(text)};
    while (left.len > 0) {
        uint32_t character, taken = utf8_take(left, &character);
        if (*left.data == '\n')
            buffer_put_string(out, "\\n");
        else if (taken == 0)
            buffer_put_string(out, "\xef\xbf\xbd");
        else {
            if (*left.data == '"' || *left.data == '\\')
                buffer_put_char(out, '\\');
            buffer_put(out, left.data, taken);
        }
        taken = taken ? taken : 1;
        left = (struct octets){left.data + taken, left.len - taken};
    }
}

static void open_label(struct sheet *sheet, const char *name)
{
    if (sheet->labels.len > 0)
        buffer_put_char(&sheet->labels, ',');
    buffer_put_string(&sheet->labels, name);
    buffer_put_string(&sheet->labels, "=\"");
}

static void put_label(struct sheet *sheet, const char *name, const char *value)
{
    open_label(sheet, name);
    put_escaped(&sheet->labels, value);
    buffer_put_char(&sheet->labels, '"');
}

static void put_instance_label(struct sheet *sheet, const char *name, uint64_t instance)
{
    char text[17];
    snprintf(text, sizeof text, "%016" PRIx64, instance);
    put_label(sheet, name, text);
}

/* A '#' cannot stand in a URL here, for options follow it: it tells twins apart. */
static void put_named_label(struct sheet *sheet, const char *name, const struct named *named)
{
    open_label(sheet, name);
    put_escaped(&sheet->labels, named->url);
    if (named->nth > 1) {
        buffer_put_char(&sheet->labels, '#');
        put_number(&sheet->labels, named->nth);
    }
    buffer_put_char(&sheet->labels, '"');
}

/* NAME{LABELS and `bound`, if any} and a space; the number and the line's end are the caller's. */
static struct buffer *begin_line(struct sheet *sheet, enum family family, const char *suffix)
{
    struct buffer *out = &sheet->series[family];
    buffer_put_string(out, "dnstap_bridge_");
    buffer_put_string(out, families[family].name);
    buffer_put_string(out, suffix);
    buffer_put_char(out, '{');
    buffer_put(out, sheet->labels.data, sheet->labels.len);
    return out;
}

static void put_series(struct sheet *sheet, enum family family, uint64_t number)
{
    struct buffer *out = begin_line(sheet, family, "");
    buffer_put_string(out, "} ");
    put_number(out, number);
    buffer_put_char(out, '\n');
}

/* One without labels. */
static void put_plain(struct sheet *sheet, enum family family, uint64_t number)
{
    struct buffer *out = &sheet->series[family];
    buffer_put_string(out, "dnstap_bridge_");
    buffer_put_string(out, families[family].name);
    buffer_put_char(out, ' ');
    put_number(out, number);
    buffer_put_char(out, '\n');
}

static void put_histogram(struct sheet *sheet, enum family family, const struct histogram *histogram,
                          const struct histogram_bounds *bounds,
                          void (*put)(struct buffer *out, uint64_t value))
{
    struct histogram_reading reading = histogram_read(histogram, bounds);
    for (unsigned i = 0; i <= bounds->count; i++) {
        struct buffer *out = begin_line(sheet, family, "_bucket");
        buffer_put_string(out, ",le=\"");
        if (i < bounds->count)
            put(out, bounds->upper[i]);
        else
            buffer_put_string(out, "+Inf");
        buffer_put_string(out, "\"} ");
        put_number(out, i < bounds->count ? reading.up_to[i] : reading.count);
        buffer_put_char(out, '\n');
    }
    struct buffer *out = begin_line(sheet, family, "_sum");
    buffer_put_string(out, "} ");
    put(out, reading.sum);
    buffer_put_char(out, '\n');
    out = begin_line(sheet, family, "_count");
    buffer_put_string(out, "} ");
    put_number(out, reading.count);
    buffer_put_char(out, '\n');
}

static void put_route(struct sheet *sheet, const struct route_copy *route)
{
    const struct tally *t = &route->tally;
    buffer_clear(&sheet->labels);
    put_named_label(sheet, "source", &route->source);
    put_named_label(sheet, "sink", &route->sink);
    put_series(sheet, RECEIVED, t->received);
    put_series(sheet, DELIVERED, t->delivered);
    put_series(sheet, DROPPED, t->dropped);
    put_series(sheet, FILTERED, t->filtered);
    put_series(sheet, REJECTED, t->rejected);
    put_series(sheet, MALFORMED, t->malformed);
    put_series(sheet, FAILED, t->failed);
    put_series(sheet, IN_FLIGHT, t->in_flight);
    put_series(sheet, RING, route->ring);
    put_series(sheet, RING_CAPACITY, route->ring_capacity);
    put_histogram(sheet, BATCH_MESSAGES, &route->pace.sizes, &pace_sizes, put_number);
    put_histogram(sheet, MESSAGE_AGE, &route->pace.ages, &pace_ages, put_seconds);
}

static void put_source(struct sheet *sheet, const struct source_copy *source)
{
    buffer_clear(&sheet->labels);
    put_named_label(sheet, "source", &source->name);
    put_series(sheet, LOST, source->lost);
    if (source->knows_connections)
        put_series(sheet, CONNECTIONS, source->connections);
    if (source->knows_turned_away)
        put_series(sheet, TURNED_AWAY, source->turned_away);
}

static void put_upstream_hop(struct sheet *sheet, const struct hop_ledger *hop)
{
    const struct tally *t = &hop->tally;
    put_label(sheet, "hop", hop->hop);
    put_instance_label(sheet, "instance_id", hop->instance);
    put_series(sheet, UPSTREAM_RECEIVED, t->received);
    put_series(sheet, UPSTREAM_DELIVERED, t->delivered);
    put_series(sheet, UPSTREAM_DROPPED, t->dropped);
    put_series(sheet, UPSTREAM_FILTERED, t->filtered);
    put_series(sheet, UPSTREAM_REJECTED, t->rejected);
    put_series(sheet, UPSTREAM_MALFORMED, t->malformed);
    put_series(sheet, UPSTREAM_FAILED, t->failed);
    put_series(sheet, UPSTREAM_IN_FLIGHT, t->in_flight);
    put_series(sheet, UPSTREAM_LOST, hop->lost);
}

static void put_link_hop(struct sheet *sheet, const struct named *source, const struct link_copy *link,
                         const struct hop_ledger *hop)
{
    buffer_clear(&sheet->labels);
    put_named_label(sheet, "source", source);
    put_instance_label(sheet, "link", link->sender.instance);
    put_upstream_hop(sheet, hop);
}

static void put_link(struct sheet *sheet, const struct named *source, const struct link_copy *link)
{
    buffer_clear(&sheet->labels);
    put_named_label(sheet, "source", source);
    put_label(sheet, "hop", link->sender.hop);
    put_instance_label(sheet, "instance_id", link->sender.instance);
    put_series(sheet, LINK_RECEIVED, link->received);
    put_series(sheet, LINK_LOST, link->lost);
    put_series(sheet, LINK_DUPLICATES, link->duplicates);
    put_series(sheet, LINK_SHARED, link->shared);
    put_series(sheet, LINK_FINISHED, link->finished);
    for (unsigned i = 0; i < link->hop_count; i++)
        put_link_hop(sheet, source, link, &link->hops[i]);
    put_link_hop(sheet, source, link, &link->sender);
}

static void put_process(struct sheet *sheet, const char *hop_name, uint64_t started)
{
    put_label(sheet, "version", VERSION);
    put_label(sheet, "hop", hop_name);
    put_series(sheet, BUILD_INFO, 1);
    buffer_clear(&sheet->labels);
    put_plain(sheet, LOG_DROPPED, log_lines_dropped());
    struct buffer *out = &sheet->series[START_TIME];
    buffer_put_string(out, "dnstap_bridge_start_time_seconds ");
    put_seconds(out, started);
    buffer_put_char(out, '\n');
}

static void put_family(enum family family, const struct buffer *series, struct buffer *out)
{
    const char *lines[] = {"HELP", families[family].help, "TYPE", families[family].type};
    if (series->len == 0)
        return;
    for (int i = 0; i < 4; i += 2) {
        buffer_put_string(out, "# ");
        buffer_put_string(out, lines[i]);
        buffer_put_string(out, " dnstap_bridge_");
        buffer_put_string(out, families[family].name);
        buffer_put_char(out, ' ');
        buffer_put_string(out, lines[i + 1]);
        buffer_put_char(out, '\n');
    }
    buffer_put(out, series->data, series->len);
}

void metrics_write(const struct ledger_copy *ledger, uint64_t started, struct buffer *out)
{
    struct sheet sheet = {0};
    put_process(&sheet, ledger->hop, started);
    for (unsigned i = 0; i < ledger->route_count; i++)
        put_route(&sheet, &ledger->routes[i]);
    for (unsigned i = 0; i < ledger->source_count; i++) {
        const struct source_copy *source = &ledger->sources[i];
        put_source(&sheet, source);
        for (unsigned k = 0; k < source->link_count; k++)
            put_link(&sheet, &source->name, &source->links[k]);
    }
    out->failed = out->failed || ledger->failed || sheet.labels.failed;
    for (int i = 0; i < FAMILIES; i++) {
        put_family((enum family)i, &sheet.series[i], out);
        out->failed = out->failed || sheet.series[i].failed;
        buffer_free(&sheet.series[i]);
    }
    buffer_free(&sheet.labels);
}
