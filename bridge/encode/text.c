/* format=text: one line per message, octet for octet what `dnstap -q` prints of it.
 *
 *     15:04:05.000000 CQ 127.0.0.1 UDP 39b "example.com." IN A
 *
 * The time is local time: that of the query, or of the response. */
#include "encoder.h"

#include <stdlib.h>
#include <time.h>

#include "../scan/dns_check.h"
#include "../scan/dns_type.h"
#include "../scan/dnstap.h"
#include "../scan/event.h"
#include "event_names.h"
#include "kept.h"
#include "put.h"

enum { CLOCK_LEN = 8 }; /* hh:mm:ss */

struct encoder {
    uint64_t second; /* that `clock` shows, if `clock_set` */
    bool clock_set;
    char clock[CLOCK_LEN];
    struct kept kinds[KEPT_SLOTS]; /* class and type of a question */
};

/* Message types that have a line of their own. Stub messages are among those that have none. */
struct line {
    char mnemonic[3];
    bool query;         /* shows the query, and its time */
    bool query_address; /* shows the query's address, not the response's */
};

static const struct line lines[] = {
    [DNSTAP_AUTH_QUERY] = {"AQ", true, true},
    [DNSTAP_AUTH_RESPONSE] = {"AR", false, true},
    [DNSTAP_RESOLVER_QUERY] = {"RQ", true, false},
    [DNSTAP_RESOLVER_RESPONSE] = {"RR", false, false},
    [DNSTAP_CLIENT_QUERY] = {"CQ", true, true},
    [DNSTAP_CLIENT_RESPONSE] = {"CR", false, true},
    [DNSTAP_FORWARDER_QUERY] = {"FQ", true, false},
    [DNSTAP_FORWARDER_RESPONSE] = {"FR", false, false},
    [DNSTAP_TOOL_QUERY] = {"TQ", true, false},
    [DNSTAP_TOOL_RESPONSE] = {"TR", false, false},
    [DNSTAP_UPDATE_QUERY] = {"UQ", true, false},
    [DNSTAP_UPDATE_RESPONSE] = {"UR", false, false},
};

/* What `dnstap -q` calls the protocols; it writes the newer ones as numbers. */
static const char *const protocols[] = {[1] = "UDP", [2] = "TCP", [3] = "DOT", [4] = "DOH"};

static struct encoder *text_new(const struct options *options, struct error *error)
{
    (void)options;
    struct encoder *encoder = calloc(1, sizeof *encoder);
    if (!encoder)
        error_set(error, "out of memory for the encoder");
    return encoder;
}

static void text_free(struct encoder *encoder)
{
    free(encoder);
}

/* The offset of local time at a second. Where the C library refuses, which it does some billions of
 * years from now, the offset of the end of the year 9999 or of the year 1 is as good as any. */
static int64_t local_offset(int64_t second)
{
    const time_t last = 253402300799;
    const time_t first = -62135596800;
    struct tm tm = {0};
    time_t time = (time_t)second;

    if (!localtime_r(&time, &tm)) {
        time = second < 0 ? first : last;
        localtime_r(&time, &tm);
    }
    return tm.tm_gmtoff;
}

/* Sets the clock to a second. The arithmetic wraps at 64 bits from the same year on as Go's. */
static void set_clock(struct encoder *encoder, uint64_t second)
{
    const uint64_t year_zero = 9223372028715321600u; /* seconds before 1970; whole days */
    uint64_t local = second + (uint64_t)local_offset((int64_t)second) + year_zero;
    unsigned of_day = (unsigned)(local % 86400);
    unsigned parts[3] = {of_day / 3600, of_day / 60 % 60, of_day % 60};

    for (int i = 0; i < 3; i++) {
        encoder->clock[3 * i] = (char)('0' + parts[i] / 10);
        encoder->clock[3 * i + 1] = (char)('0' + parts[i] % 10);
    }
    encoder->clock[2] = encoder->clock[5] = ':';
    encoder->second = second;
    encoder->clock_set = true;
}

static void put_time(struct encoder *encoder, const uint64_t *second, const uint32_t *nanosecond,
                     struct buffer *out)
{
    if (second && (!encoder->clock_set || encoder->second != *second))
        set_clock(encoder, *second);
    uint8_t *to = buffer_room(out, CLOCK_LEN + 1 + WRITE_UNSIGNED_MAX);
    if (!to)
        return;
    memcpy(to, second ? encoder->clock : "\?\?:\?\?:\?\?", CLOCK_LEN);
    to += CLOCK_LEN;
    *to++ = '.';
    if (!nanosecond)
        to = (uint8_t *)mempcpy(to, "??????", 6);
    else if (*nanosecond < 1000000000)
        to = write_six(to, *nanosecond / 1000);
    else
        to = write_unsigned(to, *nanosecond / 1000); /* no fraction of a second: all digits it has */
    buffer_grow_to(out, to);
}

static void put_message_time(struct encoder *encoder, const struct dnstap_view *view, bool query,
                             struct buffer *out)
{
    bool sec = dnstap_has(view, query ? DNSTAP_HAS_QUERY_TIME_SEC : DNSTAP_HAS_RESPONSE_TIME_SEC);
    bool nsec =
        dnstap_has(view, query ? DNSTAP_HAS_QUERY_TIME_NSEC : DNSTAP_HAS_RESPONSE_TIME_NSEC);
    const uint64_t *second = query ? &view->query_time_sec : &view->response_time_sec;
    const uint32_t *nanosecond = query ? &view->query_time_nsec : &view->response_time_nsec;

    put_time(encoder, sec ? second : NULL, nsec ? nanosecond : NULL, out);
}

