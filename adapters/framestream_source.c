/* Listens for Frame Streams senders: one thread, one epoll set, thousands of senders.
 *
 * A sender begins with READY and is answered ACCEPT, or begins with START at once; then come data
 * frames; then STOP, which is answered by FINISH at once, whatever the sinks are doing. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "access.h"
#include "clock.h"
#include "framestream.h"
#include "log.h"
#include "socket.h"
#include "stream.h"
#include "waker.h"

enum {
    EVENTS = 64,
    READS_AT_ONCE = 16, /* of one sender, before the others have their turn */
    PEER_NAME = 64,
};

enum phase { PHASE_OPENING, PHASE_READY, PHASE_DATA };

struct connection {
    int fd;
    enum phase phase;
    bool answers; /* began with READY, so it reads FINISH */
    struct stream *stream;
    int64_t deadline;         /* of the handshake, ms */
    struct connection *prev, *next; /* in `opening` or `started`, oldest first */
    char peer[PEER_NAME];
};

struct connection_list {
    struct connection *first, *last;
};

struct source {
    const struct place *place;
    struct waker waker;
    int listener;
    int epoll;
    int reserve; /* a descriptor to give up when none is left, so that a sender can be turned away */
    uint32_t frame_max;
    int64_t handshake_ms;
    uint64_t connections_max;
    _Atomic uint64_t connections; /* written by our thread, read by any */
    struct stream_budget budget;
    struct access_list allowed;
    struct connection_list opening; /* in the handshake: the first has the earliest deadline */
    struct connection_list started;
};

/* Where epoll's pointer points for what is no connection. */
static char listener_mark, waker_mark;

static void list_append(struct connection_list *list, struct connection *c)
{
    c->prev = list->last;
    c->next = NULL;
    *(list->last ? &list->last->next : &list->first) = c;
    list->last = c;
}

static void list_remove(struct connection_list *list, struct connection *c)
{
    *(c->prev ? &c->prev->next : &list->first) = c->next;
    *(c->next ? &c->next->prev : &list->last) = c->prev;
}

static struct connection_list *list_of(struct source *s, const struct connection *c)
{
    return c->phase == PHASE_DATA ? &s->started : &s->opening;
}

static void connection_close(struct source *s, struct connection *c)
{
    list_remove(list_of(s, c), c);
    close(c->fd);
    stream_free(c->stream);
    free(c);
    s->connections--;
}

static void connection_fail(struct source *s, struct connection *c, const char *why)
{
    static struct log_limit limit;
    log_limited(&limit, LOG_WARN, "source %s: sender %s closed after %llu messages: %s", s->place->url,
                c->peer, (unsigned long long)stream_frames(c->stream), why);
    connection_close(s, c);
}

/* A control frame of a few octets always fits into a socket that carries nothing else. */
static bool answer(const struct connection *c, enum control_type type)
{
    uint8_t frame[CONTROL_HEADER + CONTROL_MAX];
    size_t len = control_write(type, frame);
    return len > 0 && send(c->fd, frame, len, MSG_NOSIGNAL) == (ssize_t)len;
}

static void begin_data(struct source *s, struct connection *c)
{
    static struct log_limit limit;
    list_remove(list_of(s, c), c);
    c->phase = PHASE_DATA;
    list_append(list_of(s, c), c);
    log_limited(&limit, LOG_INFO, "source %s: sender %s started", s->place->url, c->peer);
}

