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
#include "framestream_connection.h"
#include "log.h"
#include "socket.h"
#include "stream.h"
#include "waker.h"

enum {
    EVENTS = 64,
    READS_AT_ONCE = 16,     /* of one sender, before the others have their turn */
    HANDSHAKES_AT_ONCE = 4, /* steps of TLS's, which cost the most, before data has its turn */
    HANDSHAKE_LEAST = 1000, /* ms that one may take, however many wait for its place */
    ACCEPTS_AT_ONCE = 32,   /* before data has its turn */
    SILENT_LEAST = 60000,   /* ms that a sender may be silent, however many wait for its place */
};

struct source {
    const struct place *place;
    struct waker waker;
    struct listeners listeners;
    int epoll;
    int reserve; /* a descriptor to give up when none is left, so that a sender is turned away */
    uint32_t frame_max;
    int64_t handshake_ms;
    uint64_t connections_max;
    _Atomic uint64_t connections; /* written by our thread, read by any */
    _Atomic uint64_t turned_away;
    struct stream_budget budget;
    struct access_list allowed;
    struct connection_list opening; /* before START: the first has the earliest deadline */
    struct connection_list started; /* after START, without a message yet: as in `opening` */
    struct connection_list speaking;
    int64_t now; /* of this turn, ms */

    struct tls_context *tls;         /* NULL: plain */
    struct connection_list securing; /* in TLS's handshake: as in `opening` */
    uint64_t securing_count;
    uint64_t securing_max;
    int securing_steps; /* that may still be done in this turn */
    bool full;          /* `securing` is: nobody is accepted meanwhile */
};

/* Where epoll's pointer points for what is no connection; for a listener, to its descriptor in `listeners`. */
static char waker_mark;

static bool is_listener(const struct source *s, const void *mark)
{
    uintptr_t at = (uintptr_t)mark, first = (uintptr_t)s->listeners.fds;
    return at >= first && at < first + sizeof s->listeners.fds;
}

static struct connection_list *list_of(struct source *s, const struct connection *c)
{
    if (c->phase == PHASE_SECURING)
        return &s->securing;
    if (c->phase == PHASE_SPEAKING)
        return &s->speaking;
    return c->phase == PHASE_DATA ? &s->started : &s->opening;
}

/* Into the list of its phase, with as much time as the phase has. */
static void enlist(struct source *s, struct connection *c, enum phase phase)
{
    c->phase = phase;
    c->heard = s->now;
    c->deadline = s->now + s->handshake_ms;
    connection_list_append(list_of(s, c), c);
    s->securing_count += phase == PHASE_SECURING;
}

static void delist(struct source *s, struct connection *c)
{
    connection_list_remove(list_of(s, c), c);
    s->securing_count -= c->phase == PHASE_SECURING;
}

static void connection_close(struct source *s, struct connection *c)
{
    delist(s, c);
    connection_free(c);
    s->connections--;
}

/* Was START said? */
static bool has_begun(const struct connection *c)
{
    return c->phase == PHASE_DATA || c->phase == PHASE_SPEAKING;
}

static void connection_fail(struct source *s, struct connection *c, const char *why)
{
    static struct log_limit limit;
    log_limited(&limit, LOG_WARN, "source %s: sender %s closed after %llu messages: %s",
                s->place->url, c->peer, (unsigned long long)stream_frames(c->stream), why);
    connection_close(s, c);
}

/* A partner whose handshake failed; one that showed the wrong certificate is not to drown among
 * those that only knocked. */
static void connection_refuse(struct source *s, struct connection *c)
{
    static struct log_limit limit;
    const char *why = tls_reason(c->link.tls);
    if (tls_was_silent(c->link.tls)) { /* somebody looked whether we are here */
        connection_close(s, c);
        return;
    }
    if (!tls_refused_peer(c->link.tls)) {
        connection_fail(s, c, why);
        return;
    }
    s->turned_away++;
    log_limited(&limit, LOG_WARN, "source %s: sender %s was turned away: %s", s->place->url,
                c->peer, why);
    connection_close(s, c);
}

/* A control frame of a few octets always fits into a socket that carries nothing else. */
static bool answer(const struct connection *c, enum control_type type)
{
    uint8_t frame[CONTROL_HEADER + CONTROL_MAX];
    size_t len = control_write(type, frame);
    return len > 0 && link_write(&c->link, frame, len) == (ssize_t)len;
}

