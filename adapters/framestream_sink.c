/* Sends Frame Streams to a collector: connects at the start, and again when the connection breaks.
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
#include "framestream_dial.h"
#include "link.h"
#include "log.h"
#include "output.h"
#include "socket.h"

enum { FIRST_DELAY_MS = 50 };

struct sink {
    const struct place *place;
    struct waker waker;      /* interrupted */
    struct waker roused;     /* the same, or something other than the peer is to be looked at */
    struct tls_context *tls; /* NULL: plain */
    struct dial dial;        /* to the next connection */
    struct link link;        /* its fd is -1: not connected */
    bool useful;             /* this connection has taken something */
    int handshake_ms;
    int delay_max_ms;
    int delay_ms;     /* before the next try to connect but one */
    int64_t next_try; /* when it may begin */
    struct log_limit trouble;
};

/* The next try waits, longer each time. */
static void put_off(struct sink *s)
{
    s->next_try = clock_ms(CLOCK_MONOTONIC) + s->delay_ms;
    s->delay_ms = s->delay_ms * 2 < s->delay_max_ms ? s->delay_ms * 2 : s->delay_max_ms;
}

/* A peer that takes nothing before it goes is not connected to again at once. */
static void disconnect(struct sink *s)
{
    if (s->link.fd >= 0 && !s->useful)
        put_off(s);
    link_close(&s->link);
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

/* The milliseconds until the next try may begin; 0: one is under way. */
static int pause_ms(const struct sink *s)
{
    int64_t left = s->next_try - clock_ms(CLOCK_MONOTONIC);
    return s->dial.stage != DIAL_IDLE || left <= 0 ? 0 : (int)left;
}

/* Tries to connect, or goes on with it, until `waker` is woken. */
static enum dial_result try_to_connect(struct sink *s, const struct waker *waker)
{
    struct error error;
    int delay_ms = s->delay_ms;
    enum dial_result result = dial_run(&s->dial, waker, &error);
    if (result == DIAL_DONE) {
        s->link = dial_take(&s->dial);
        s->useful = false;
        log_line(LOG_INFO, "sink %s: connected", s->place->url);
    } else if (s->dial.stage == DIAL_IDLE) {
        put_off(s);
    }
    if (result == DIAL_FAILED)
        log_limited(&s->trouble, LOG_WARN, "sink %s: %s; trying again in %g s", s->place->url, error.text, delay_ms / 1000.0);
    return result;
}

/* Connects, however long it takes. False: interrupted. */
static bool connect_sink(struct sink *s)
{
    for (;;) {
        if (waker_wait(&s->waker, -1, 0, pause_ms(s)) == WAIT_WOKEN)
            return false;
        if (try_to_connect(s, &s->waker) == DIAL_DONE)
            return true;
    }
}

static void note_peer_gone(struct sink *s)
{
    log_limited(&s->trouble, LOG_WARN, "sink %s: the peer closed the connection", s->place->url);
    disconnect(s);
}

/* Nothing is to be sent: the peer is looked for all the same, so that a wrong address or certificate shows at the start, and one
 * that has gone is noticed. */
static void framestream_sink_wait(struct sink *s, int timeout_ms)
{
    bool connected = s->link.fd >= 0;
    int pause = connected ? -1 : pause_ms(s);
    bool woken;
    if (pause == 0) {
        woken = try_to_connect(s, &s->roused) == DIAL_WOKEN;
    } else {
        enum wait_result result = waker_wait(&s->roused, s->link.fd, POLLRDHUP, clock_sooner(timeout_ms, pause));
        woken = result == WAIT_WOKEN;
        if (connected && result == WAIT_READY)
            note_peer_gone(s);
    }
    if (woken)
        waker_clear(&s->roused);
}

static void framestream_sink_rouse(struct sink *s)
{
    waker_wake(&s->roused);
}

static void framestream_sink_write(struct sink *s, const struct parcel *parcel)
{
    struct progress progress = {0};
    for (;;) {
        /* a collector says nothing after ACCEPT; asked before each batch, since a first write to a
         * closed TCP connection still succeeds */
        if (s->link.fd >= 0 && link_peer_gone(&s->link))
            note_peer_gone(s);
        if (s->link.fd < 0 && !connect_sink(s))
            return;
        uint32_t settled = progress.settled;
        enum output_result result = write_rest(s, parcel->data, parcel->len, &progress.written);
        const char *trouble = result == OUTPUT_BROKEN ? link_trouble(&s->link) : "";
        output_settle(parcel, &progress);
        if (progress.settled > settled) {
            s->useful = true;
            s->delay_ms = FIRST_DELAY_MS;
        }
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

/* STOP is said, and FINISH waited for. */
static bool say_goodbye(struct sink *s, struct error *error)
{
    uint8_t frame[CONTROL_HEADER + CONTROL_MAX];
    size_t len = control_write(CONTROL_STOP, frame), written = 0;
    struct answer answer = {.got = 0};
    if (len == 0 || write_rest(s, frame, len, &written) != OUTPUT_DONE)
        return error_set(error, "cannot send %s: %s", control_name(CONTROL_STOP), link_trouble(&s->link));
    for (;;) {
        enum answer_result result = answer_read(&answer, &s->link, CONTROL_FINISH, error);
        if (result != ANSWER_WAITS)
            return result == ANSWER_THERE;
        if (waker_wait(&s->waker, s->link.fd, POLLIN, s->handshake_ms) != WAIT_READY)
            return error_set(error, "no answer in time");
    }
}

static void framestream_sink_finish(struct sink *s)
{
    struct error error;
    if (s->link.fd < 0)
        return;
    if (!say_goodbye(s, &error))
        log_line(LOG_WARN, "sink %s: the peer did not confirm the end of the stream: %s",
                 s->place->url, error.text);
    disconnect(s);
}

static void framestream_sink_interrupt(struct sink *s)
{
    waker_wake(&s->waker);
    waker_wake(&s->roused);
}

static void framestream_sink_free(struct sink *s)
{
    dial_drop(&s->dial);
    link_close(&s->link);
    tls_context_free(s->tls);
    waker_close(&s->waker);
    waker_close(&s->roused);
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
        .roused.fd = -1,
        .link.fd = -1,
        .dial = {.place = place, .link.fd = -1, .patience_ms = (int)options_number(place->options, "handshake-timeout")},
        .handshake_ms = (int)options_number(place->options, "handshake-timeout"),
        .delay_max_ms = (int)options_number(place->options, "reconnect"),
        .delay_ms = FIRST_DELAY_MS,
    };
    if (!waker_init(&s->waker) || !waker_init(&s->roused)) {
        error_set(error, "no descriptor left: %s", strerror(errno));
    } else if (!tls_is_wanted(place) || (s->tls = tls_context_new(place, false, error))) {
        s->dial.tls = s->tls;
        return s;
    }
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
    .wait = framestream_sink_wait,
    .rouse = framestream_sink_rouse,
    .finish = framestream_sink_finish,
    .interrupt = framestream_sink_interrupt,
    .reload = framestream_sink_reload,
    .free = framestream_sink_free,
    .memory = framestream_sink_memory,
};
