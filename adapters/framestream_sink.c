/* Sends Frame Streams to a collector, and connects again when the connection breaks.
 *
 * A message counts as delivered when the kernel took its last octet. Where a connection breaks
 * inside a message, that message is sent whole on the next one. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "control.h"
#include "framestream.h"
#include "link.h"
#include "log.h"
#include "output.h"
#include "reader.h"
#include "socket.h"

enum { FIRST_DELAY_MS = 50 };

struct sink {
    const struct place *place;
    struct waker waker;
    struct tls_context *tls; /* NULL: plain */
    struct link link;        /* its fd is -1: not connected */
    int handshake_ms;
    int delay_max_ms;
    int delay_ms; /* before the next try to connect */
    struct log_limit trouble;
};

static void disconnect(struct sink *s)
{
    link_close(&s->link);
}

static bool receive_exactly(struct sink *s, uint8_t *out, size_t len, struct error *error)
{
    while (len > 0) {
        ssize_t n = link_read(&s->link, out, len);
        if (n > 0) {
            out += n;
            len -= (size_t)n;
        } else if (n == 0) {
            return error_set(error, "the peer closed the connection");
        } else if (errno != EAGAIN && errno != EINTR) {
            return error_set(error, "%s", link_trouble(&s->link));
        } else if (waker_wait(&s->waker, s->link.fd, POLLIN, s->handshake_ms) != WAIT_READY) {
            return error_set(error, "no answer in time");
        }
    }
    return true;
}

static bool expect(struct sink *s, enum control_type wanted, struct error *error)
{
    uint8_t header[CONTROL_HEADER], payload[CONTROL_MAX];
    enum control_type type;
    if (!receive_exactly(s, header, sizeof header, error))
        return false;
    uint32_t len = load_be32(header + 4);
    if (load_be32(header) != 0 || len > CONTROL_MAX)
        return error_set(error, "the peer does not speak Frame Streams");
    if (!receive_exactly(s, payload, len, error) || !control_read(payload, len, &type, error))
        return false;
    return type == wanted || error_set(error, "the peer answered %s", control_name(type));
}

/* Writes on from `*written`, waiting for room as long as it takes. */
static enum output_result write_rest(struct sink *s, const uint8_t *data, size_t len,
                                     size_t *written)
{
    if (!s->link.tls)
        return output_rest(s->link.fd, &s->waker, data, len, written);
    while (*written < len) {
        ssize_t n = tls_write(s->link.tls, data + *written, len - *written);
        if (n > 0)
            *written += (size_t)n;
        else if (n == 0 || errno != EAGAIN)
            return OUTPUT_BROKEN;
        else if (waker_wait(&s->waker, s->link.fd, POLLOUT, -1) == WAIT_WOKEN)
            return OUTPUT_WOKEN;
    }
    return OUTPUT_DONE;
}

static bool say(struct sink *s, enum control_type type, struct error *error)
{
    uint8_t frame[CONTROL_HEADER + CONTROL_MAX];
    size_t len = control_write(type, frame), written = 0;
    return (len > 0 && write_rest(s, frame, len, &written) == OUTPUT_DONE) ||
           error_set(error, "cannot send %s: %s", control_name(type), link_trouble(&s->link));
}

/* TLS's handshake, as long as it may take. */
static bool secure(struct sink *s, struct error *error)
{
    int64_t end = clock_ms(CLOCK_MONOTONIC) + s->handshake_ms;
    s->link.tls = tls_session_new(s->tls, s->link.fd);
    if (!s->link.tls)
        return error_set(error, "out of memory for TLS");
    for (;;) {
        enum tls_result result = tls_handshake(s->link.tls);
        if (result == TLS_DONE)
            return true;
        if (result == TLS_FAILED)
            return error_set(error, "%s", tls_reason(s->link.tls));
        int64_t left = end - clock_ms(CLOCK_MONOTONIC);
        short events = result == TLS_WANTS_READ ? POLLIN : POLLOUT;
        if (left <= 0 || waker_wait(&s->waker, s->link.fd, events, (int)left) != WAIT_READY)
            return error_set(error, "TLS: no answer in time");
    }
}

static bool connect_to(struct sink *s, const struct address *address, struct error *error)
{
    s->link.fd = socket_connect(address);
    if (s->link.fd < 0)
        return error_set(error, "cannot connect: %s", strerror(errno));
    if (waker_wait(&s->waker, s->link.fd, POLLOUT, s->handshake_ms) != WAIT_READY)
        return error_set(error, "cannot connect: no answer in time");
    int failed = socket_error(s->link.fd);
    if (failed)
        return error_set(error, "cannot connect: %s", strerror(failed));
    return (!s->tls || secure(s, error)) && say(s, CONTROL_READY, error) &&
           expect(s, CONTROL_ACCEPT, error) && say(s, CONTROL_START, error);
}

/* Adds what came of one address to the line that tells of all. */
static void note_trouble(struct error *all, const struct address *address, const char *why)
{
    char name[ADDRESS_TEXT];
    bool is_unix = address->storage.ss_family == AF_UNIX;
    address_print((const struct sockaddr *)&address->storage, name, sizeof name);
    error_add(all, "%s%s%s", is_unix ? "" : name, is_unix ? "" : ": ", why);
}