/* False: the connection is gone. */
static bool handle_control(struct source *s, struct connection *c)
{
    static struct log_limit limit;
    struct error error;
    size_t len;
    enum control_type type;
    const uint8_t *payload = stream_control(c->stream, &len);
    if (!control_read(payload, len, &type, &error)) {
        connection_fail(s, c, error.text);
        return false;
    }
    if (type == CONTROL_READY && c->phase == PHASE_OPENING) {
        c->phase = PHASE_READY;
        c->answers = true;
        if (answer(c, CONTROL_ACCEPT))
            return true;
        connection_fail(s, c, "cannot send ACCEPT");
        return false;
    }
    if (type == CONTROL_START && c->phase != PHASE_DATA) {
        begin_data(s, c);
        return true;
    }
    if (type == CONTROL_STOP && c->phase == PHASE_DATA) {
        if (c->answers && !answer(c, CONTROL_FINISH))
            log_limited(&limit, LOG_WARN, "source %s: cannot send FINISH to %s", s->place->url, c->peer);
        log_limited(&limit, LOG_INFO, "source %s: sender %s stopped after %llu messages", s->place->url,
                    c->peer, (unsigned long long)stream_frames(c->stream));
        connection_close(s, c);
        return false;
    }
    error_set(&error, "unexpected %s control frame", control_name(type));
    connection_fail(s, c, error.text);
    return false;
}

static void handle_end(struct source *s, struct connection *c, ssize_t n)
{
    struct error error;
    if (n < 0)
        error_set(&error, "%s", strerror(errno));
    else if (stream_torn(c->stream) > 0)
        error_set(&error, "it ended in the middle of a frame, %zu octets in", stream_torn(c->stream));
    else
        error_set(&error, "it ended without STOP");
    connection_fail(s, c, error.text);
}

/* Reads once. True: there may be more at once. */
static bool read_once(struct source *s, struct intake *intake, struct connection *c)
{
    struct error error;
    struct stream_window window;
    if (!stream_window(c->stream, intake, &window, &error)) {
        connection_fail(s, c, error.text);
        return false;
    }
    ssize_t n = recv(c->fd, window.at, window.len, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        n = 0; /* the walk over nothing puts the torn end back */
    else if (n <= 0) {
        if (n == 0)
            stream_received(c->stream, intake, 0, 0, &error);
        handle_end(s, c, n);
        return false;
    }
    size_t got = (size_t)n;
    for (;; n = 0) {
        switch (stream_received(c->stream, intake, (size_t)n, 0, &error)) {
        case STREAM_MORE:
        case STREAM_PAUSE:
            return got == window.len;
        case STREAM_CONTROL:
            if (!handle_control(s, c))
                return false;
            break;
        case STREAM_BROKEN:
            connection_fail(s, c, error.text);
            return false;
        }
    }
}

static void turn_away(struct source *s)
{
    static struct log_limit limit;
    log_limited(&limit, LOG_WARN, "source %s: a sender was turned away: %llu are connected", s->place->url,
                (unsigned long long)s->connections);
}

/* No descriptor is left: the reserve lets one sender in, to be closed, so that epoll falls silent. */
static void turn_away_without_descriptor(struct source *s)
{
    close(s->reserve);
    int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        close(fd);
    s->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    turn_away(s);
}

static bool connection_add(struct source *s, int fd, const struct sockaddr *peer)
{
    struct connection *c = calloc(1, sizeof *c);
    struct stream *stream = stream_new(s->frame_max, false, &s->budget);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (!c || !stream || epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
        stream_free(stream);
        free(c);
        return false;
    }
    c->fd = fd;
    c->stream = stream;
    c->deadline = clock_ms(CLOCK_MONOTONIC) + s->handshake_ms;
    address_print(peer, c->peer, sizeof c->peer);
    list_append(&s->opening, c);
    s->connections++;
    return true;
}

static bool is_allowed(struct source *s, const struct sockaddr *peer)
{
    static struct log_limit limit;
    char name[PEER_NAME];
    if (access_allows(&s->allowed, peer))
        return true;
    address_print(peer, name, sizeof name);
    log_limited(&limit, LOG_WARN, "source %s: sender %s was turned away: allow= does not name it",
                s->place->url, name);
    return false;
}

static void accept_senders(struct source *s)
{
    for (;;) {
        struct sockaddr_storage peer = {0};
        socklen_t len = sizeof peer;
        int fd = accept4(s->listener, (struct sockaddr *)&peer, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE)
                turn_away_without_descriptor(s);
            return;
        }
        if (!is_allowed(s, (const struct sockaddr *)&peer)) {
            close(fd);
        } else if (s->connections >= s->connections_max ||
                   !connection_add(s, fd, (const struct sockaddr *)&peer)) {
            turn_away(s);
            close(fd);
        }
    }
}