static void put_message_address(const struct dnstap_view *view, bool query, struct buffer *out)
{
    if (!dnstap_has(view, query ? DNSTAP_HAS_QUERY_ADDRESS : DNSTAP_HAS_RESPONSE_ADDRESS))
        buffer_put_string(out, "MISSING_ADDRESS");
    else
        put_address(query ? view->query_address : view->response_address, out);
}

static void put_protocol(const struct dnstap_view *view, struct buffer *out)
{
    size_t named = sizeof protocols / sizeof protocols[0];
    int32_t protocol = view->socket_protocol;

    if (!dnstap_has(view, DNSTAP_HAS_SOCKET_PROTOCOL))
        return;
    if (protocol > 0 && (size_t)protocol < named)
        buffer_put_string(out, protocols[protocol]);
    else
        put_signed(protocol, out);
}

/* ` IN A` */
static void put_kind(struct encoder *encoder, const struct dns_question *question, struct buffer *out)
{
    uint32_t key;
    struct kept *kept = kept_of(encoder->kinds, question->class, question->type, &key);

    if (kept_put(kept, key, out))
        return;
    size_t before = out->len;
    buffer_put_char(out, ' ');
    dns_class_put(question->class, out);
    buffer_put_char(out, ' ');
    dns_type_put(question->type, out);
    kept_keep(kept, key, out, before);
}

/* The first question of a DNS message that is sound to its end; `X ` for any other. */
static void put_question(struct encoder *encoder, struct octets message, struct buffer *out)
{
    struct dns_walk walk;
    struct dns_question question;

    if (!dns_walk_begin(&walk, message) || !dns_walk_question(&walk, &question) ||
        !dns_walk_ok(&walk)) {
        buffer_put_string(out, "X ");
        return;
    }
    buffer_put_char(out, '"');
    dns_name_put(question.name, out);
    buffer_put_char(out, '"');
    put_kind(encoder, &question, out);
}

static const struct line *line_of(const struct dnstap_view *view)
{
    size_t count = sizeof lines / sizeof lines[0];
    int32_t type = view->message_type;

    return type > 0 && (size_t)type < count && lines[type].mnemonic[0] ? &lines[type] : NULL;
}

static void put_line(struct encoder *encoder, const struct dnstap_view *view, struct buffer *out)
{
    const struct line *line = line_of(view);
    if (!line) {
        buffer_put_string(out, "[unhandled Message.Type]\n");
        return;
    }
    struct octets dns = line->query ? view->query_message : view->response_message;

    const char mnemonic[4] = {' ', line->mnemonic[0], line->mnemonic[1], ' '};

    put_message_time(encoder, view, line->query, out);
    buffer_put(out, mnemonic, sizeof mnemonic);
    put_message_address(view, line->query_address, out);
    buffer_put_char(out, ' ');
    put_protocol(view, out);
    buffer_put_char(out, ' ');
    put_unsigned(dns.len, out);
    buffer_put(out, "b ", 2);
    put_question(encoder, dns, out);
    buffer_put_char(out, '\n');
}

/* `15:04:05.000000 EV cache-expiry "example.com." IN A`: what is not known is left out. */
static void put_event_line(struct encoder *encoder, const struct event_view *event,
                           struct buffer *out)
{
    const char *name = event_line_name(event->number[EVENT_TYPE]);
    uint32_t nanosecond = (uint32_t)event->number[EVENT_TIME_NSEC];

    put_time(encoder, event_has(event, EVENT_TIME_SEC) ? &event->number[EVENT_TIME_SEC] : NULL,
             event_has(event, EVENT_TIME_NSEC) ? &nanosecond : NULL, out);
    buffer_put_string(out, " EV ");
    if (name)
        buffer_put_string(out, name);
    else
        put_unsigned(event->number[EVENT_TYPE], out);
    if (event_has(event, EVENT_PEER_ADDRESS)) {
        buffer_put_char(out, ' ');
        put_address(event->peer_address, out);
    }
    if (event_has(event, EVENT_NAME)) {
        size_t before = out->len;
        buffer_put_string(out, " \"");
        if (dns_name_put((struct dns_name){event->name.data, 0, event->name.len}, out))
            buffer_put_char(out, '"');
        else
            out->len = before;
    }
    if (event_has(event, EVENT_RRCLASS)) {
        buffer_put_char(out, ' ');
        dns_class_put((uint16_t)event->number[EVENT_RRCLASS], out);
    }
    if (event_has(event, EVENT_RRTYPE)) {
        buffer_put_char(out, ' ');
        dns_type_put((uint16_t)event->number[EVENT_RRTYPE], out);
    }
    buffer_put_char(out, '\n');
}

/* False where it is neither a message nor an event. */
static bool put_any(struct encoder *encoder, const struct dnstap_view *view, struct buffer *out)
{
    struct event_view event;

    if (view->type == DNSTAP_TYPE_MESSAGE && dnstap_has(view, DNSTAP_HAS_MESSAGE)) {
        put_line(encoder, view, out);
        return true;
    }
    if (view->type != DNSTAP_TYPE_EVENT || !dnstap_has(view, DNSTAP_HAS_EVENT) ||
        !event_scan(view->event, &event))
        return false;
    put_event_line(encoder, &event, out);
    return true;
}

static enum encode_result text_message(struct encoder *encoder, struct frame message,
                                       struct buffer *out)
{
    struct dnstap_view view;
    size_t before = out->len;

    if (!dnstap_scan(message, &view) || !put_any(encoder, &view, out))
        return ENCODE_MALFORMED;
    if (!out->failed)
        return ENCODE_OK;
    out->len = before;
    return ENCODE_FAILED;
}

const struct encoder_ops text_encoder = {
    .name = "text",
    .summary = "one line per message, as `dnstap -q` prints it; events have a line of their own",
    .new = text_new,
    .message = text_message,
    .free = text_free,
};
