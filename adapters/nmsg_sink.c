/* Sends NMSG containers as UDP datagrams. Messages are gathered into the open container; datagrams
 * that are ready are gathered and handed to the kernel many at a time. Each container holds tickets
 * for its messages, and they are settled when the kernel has taken its last datagram. */
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "frame.h"
#include "log.h"
#include "nmsg.h"
#include "nmsg/payload.h"
#include "waker.h"

enum {
    SLOTS = 64,     /* datagrams sent at once */
    HELD_MAX = 256, /* tickets of containers that are not sent yet */
    BURSTS = 100,   /* with rate=, datagrams go in this many portions a second */
    AGAIN_FIRST_MS = 100, /* between two rounds of looking for a way to the receiver: doubled each time, */
    AGAIN_LAST_MS = 5000, /* up to this */
    LOOK_UP_SOON_MS = 5000, /* least time between two look-ups of a name whose addresses refuse */
    LOOK_UP_WAIT_MS = 2000, /* for an answer, where an address is known */
};

/* Messages of one parcel in one container. */
struct held {
    struct ticket ticket;
    uint64_t count;
};

struct slot {
    uint32_t len;
    unsigned held; /* of a container's last datagram: how many of the tickets are its own */
    uint8_t *data;
};

struct sink {
    const struct place *place;
    struct waker waker;
    int fd;             /* -1: there is no way to the receiver yet */
    bool by_name;       /* which may have further addresses, or others by now */
    unsigned next;      /* of a name with several addresses, the one to try first */
    bool refused;       /* nobody listens where we send: another address may do */
    struct addresses found; /* of the name, as it was last looked up; count 0: never yet */
    struct address peer;    /* that the socket is connected to */
    uint64_t looked_ms;     /* when it was tried last */
    uint64_t look_up_ms;    /* how often, while all is well */
    struct nmsg_maker maker;
    struct nmsg_writer *writer;
    struct slot slots[SLOTS];
    unsigned ready;             /* slots filled */
    struct held held[HELD_MAX]; /* oldest first */
    unsigned held_count;
    unsigned held_sealed; /* those of sealed containers */
    bool torn;            /* a datagram of the container being sent was refused */
    uint64_t opened_ms;   /* when the open container got its first message */
    uint64_t flush_ms;
    uint64_t rate;
    uint64_t pace_ms; /* with rate=: since when, */
    uint64_t paced;   /* and how many datagrams were sent since */
};

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool set_multicast(const struct sink *s, int family, struct error *error)
{
    int ttl = (int)options_number(s->place->options, "ttl");
    unsigned interface;
    if (!nmsg_interface(s->place->options, &interface, error))
        return false;
    struct ip_mreqn request = {.imr_ifindex = (int)interface};
    bool ok = family == AF_INET
                  ? setsockopt(s->fd, IPPROTO_IP, IP_MULTICAST_TTL, &ttl, sizeof ttl) == 0 &&
                        (!interface || setsockopt(s->fd, IPPROTO_IP, IP_MULTICAST_IF, &request,
                                                  sizeof request) == 0)
                  : setsockopt(s->fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &ttl, sizeof ttl) == 0 &&
                        (!interface || setsockopt(s->fd, IPPROTO_IPV6, IPV6_MULTICAST_IF,
                                                  &interface, sizeof interface) == 0);
    return ok || error_set(error, "cannot send multicast: %s", strerror(errno));
}

static void close_socket(struct sink *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

static bool connect_to(struct sink *s, const struct address *address, struct error *error)
{
    int one = 1;
    int family = address->storage.ss_family;
    s->fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s->fd < 0)
        return error_set(error, "cannot open a socket: %s", strerror(errno));
    if (setsockopt(s->fd, SOL_SOCKET, SO_BROADCAST, &one, sizeof one) < 0)
        return error_set(error, "cannot send broadcast: %s", strerror(errno));
    if (nmsg_is_multicast(address) && !set_multicast(s, family, error))
        return false;
    return connect(s->fd, (const struct sockaddr *)&address->storage, address->len) == 0 ||
           error_set(error, "cannot send there: %s", strerror(errno));
}

/* What was found before stays if the name cannot be looked up now. */
static bool look_up(struct sink *s, int timeout_ms, struct error *error)
{
    struct addresses found;
    s->looked_ms = now_ms();
    if (address_find(s->place, false, &s->waker, timeout_ms, &found, error) != RESOLVED)
        return false;
    s->found = found;
    return true;
}