static void begin_data(struct source *s, struct connection *c)
{
    static struct log_limit limit;
    delist(s, c);
    enlist(s, c, PHASE_DATA);
    const char *shown = c->link.tls ? tls_peer(c->link.tls) : "";
    log_limited(&limit, LOG_INFO, "source %s: sender %s started%s%s", s->place->url, c->peer,
                shown[0] ? ", " : "", shown);
}

/* Its first message has come. */
static void begin_to_speak(struct source *s, struct connection *c)
{
    delist(s, c);
    enlist(s, c, PHASE_SPEAKING);
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
    if (type == CONTROL_START && !has_begun(c)) {
        begin_data(s, c);
        return true;
    }
    if (type == CONTROL_STOP && has_begun(c)) {
        if (c->answers && !answer(c, CONTROL_FINISH))
            log_limited(&limit, LOG_WARN, "source %s: cannot send FINISH to %s", s->place->url,
                        c->peer);
        log_limited(&limit, LOG_INFO, "source %s: sender %s stopped after %llu messages",
                    s->place->url, c->peer, (unsigned long long)stream_frames(c->stream));
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
    if (c->phase == PHASE_OPENING && stream_torn(c->stream) == 0) { /* it looked whether we are here, and said nothing */
        connection_close(s, c);
        return;
    }
    if (n < 0)
        error_set(&error, "%s", link_trouble(&c->link));
    else if (stream_torn(c->stream) > 0)
        error_set(&error, "it ended in the middle of a frame, %zu octets in",
                  stream_torn(c->stream));
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
    ssize_t n = link_read(&c->link, window.at, window.len);
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
            if (c->phase == PHASE_DATA && stream_frames(c->stream) > 0)
                begin_to_speak(s, c);
            return got == window.len || link_pending(&c->link);
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
    s->turned_away++;
    log_limited(&limit, LOG_WARN,
                "source %s: a sender was turned away: %llu are connected (max-connections=%llu; "
                "%llu turned away so far)",
                s->place->url, (unsigned long long)s->connections,
                (unsigned long long)s->connections_max, (unsigned long long)s->turned_away);
}

/* No descriptor is left: the reserve lets one sender in, to be closed, so that epoll falls silent.
 */
static void turn_away_without_descriptor(struct source *s, int listener)
{
    static struct log_limit limit;
    close(s->reserve);
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        close(fd);
    s->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    s->turned_away++;
    log_limited(&limit, LOG_ERROR,
                "source %s: a sender was turned away: no descriptor is left for it (%llu are connected; raise the limit of open "
                "files: LimitNOFILE, ulimit -n)",
                s->place->url, (unsigned long long)s->connections);
}

/* The sender that was silent for longest; NULL: there is none. */
static struct connection *quietest(const struct source *s)
{
    struct connection *found = s->speaking.first;
    for (struct connection *c = found; c; c = c->next) {
        if (c->heard < found->heard)
            found = c;
    }
    return found;
}

/* Where all places are taken, one that holds its place without a message makes room for the next sender, and else the one
 * that was silent for longest: silence must shut nobody out. False: none was silent for long enough. */
static bool make_place(struct source *s)
{
    struct connection *c = s->started.first;
    if (c && c->deadline <= s->now) {
        connection_fail(s, c, "it made room for another: no message came since START (max-connections)");
        return true;
    }
    c = quietest(s);
    if (!c || s->now - c->heard < SILENT_LEAST)
        return false;
    connection_fail(s, c, "it made room for another: it was silent for longest (max-connections)");
    return true;
}

static bool watch(struct source *s, int operation, int fd, uint32_t events, void *mark)
{
    struct epoll_event event = {.events = events, .data.ptr = mark};
    return epoll_ctl(s->epoll, operation, fd, &event) == 0;
}

static void watch_for(struct source *s, struct connection *c, uint32_t events)
{
    if (c->watched != events)
        watch(s, EPOLL_CTL_MOD, c->link.fd, events, c);
    c->watched = events;
}

/* False: the socket is still the caller's. */
static bool connection_add(struct source *s, int fd, const struct sockaddr *peer)
{
    struct connection *c = connection_new(fd, s->tls, stream_new(s->frame_max, false, &s->budget));
    if (!c)
        return false;
    address_print(peer, c->peer, sizeof c->peer);
    enlist(s, c, c->phase);
    s->connections++;
    c->watched = EPOLLIN;
    if (!watch(s, EPOLL_CTL_ADD, fd, EPOLLIN, c))
        connection_fail(s, c, strerror(errno));
    return true;
}

static bool is_allowed(struct source *s, const struct sockaddr *peer)
{
    static struct log_limit limit;
    char name[PEER_NAME];
    if (access_allows(&s->allowed, peer))
        return true;
    address_print(peer, name, sizeof name);
    s->turned_away++;
    log_limited(&limit, LOG_WARN, "source %s: sender %s was turned away: allow= does not name it",
                s->place->url, name);
    return false;
}

static bool watch_listeners(struct source *s, int operation, uint32_t events)
{
    bool ok = true;
    for (unsigned i = 0; i < s->listeners.count; i++)
        ok = watch(s, operation, s->listeners.fds[i], events, &s->listeners.fds[i]) && ok;
    return ok;
}

/* As many handshakes run as may: who comes now waits in the kernel until one is over. */
static bool is_full(struct source *s)
{
    bool full = s->tls && s->securing_count >= s->securing_max;
    if (full != s->full)
        watch_listeners(s, EPOLL_CTL_MOD, full ? 0 : EPOLLIN);
    s->full = full;
    return full;
}

static void accept_senders(struct source *s, int listener)
{
    for (int i = 0; i < ACCEPTS_AT_ONCE && !is_full(s); i++) { /* epoll says it again */
        struct sockaddr_storage peer = {0};
        socklen_t len = sizeof peer;
        int fd = accept4(listener, (struct sockaddr *)&peer, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE)
                turn_away_without_descriptor(s, listener);
            return;
        }
        if (!is_allowed(s, (const struct sockaddr *)&peer)) {
            close(fd);
        } else if ((s->connections >= s->connections_max && !make_place(s)) ||
                   !connection_add(s, fd, (const struct sockaddr *)&peer)) {
            turn_away(s);
            close(fd);
        }
    }
}