/* One round: the name is looked up anew, for the peer may have moved, and its addresses are tried in order. */
static bool connect_once(struct sink *s, struct error *error)
{
    struct addresses found;
    struct error one;
    if (address_find(s->place, false, &s->waker, -1, &found, error) != RESOLVED)
        return false;
    error->text[0] = '\0';
    for (unsigned i = 0; i < found.count && !waker_woken(&s->waker); i++) {
        if (connect_to(s, &found.list[i], &one))
            return true;
        disconnect(s);
        note_trouble(error, &found.list[i], one.text);
    }
    return false;
}

/* Connects, however long it takes. False: interrupted. */
static bool connect_sink(struct sink *s)
{
    struct error error;
    while (!waker_woken(&s->waker)) {
        if (connect_once(s, &error)) {
            log_line(LOG_INFO, "sink %s: connected", s->place->url);
            s->delay_ms = FIRST_DELAY_MS;
            return true;
        }
        if (waker_woken(&s->waker))
            return false;
        log_limited(&s->trouble, LOG_WARN, "sink %s: %s; trying again in %g s", s->place->url, error.text,
                    s->delay_ms / 1000.0);
        waker_wait(&s->waker, -1, 0, s->delay_ms);
        s->delay_ms = s->delay_ms * 2 < s->delay_max_ms ? s->delay_ms * 2 : s->delay_max_ms;
    }
    return false;
}

static void framestream_sink_write(struct sink *s, const struct parcel *parcel)
{
    struct progress progress = {0};
    for (;;) {
        /* a collector says nothing after ACCEPT; asked before each batch, since a first write to a
         * closed TCP connection still succeeds */
        if (s->link.fd >= 0 && link_peer_gone(&s->link)) {
            log_limited(&s->trouble, LOG_WARN, "sink %s: the peer closed the connection",
                        s->place->url);
            disconnect(s);
        }
        if (s->link.fd < 0 && !connect_sink(s))
            return;
        enum output_result result = write_rest(s, parcel->data, parcel->len, &progress.written);
        const char *trouble = result == OUTPUT_BROKEN ? link_trouble(&s->link) : "";
        output_settle(parcel, &progress);
        if (result == OUTPUT_DONE)
            return;
        if (result == OUTPUT_WOKEN) {
            disconnect(s); /* in the middle of a message, perhaps: nothing may follow it */
            return;
        }
        log_limited(&s->trouble, LOG_WARN, "sink %s: the connection broke: %s", s->place->url,
                    trouble);
        disconnect(s);
        parcel_whole(parcel, progress.written, &progress.written);
    }
}

static void framestream_sink_finish(struct sink *s)
{
    struct error error;
    if (s->link.fd < 0)
        return;
    if (!say(s, CONTROL_STOP, &error) || !expect(s, CONTROL_FINISH, &error))
        log_line(LOG_WARN, "sink %s: the peer did not confirm the end of the stream: %s",
                 s->place->url, error.text);
    disconnect(s);
}

static void framestream_sink_interrupt(struct sink *s)
{
    waker_wake(&s->waker);
}

static void framestream_sink_free(struct sink *s)
{
    disconnect(s);
    tls_context_free(s->tls);
    waker_close(&s->waker);
    free(s);
}

static struct sink *framestream_sink_open(const struct place *place, const struct sink_host *host,
                                          struct error *error)
{
    (void)host;
    struct sink *s = calloc(1, sizeof *s);
    if (!s) {
        error_set(error, "out of memory");
        return NULL;
    }
    *s = (struct sink){
        .place = place,
        .waker.fd = -1,
        .link.fd = -1,
        .handshake_ms = (int)options_number(place->options, "handshake-timeout"),
        .delay_max_ms = (int)options_number(place->options, "reconnect"),
        .delay_ms = FIRST_DELAY_MS,
    };
    if (!waker_init(&s->waker))
        error_set(error, "no descriptor left: %s", strerror(errno));
    else if (!tls_is_wanted(place) || (s->tls = tls_context_new(place, false, error)))
        return s;
    framestream_sink_free(s);
    return NULL;
}

static uint64_t framestream_sink_memory(const struct options *options, uint64_t batch_max)
{
    /* a sender to tls: has one of these */
    bool tls = options_string(options, "ca") || options_string(options, "fingerprint");
    (void)batch_max;
    return sizeof(struct sink) +
           (tls ? tls_context_memory(options) + TLS_SESSION_MEMORY + TLS_HANDSHAKE_MEMORY : 0);
}

static bool framestream_sink_check(const struct place *place, struct error *error)
{
    if (!options_is(place->options, "format", "dnstap"))
        return error_set(error, "Frame Streams carry format=dnstap only");
    return address_check(place, error) && tls_check(place, false, error);
}

static void framestream_sink_reload(struct sink *s)
{
    if (s->tls)
        tls_context_reload(s->tls, "sink");
}

const struct sink_ops framestream_sink_ops = {
    .open = framestream_sink_open,
    .check = framestream_sink_check,
    .write = framestream_sink_write,
    .finish = framestream_sink_finish,
    .interrupt = framestream_sink_interrupt,
    .reload = framestream_sink_reload,
    .free = framestream_sink_free,
    .memory = framestream_sink_memory,
};