/* One round: the addresses are tried in order, from the one whose turn it is. The name is looked up anew, but not
 * for each refusal: the resolver may be the very server whose messages we send. */
static bool connect_once(struct sink *s, struct error *error)
{
    const bool known = s->found.count > 0;
    const bool due = !known || now_ms() - s->looked_ms >= LOOK_UP_SOON_MS;
    if (due && !look_up(s, known ? LOOK_UP_WAIT_MS : -1, error) && !known)
        return false;
    for (unsigned i = 0; i < s->found.count; i++) {
        unsigned at = (s->next + i) % s->found.count;
        if (connect_to(s, &s->found.list[at], error)) {
            s->next = at;
            s->peer = s->found.list[at];
            return true;
        }
        close_socket(s);
    }
    return false;
}

static bool same_address(const struct address *a, const struct address *b)
{
    return a->len == b->len && memcmp(&a->storage, &b->storage, a->len) == 0;
}

/* UDP does not tell when a receiver has moved: now and then the name is asked. */
static void look_up_now_and_then(struct sink *s)
{
    struct error error;
    if (now_ms() - s->looked_ms < s->look_up_ms || !look_up(s, LOOK_UP_WAIT_MS, &error))
        return;
    for (unsigned i = 0; i < s->found.count; i++) {
        if (same_address(&s->found.list[i], &s->peer)) {
            s->next = i;
            return;
        }
    }
    log_line(LOG_INFO, "sink %s: the name has another address now", s->place->url);
    close_socket(s);
    s->next = 0;
}

/* Finds a way to the receiver, however long it takes. False: interrupted. */
static bool connect_sink(struct sink *s)
{
    static struct log_limit limit;
    struct error error;
    int delay = AGAIN_FIRST_MS;
    while (!waker_woken(&s->waker)) {
        if (connect_once(s, &error))
            return true;
        if (waker_woken(&s->waker))
            return false;
        log_limited(&limit, LOG_WARN, "sink %s: %s; trying again in %g s", s->place->url, error.text, delay / 1000.0);
        waker_wait(&s->waker, -1, 0, delay);
        delay = delay * 2 < AGAIN_LAST_MS ? delay * 2 : AGAIN_LAST_MS;
    }
    return false;
}

/* Nobody listened at the address when the last datagrams went: the next ones go to the name's next address, or to where it is now. */
static bool reach(struct sink *s)
{
    if (s->refused && s->by_name && s->fd >= 0) {
        close_socket(s);
        s->next++;
    }
    s->refused = false;
    if (s->fd >= 0)
        look_up_now_and_then(s);
    return s->fd >= 0 || connect_sink(s);
}

static bool open_writer(struct sink *s, struct error *error)
{
    const struct options *options = s->place->options;
    struct nmsg_writer_config config = {
        .size = (uint32_t)options_number(options, "mtu"),
        .zlib = options_flag(options, "zlib"),
        .sequence = true,
    };
    s->writer = nmsg_writer_new(&config);
    for (unsigned i = 0; i < SLOTS; i++)
        s->slots[i].data = malloc(config.size);
    for (unsigned i = 0; i < SLOTS; i++)
        if (!s->slots[i].data)
            return error_set(error, "out of memory");
    return s->writer || error_set(error, "out of memory");
}

static void nmsg_sink_free(struct sink *s)
{
    close_socket(s);
    waker_close(&s->waker);
    nmsg_maker_free(&s->maker);
    nmsg_writer_free(s->writer);
    for (unsigned i = 0; i < SLOTS; i++)
        free(s->slots[i].data);
    free(s);
}

static struct sink *nmsg_sink_open(const struct place *place, const struct sink_host *host,
                                   struct error *error)
{
    (void)host;
    struct sink *s = calloc(1, sizeof *s);
    if (!s) {
        error_set(error, "out of memory");
        return NULL;
    }
    s->place = place;
    s->fd = s->waker.fd = -1;
    s->flush_ms = options_number(place->options, "flush");
    s->rate = options_number(place->options, "rate");
    s->by_name = address_is_name(place);
    s->look_up_ms = options_number(place->options, "resolve-every");
    nmsg_maker_init(&s->maker, place->options);
    if (!waker_init(&s->waker))
        error_set(error, "no descriptor left: %s", strerror(errno));
    else if (open_writer(s, error))
        return s;
    nmsg_sink_free(s);
    return NULL;
}