/* A step of TLS's handshake. False: the connection is gone, or there is nothing to read from it
 * yet. */
static bool secure(struct source *s, struct connection *c)
{
    if (s->securing_steps-- <= 0)
        return false; /* epoll says it again */
    enum tls_result result = tls_handshake(c->link.tls);
    if (result == TLS_FAILED) {
        connection_refuse(s, c);
        return false;
    }
    watch_for(s, c, result == TLS_WANTS_WRITE ? EPOLLOUT : EPOLLIN);
    if (result != TLS_DONE)
        return false;
    delist(s, c);
    enlist(s, c, PHASE_OPENING);
    return true;
}

/* Takes what a sender has sent, or as much as leaves the others their turn: what then is left in
 * the session has epoll come back at once, for the socket can be written to. */
static void serve(struct source *s, struct intake *intake, struct connection *c)
{
    if (c->phase == PHASE_SECURING && !secure(s, c))
        return;
    watch_for(s, c, EPOLLIN);
    bool more = true;
    c->heard = s->now;
    for (int i = 0; more && i < READS_AT_ONCE; i++)
        more = read_once(s, intake, c);
    if (more && link_pending(&c->link))
        watch_for(s, c, EPOLLIN | EPOLLOUT);
}

/* Closes those of a list whose time is over; ms until the next one, -1 for none. */
static int expire_list(struct source *s, struct connection_list *list, int64_t now, const char *why)
{
    struct connection *c;
    while ((c = list->first) && c->deadline <= now)
        connection_fail(s, c, why);
    return c ? (int)(c->deadline - now) : -1;
}

/* Where no handshake of TLS can begin, the one that has taken longest makes room, once it has had
 * its time: ms until then, -1: nobody waits. */
static int make_room(struct source *s, int64_t now)
{
    if (!s->full || !is_full(s))
        return -1;
    struct connection *c = s->securing.first;
    int64_t left = c->deadline - s->handshake_ms + HANDSHAKE_LEAST - now;
    if (left > 0)
        return (int)left;
    connection_fail(s, c, "its TLS handshake made room for others (max-handshakes)");
    is_full(s);
    return -1;
}

/* Between the turns, when nobody is being served: ms until something is due, -1: nothing is. */
static int tidy_up(struct source *s)
{
    int64_t now = s->now = clock_ms(CLOCK_MONOTONIC);
    int due = expire_list(s, &s->opening, now, "it did not begin in time (handshake-timeout)");
    if (!s->tls)
        return due;
    s->securing_steps = HANDSHAKES_AT_ONCE;
    due = clock_sooner(due, expire_list(s, &s->securing, now,
                                  "it did not finish TLS's handshake in time (handshake-timeout)"));
    return clock_sooner(due, make_room(s, now));
}