/* Closes the senders whose time for the handshake is over; ms until the next one, -1 for none. */
static int expire(struct source *s)
{
    int64_t now = clock_ms(CLOCK_MONOTONIC);
    struct connection *c;
    while ((c = s->opening.first) && c->deadline <= now)
        connection_fail(s, c, "it did not begin in time (handshake-timeout)");
    return c ? (int)(c->deadline - now) : -1;
}

/* What the senders had already sent when we were stopped still counts. */
static void drain(struct source *s, struct intake *intake)
{
    struct connection *next;
    for (struct connection *c = s->started.first; c; c = next) {
        next = c->next;
        for (int i = 0; i < READS_AT_ONCE && read_once(s, intake, c); i++)
            ;
    }
}

static void framestream_source_run(struct source *s, struct intake *intake)
{
    struct epoll_event events[EVENTS];
    while (!waker_woken(&s->waker)) {
        int n = epoll_wait(s->epoll, events, EVENTS, expire(s));
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == &listener_mark)
                accept_senders(s);
            else if (events[i].data.ptr != &waker_mark)
                for (int r = 0; r < READS_AT_ONCE && read_once(s, intake, events[i].data.ptr); r++)
                    ;
        }
        intake_flush(intake);
    }
    drain(s, intake);
    intake_flush(intake);
}

static void framestream_source_stop(struct source *s)
{
    waker_wake(&s->waker);
}

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

static void framestream_source_free(struct source *s)
{
    while (s->opening.first)
        connection_close(s, s->opening.first);
    while (s->started.first)
        connection_close(s, s->started.first);
    if (s->listener >= 0 && strcmp(s->place->scheme, "unix") == 0)
        unlink(s->place->address);
    close_fd(s->listener);
    close_fd(s->epoll);
    close_fd(s->reserve);
    waker_close(&s->waker);
    free(s);
}

static bool watch(struct source *s, int fd, char *mark, struct error *error)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = mark};
    return epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event) == 0 ||
           error_set(error, "epoll: %s", strerror(errno));
}

static struct source *framestream_source_open(const struct place *place, struct error *error)
{
    struct source *s = calloc(1, sizeof *s);
    if (!s) {
        error_set(error, "out of memory");
        return NULL;
    }
    *s = (struct source){
        .place = place,
        .waker.fd = -1,
        .listener = -1,
        .epoll = epoll_create1(EPOLL_CLOEXEC),
        .reserve = open("/dev/null", O_RDONLY | O_CLOEXEC),
        .frame_max = (uint32_t)options_number(place->options, "max-frame"),
        .handshake_ms = (int64_t)options_number(place->options, "handshake-timeout"),
        .connections_max = options_number(place->options, "max-connections"),
        .budget.limit = options_number(place->options, "partial"),
    };
    access_read(place->options, &s->allowed);
    if (!waker_init(&s->waker) || s->epoll < 0 || s->reserve < 0)
        error_set(error, "no descriptor left: %s", strerror(errno));
    else if ((s->listener = socket_listen(place, error)) >= 0 &&
             watch(s, s->listener, &listener_mark, error) &&
             watch(s, s->waker.fd, &waker_mark, error))
        return s;
    framestream_source_free(s);
    return NULL;
}

static uint64_t framestream_source_memory(const struct options *options)
{
    uint64_t each = sizeof(struct connection) + STREAM_FREE_TAIL + 2 * CONTROL_MAX;
    return options_number(options, "max-connections") * each + options_number(options, "partial");
}

static uint64_t framestream_source_connections(const struct source *s)
{
    return atomic_load_explicit(&s->connections, memory_order_relaxed);
}

const struct source_ops framestream_source_ops = {
    .open = framestream_source_open,
    .check = access_check,
    .run = framestream_source_run,
    .stop = framestream_source_stop,
    .free = framestream_source_free,
    .memory = framestream_source_memory,
    .connections = framestream_source_connections,
};