/* The first `n` tickets are done with. */
static void settle_held(struct sink *s, unsigned n, enum outcome outcome)
{
    assert(n <= s->held_sealed && s->held_sealed <= s->held_count);
    for (unsigned i = 0; i < n; i++) {
        ticket_settle(&s->held[i].ticket, outcome, s->held[i].count);
        ticket_drop(&s->held[i].ticket);
    }
    s->held_count -= n;
    s->held_sealed -= n;
    memmove(s->held, s->held + n, s->held_count * sizeof s->held[0]);
}

/* What became of a slot's datagram. */
static void settle_slot(struct sink *s, const struct slot *slot, bool taken)
{
    s->torn = s->torn || !taken;
    if (slot->held == 0)
        return;
    settle_held(s, slot->held, s->torn ? OUTCOME_FAILED : OUTCOME_DELIVERED);
    s->torn = false;
}

/* With rate=: how many may go now; sleeps until at least one may. 0: woken. */
static unsigned wait_for_pace(struct sink *s, unsigned want)
{
    while (s->rate > 0) {
        uint64_t now = now_ms();
        if (now - s->pace_ms > 1000) { /* no credit from a pause */
            s->pace_ms = now - 1000 / BURSTS;
            s->paced = 0;
        }
        uint64_t allowed = (now - s->pace_ms) * s->rate / 1000 + 1;
        if (allowed > s->paced)
            return allowed - s->paced < want ? (unsigned)(allowed - s->paced) : want;
        uint64_t wait = (s->paced + 1 - allowed) * 1000 / s->rate + 1;
        if (waker_wait(&s->waker, -1, 0, (int)wait) == WAIT_WOKEN)
            return 0;
    }
    return want;
}

/* Hands up to `n` datagrams from slot `at` on to the kernel; how many it took, or -1 with errno. */
static int send_some(struct sink *s, unsigned at, unsigned n)
{
    struct mmsghdr messages[SLOTS];
    struct iovec pieces[SLOTS];
    for (unsigned i = 0; i < n; i++) {
        pieces[i] =
            (struct iovec){.iov_base = s->slots[at + i].data, .iov_len = s->slots[at + i].len};
        messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &pieces[i], .msg_iovlen = 1}};
    }
    return sendmmsg(s->fd, messages, n, 0);
}

/* Whether the same datagram may be tried again after an error: one that an earlier datagram caused
 * (a port that nobody listens on is told by ICMP, later), or one that passes. */
static bool try_again(struct sink *s, int error, bool *told)
{
    if (error == EAGAIN || error == ENOBUFS)
        return waker_wait(&s->waker, error == EAGAIN ? s->fd : -1, POLLOUT,
                          error == EAGAIN ? -1 : 1) != WAIT_WOKEN;
    bool first = !*told;
    *told = true;
    s->refused = s->refused || error == ECONNREFUSED;
    return first && (error == ECONNREFUSED || error == EINTR);
}

static bool send_ready(struct sink *s)
{
    static struct log_limit limit;
    unsigned at = 0;
    bool told = false;
    if (!reach(s)) {
        s->ready = 0;
        return false;
    }
    while (at < s->ready && !waker_woken(&s->waker)) {
        unsigned n = wait_for_pace(s, s->ready - at);
        if (n == 0)
            break;
        int sent = send_some(s, at, n);
        if (sent < 0 && try_again(s, errno, &told))
            continue;
        if (waker_woken(&s->waker) && sent < 0)
            break;
        if (sent < 0)
            log_limited(&limit, LOG_WARN, "sink %s: a datagram was refused: %s", s->place->url,
                        strerror(errno));
        told = false;
        unsigned done = sent < 0 ? 1 : (unsigned)sent;
        s->paced += done;
        for (unsigned i = 0; i < done; i++)
            settle_slot(s, &s->slots[at + i], sent >= 0);
        at += done;
    }
    bool whole = at == s->ready;
    s->ready = 0;
    return whole;
}

static bool take_datagram(void *arg, struct octets datagram, bool last)
{
    struct sink *s = arg;
    if (s->ready == SLOTS && !send_ready(s))
        return false;
    assert(s->ready < SLOTS && s->held_sealed <= s->held_count);
    struct slot *slot = &s->slots[s->ready++];
    memcpy(slot->data, datagram.data, datagram.len);
    slot->len = datagram.len;
    slot->held = 0;
    if (last) {
        /* its own are those behind the ones of containers sealed before */
        slot->held = s->held_count - s->held_sealed;
        s->held_sealed = s->held_count;
    }
    return true;
}