/* What the senders had already sent when we were stopped still counts. */
static void drain(struct source *s, struct intake *intake)
{
    struct connection *next;
    for (struct connection *c = s->speaking.first; c; c = next) {
        next = c->next;
        serve(s, intake, c);
    }
    for (struct connection *c = s->started.first; c; c = next) { /* which may begin to speak */
        next = c->next;
        serve(s, intake, c);
    }
}

static void framestream_source_run(struct source *s, struct intake *intake)
{
    struct epoll_event events[EVENTS];
    while (!waker_woken(&s->waker)) {
        int n = epoll_wait(s->epoll, events, EVENTS, tidy_up(s));
        s->now = clock_ms(CLOCK_MONOTONIC);
        for (int i = 0; i < n; i++) {
            if (!is_listener(s, events[i].data.ptr) && events[i].data.ptr != &waker_mark)
                serve(s, intake, events[i].data.ptr);
        }
        for (int i = 0; i < n; i++) { /* then, for it may close others, of which an event was served above */
            if (is_listener(s, events[i].data.ptr))
                accept_senders(s, *(const int *)events[i].data.ptr);
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
    while (s->securing.first)
        connection_close(s, s->securing.first);
    while (s->opening.first)
        connection_close(s, s->opening.first);
    while (s->started.first)
        connection_close(s, s->started.first);
    while (s->speaking.first)
        connection_close(s, s->speaking.first);
    listeners_close(&s->listeners);
    close_fd(s->epoll);
    close_fd(s->reserve);
    waker_close(&s->waker);
    tls_context_free(s->tls);
    free(s);
}

/* What senders may come by. */
static bool open_door(struct source *s, struct error *error)
{
    if (tls_is_wanted(s->place) && !(s->tls = tls_context_new(s->place, true, error)))
        return false;
    if (!listeners_open(&s->listeners, s->place, error))
        return false;
    return (watch_listeners(s, EPOLL_CTL_ADD, EPOLLIN) && watch(s, EPOLL_CTL_ADD, s->waker.fd, EPOLLIN, &waker_mark)) ||
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
        .epoll = epoll_create1(EPOLL_CLOEXEC),
        .reserve = open("/dev/null", O_RDONLY | O_CLOEXEC),
        .frame_max = (uint32_t)options_number(place->options, "max-frame"),
        .handshake_ms = (int64_t)options_number(place->options, "handshake-timeout"),
        .connections_max = options_number(place->options, "max-connections"),
        .securing_max = options_number(place->options, "max-handshakes"),
        .budget.limit = options_number(place->options, "partial"),
    };
    access_read(place->options, &s->allowed);
    if (!waker_init(&s->waker) || s->epoll < 0 || s->reserve < 0)
        error_set(error, "no descriptor left: %s", strerror(errno));
    else if (open_door(s, error))
        return s;
    framestream_source_free(s);
    return NULL;
}

static uint64_t tls_memory(const struct options *options)
{
    uint64_t connections = options_number(options, "max-connections");
    uint64_t handshakes = options_number(options, "max-handshakes");
    return tls_context_memory(options) + connections * TLS_SESSION_MEMORY +
           (handshakes < connections ? handshakes : connections) * TLS_HANDSHAKE_MEMORY;
}

static uint64_t framestream_source_memory(const struct options *options)
{
    uint64_t each = sizeof(struct connection) + STREAM_FREE_TAIL + 2 * CONTROL_MAX;
    return options_number(options, "max-connections") * each + options_number(options, "partial") +
           (options_string(options, "cert") ? tls_memory(options)
                                            : 0); /* a listener of tls: has one */
}

static uint64_t framestream_source_connections(const struct source *s)
{
    return atomic_load_explicit(&s->connections, memory_order_relaxed);
}

static uint64_t framestream_source_turned_away(const struct source *s)
{
    return atomic_load_explicit(&s->turned_away, memory_order_relaxed);
}

static void framestream_source_reload(struct source *s)
{
    if (s->tls)
        tls_context_reload(s->tls, "source");
}

static bool framestream_source_check(const struct place *place, struct error *error)
{
    return address_check(place, error) && access_check(place, error) && tls_check(place, true, error);
}

const struct source_ops framestream_source_ops = {
    .open = framestream_source_open,
    .check = framestream_source_check,
    .run = framestream_source_run,
    .stop = framestream_source_stop,
    .reload = framestream_source_reload,
    .free = framestream_source_free,
    .memory = framestream_source_memory,
    .connections = framestream_source_connections,
    .turned_away = framestream_source_turned_away,
};