/* Closes the open container. What cannot go on is failed, unless we were interrupted. */
static void seal(struct sink *s)
{
    if (nmsg_writer_count(s->writer) == 0 || nmsg_writer_seal(s->writer, take_datagram, s))
        return;
    if (waker_woken(&s->waker))
        return;
    if (!send_ready(s)) /* in order: what stands before it is settled first */
        return;
    s->torn = false;
    s->held_sealed = s->held_count;
    settle_held(s, s->held_count, OUTCOME_FAILED);
}

static void flush(struct sink *s)
{
    seal(s);
    if (s->ready > 0)
        send_ready(s);
}

static void hold(struct sink *s, const struct parcel *parcel, bool *held_here)
{
    if (!*held_here || s->held_count == s->held_sealed) {
        assert(s->held_count < HELD_MAX);
        s->held[s->held_count++] = (struct held){.ticket = ticket_take(parcel)};
        *held_here = true;
    }
    s->held[s->held_count - 1].count++;
}

static void put_message(struct sink *s, const struct parcel *parcel, struct frame frame,
                        bool *held_here)
{
    static const enum outcome outcomes[] = {
        [ENCODE_FILTERED] = OUTCOME_FILTERED,
        [ENCODE_MALFORMED] = OUTCOME_MALFORMED,
        [ENCODE_FAILED] = OUTCOME_FAILED,
    };
    struct nmsg_payload payload;
    enum encode_result result = nmsg_make(&s->maker, frame, &payload);
    if (result != ENCODE_OK) {
        parcel_settle(parcel, outcomes[result], 1);
        return;
    }
    if (s->held_count == HELD_MAX)
        flush(s);
    if (s->held_count == HELD_MAX)
        return; /* interrupted: the message stays in flight */
    bool put = nmsg_writer_put(s->writer, &payload);
    if (!put && nmsg_writer_count(s->writer) > 0) {
        seal(s);
        if (waker_woken(&s->waker))
            return;
        put = nmsg_writer_put(s->writer, &payload);
    }
    if (!put) {
        parcel_settle(parcel, OUTCOME_FAILED, 1);
        return;
    }
    if (nmsg_writer_count(s->writer) == 1)
        s->opened_ms = now_ms();
    hold(s, parcel, held_here);
}

static bool flush_due(const struct sink *s)
{
    return nmsg_writer_count(s->writer) > 0 && now_ms() - s->opened_ms >= s->flush_ms;
}

static void nmsg_sink_write(struct sink *s, const struct parcel *parcel)
{
    struct reader r = reader_over(parcel->data, parcel->len);
    struct frame frame;
    bool held_here = false;
    while (!waker_woken(&s->waker) && frame_next(&r, &frame))
        put_message(s, parcel, frame, &held_here);
    if (flush_due(s))
        seal(s);
    if (s->ready > 0)
        send_ready(s);
}

static int nmsg_sink_idle(struct sink *s)
{
    if (nmsg_writer_count(s->writer) == 0)
        return -1;
    uint64_t age = now_ms() - s->opened_ms;
    if (age < s->flush_ms)
        return (int)(s->flush_ms - age);
    flush(s);
    return -1;
}

/* What was interrupted stays in flight. */
static void nmsg_sink_finish(struct sink *s)
{
    if (!waker_woken(&s->waker))
        flush(s);
    for (unsigned i = 0; i < s->held_count; i++)
        ticket_drop(&s->held[i].ticket);
    s->held_count = s->held_sealed = 0;
}

static void nmsg_sink_interrupt(struct sink *s)
{
    waker_wake(&s->waker);
}

static uint64_t nmsg_sink_memory(const struct options *options, uint64_t batch_max)
{
    struct nmsg_writer_config config = {.size = (uint32_t)options_number(options, "mtu"),
                                        .zlib = options_flag(options, "zlib")};
    uint64_t made = options_is(options, "type", "dnstap") ? 0 : 2 * (batch_max + 256);
    return sizeof(struct sink) + SLOTS * (uint64_t)config.size + made +
           nmsg_writer_memory(&config, batch_max);
}

static bool nmsg_sink_check(const struct place *place, struct error *error)
{
    unsigned interface;
    if (options_given(place->options, "format"))
        return error_set(error, "carries NMSG only; leave format= out, type= says what is in it");
    return address_check(place, error) && nmsg_interface(place->options, &interface, error);
}

const struct sink_ops nmsg_sink_ops = {
    .check = nmsg_sink_check,
    .open = nmsg_sink_open,
    .write = nmsg_sink_write,
    .idle = nmsg_sink_idle,
    .finish = nmsg_sink_finish,
    .interrupt = nmsg_sink_interrupt,
    .free = nmsg_sink_free,
    .memory = nmsg_sink_memory,
};
