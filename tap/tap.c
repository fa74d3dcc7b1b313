/* The tap in one file, in the order in which a message passes: the ring of a lane, the encoder that
 * writes into it, the sender that empties it, the outputs it writes to. tap.h has the idea. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* the writer thread blocks SIGPIPE as well */
#endif

enum {
    FRAME_HEADER = 4,        /* octets of length before each message */
    CACHE_LINE = 128,        /* two lines of 64: processors prefetch the neighbour */
    LANE_SHARE = 256 << 10,  /* octets that one lane may send before the next has its turn */
    BATCH_RUNS = 64,         /* runs in one write; well below any IOV_MAX */
    CLOSING_PAUSE_MS = 100,  /* the longest pause between attempts to connect while closing */
    CONTROL_FRAME_MAX = 512, /* octets */
};

static uint32_t load_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void store_be32(uint8_t *p, uint32_t value)
{
    p[0] = (uint8_t)(value >> 24);
    p[1] = (uint8_t)(value >> 16);
    p[2] = (uint8_t)(value >> 8);
    p[3] = (uint8_t)value;
}

static size_t size_min(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* ---- The ring of a lane ------------------------------------------------------------------------
 *
 * Data frames back to back. `head` and `tail` count the octets that ever went in and out; both
 * sides keep an offset into the memory beside them. A frame never wraps: it begins below `capacity`
 * and may end in the `limit` octets behind it, and then the next begins at 0. With head - tail <=
 * capacity that is enough to keep them apart: let a lap end at e >= capacity, the tail be at t in
 * it and the head at h in the next; then (e - t) + h <= capacity, so h <= t.
 *
 * A ring that the producer finds empty begins again at 0, and `jump` says at which head that was.
 * So a lane uses no more of the processor's caches than what it holds between two looks of the
 * writer.
 *
 * The head's side is the producer's, the tail's side the writer thread's; each has cache lines of
 * its own. The writer moves the tail once a look, so reading it for each message costs the producer
 * little. */

struct tap_lane {
    uint8_t *memory;
    size_t capacity;
    size_t limit; /* the longest frame that may go in */
    const uint8_t *constants;
    size_t constants_len;
    struct tap *tap;
    struct tap_lane *next; /* set before the lane is published, never changed */
    bool returned;         /* under the tap's lock */

    /* the producer's */
    alignas(CACHE_LINE) _Atomic uint64_t head;
    _Atomic uint64_t jump; /* the frame that begins at this head is at offset 0 */
    size_t put;            /* offset of the next frame */
    _Atomic uint64_t accepted;
    _Atomic uint64_t dropped;

    /* the writer thread's */
    alignas(CACHE_LINE) _Atomic uint64_t tail;
    size_t take; /* offset of the oldest frame */
    _Atomic uint64_t written;
    _Atomic uint64_t failed;
};

/* Adds to a number that this thread alone writes. */
static void count(_Atomic uint64_t *number, uint64_t more, memory_order order)
{
    /* relaxed: nobody else stores here */
    uint64_t value = atomic_load_explicit(number, memory_order_relaxed);
    atomic_store_explicit(number, value + more, order);
}

/* Room for one frame of `len` octets, or NULL. */
static uint8_t *lane_reserve(struct tap_lane *lane, uint64_t len)
{
    if (len > lane->limit)
        return NULL;
    /* relaxed: the head is this thread's own */
    uint64_t head = atomic_load_explicit(&lane->head, memory_order_relaxed);
    /* acquire: the writer has read the octets before it moved the tail over them */
    uint64_t tail = atomic_load_explicit(&lane->tail, memory_order_acquire);
    if (head - tail + len > lane->capacity)
        return NULL;
    if (head == tail) {
        lane->put = 0;
        /* relaxed: the release of the head orders it before the frame is seen */
        atomic_store_explicit(&lane->jump, head, memory_order_relaxed);
    }
    return lane->memory + lane->put;
}

static void lane_commit(struct tap_lane *lane, size_t len)
{
    lane->put += len;
    if (lane->put >= lane->capacity)
        lane->put = 0;
    /* relaxed: a statistic; the release of the head orders it before what the writer counts */
    count(&lane->accepted, 1, memory_order_relaxed);
    /* release: the frame is whole before the writer sees it */
    count(&lane->head, len, memory_order_release);
}

/* Octets that wait for the writer thread; called by it. */
static size_t lane_used(const struct tap_lane *lane)
{
    /* acquire: the frames below the head are whole */
    uint64_t head = atomic_load_explicit(&lane->head, memory_order_acquire);
    /* relaxed: the tail is this thread's own */
    return (size_t)(head - atomic_load_explicit(&lane->tail, memory_order_relaxed));
}

/* Finds the oldest frame; returns the octets that wait. */
static size_t lane_front(struct tap_lane *lane)
{
    size_t used = lane_used(lane);
    /* relaxed, both: the tail is our own; there was no jump since the head that lane_used acquired
     * but to this tail, for the ring has not been empty */
    if (used > 0 && atomic_load_explicit(&lane->jump, memory_order_relaxed) ==
                        atomic_load_explicit(&lane->tail, memory_order_relaxed))
        lane->take = 0;
    return used;
}

/* The run of whole frames at `offset`, of `used` octets that are there at most: to the end of the
 * lap, or as much as `share` allows (one frame at least). */
static struct tap_run lane_run(const struct tap_lane *lane, size_t offset, size_t used,
                               size_t share)
{
    struct tap_run run = {.data = lane->memory + offset, .len = 0, .messages = 0};
    while (run.len < used && offset + run.len < lane->capacity) {
        size_t frame = FRAME_HEADER + load_be32(run.data + run.len);
        if (run.len > 0 && run.len + frame > share)
            break;
        run.len += frame;
        run.messages++;
    }
    return run;
}

/* Takes out the frames that are whole in the oldest `octets`, `failed` of them given up. Returns
 * the octets that it took out, and in *messages their number. */
static size_t lane_release(struct tap_lane *lane, size_t octets, uint32_t *failed,
                           uint32_t *messages)
{
    size_t done = 0;
    *messages = 0;
    while (done < octets) {
        size_t frame = FRAME_HEADER + load_be32(lane->memory + lane->take + done);
        if (frame > octets - done)
            break;
        done += frame;
        ++*messages;
    }
    lane->take += done;
    if (lane->take >= lane->capacity)
        lane->take = 0;
    uint32_t given_up = *failed < *messages ? *failed : *messages;
    *failed -= given_up;
    /* release: who reads these, and then `accepted`, finds the messages counted there */
    count(&lane->failed, given_up, memory_order_release);
    count(&lane->written, *messages - given_up, memory_order_release);
    /* release: the octets were read before the producer may write over them */
    count(&lane->tail, done, memory_order_release);
    return done;
}

struct tap_counters tap_lane_counters(const struct tap_lane *lane)
{
    struct tap_counters c;
    /* acquire, and before `accepted`: see lane_release */
    c.written = atomic_load_explicit(&lane->written, memory_order_acquire);
    c.failed = atomic_load_explicit(&lane->failed, memory_order_acquire);
    uint64_t tail = atomic_load_explicit(&lane->tail, memory_order_acquire);
    /* relaxed: statistics */
    c.ring_used = atomic_load_explicit(&lane->head, memory_order_relaxed) - tail;
    if (c.ring_used > lane->capacity)
        c.ring_used = lane->capacity; /* the head moved on between the two */
    c.accepted = atomic_load_explicit(&lane->accepted, memory_order_relaxed);
    c.dropped = atomic_load_explicit(&lane->dropped, memory_order_relaxed);
    return c;
}

static void lane_free(struct tap_lane *lane)
{
    if (!lane)
        return;
    free(lane->memory);
    free(lane);
}

static struct tap_lane *lane_new(size_t capacity)
{
    void *place = NULL;
    if (posix_memalign(&place, CACHE_LINE, sizeof(struct tap_lane)) != 0)
        return NULL;
    struct tap_lane *lane = memset(place, 0, sizeof *lane);
    lane->capacity = capacity;
    lane->limit = size_min(capacity, TAP_FRAME_MAX);
    size_t size = capacity + lane->limit;
    lane->memory = malloc(size);
    if (!lane->memory) {
        lane_free(lane);
        return NULL;
    }
    memset(lane->memory, 0xff, size); /* the page faults happen here, not under tap_emit */
    return lane;
}

/* ---- The encoder -------------------------------------------------------------------------------
 *
 * Protocol Buffers by hand, in the order of the field numbers, so that the octets are those that
 * every library makes. Each put_ function returns where the next field goes. `out` NULL means: only
 * measure; so one list of fields serves both passes, and where everything is inlined the compiler
 * makes two passes of it that do not ask. Sums are 64 bits wide, so that no length that a caller
 * can pass makes them overflow. */

#ifdef __GNUC__
#define ALWAYS_INLINE inline __attribute__((always_inline))
#else
#define ALWAYS_INLINE inline
#endif

enum { WIRE_VARINT = 0, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

static ALWAYS_INLINE uint64_t varint_size(uint64_t value)
{
#ifdef __GNUC__
    unsigned bits = 64 - (unsigned)__builtin_clzll(value | 1);
    return (bits * 9 + 64) / 64; /* ceil(bits / 7), for 1 to 64 */
#else
    uint64_t size = 1;
    while (value >>= 7)
        size++;
    return size;
#endif
}

static ALWAYS_INLINE uint64_t put_varint(uint8_t *out, uint64_t at, uint64_t value)
{
    if (!out)
        return at + varint_size(value);
    while (value >= 0x80) {
        out[at++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    out[at] = (uint8_t)value;
    return at + 1;
}

static ALWAYS_INLINE uint64_t put_tag(uint8_t *out, uint64_t at, unsigned field, unsigned wire)
{
    return put_varint(out, at, field << 3 | wire);
}

static ALWAYS_INLINE uint64_t put_number(uint8_t *out, uint64_t at, unsigned field, uint64_t value)
{
    if (value == 0)
        return at;
    at = put_tag(out, at, field, WIRE_VARINT);
    return put_varint(out, at, value);
}

static ALWAYS_INLINE uint64_t put_fixed32(uint8_t *out, uint64_t at, unsigned field, uint32_t value)
{
    at = put_tag(out, at, field, WIRE_FIXED32);
    if (out) {
        out[at] = (uint8_t)value;
        out[at + 1] = (uint8_t)(value >> 8);
        out[at + 2] = (uint8_t)(value >> 16);
        out[at + 3] = (uint8_t)(value >> 24);
    }
    return at + 4;
}

static ALWAYS_INLINE uint64_t put_bytes(uint8_t *out, uint64_t at, unsigned field,
                                        struct tap_bytes bytes)
{
    if (!bytes.data)
        return at;
    at = put_tag(out, at, field, WIRE_BYTES);
    at = put_varint(out, at, bytes.len);
    if (out)
        memcpy(out + at, bytes.data, bytes.len);
    return at + bytes.len;
}

/* An address is 4 or 16 octets: sizes that the compiler copies without a call. */
static ALWAYS_INLINE uint64_t put_address(uint8_t *out, uint64_t at, unsigned field,
                                          struct tap_bytes bytes)
{
    if (bytes.len != 4 && bytes.len != 16)
        return put_bytes(out, at, field, bytes);
    if (!bytes.data)
        return at;
    at = put_tag(out, at, field, WIRE_BYTES);
    at = put_varint(out, at, bytes.len);
    if (out && bytes.len == 4)
        memcpy(out + at, bytes.data, 4);
    else if (out)
        memcpy(out + at, bytes.data, 16);
    return at + bytes.len;
}

/* Seconds in `field`, nanoseconds in the one after it. */
static ALWAYS_INLINE uint64_t put_time(uint8_t *out, uint64_t at, unsigned field,
                                       struct timespec time)
{
    if (time.tv_sec == 0 && time.tv_nsec == 0)
        return at;
    at = put_tag(out, at, field, WIRE_VARINT);
    at = put_varint(out, at, (uint64_t)time.tv_sec);
    return put_fixed32(out, at, field + 1, (uint32_t)time.tv_nsec);
}

static ALWAYS_INLINE uint64_t put_policy_fields(uint8_t *out, uint64_t at,
                                                const struct tap_policy *p)
{
    at = put_bytes(out, at, 1, p->type);
    at = put_bytes(out, at, 2, p->rule);
    at = put_number(out, at, 3, p->action);
    at = put_number(out, at, 4, p->match);
    return put_bytes(out, at, 5, p->value);
}

static uint64_t put_policy(uint8_t *out, uint64_t at, unsigned field, const struct tap_policy *p)
{
    at = put_tag(out, at, field, WIRE_BYTES);
    at = put_varint(out, at, put_policy_fields(NULL, 0, p));
    return put_policy_fields(out, at, p);
}

static ALWAYS_INLINE uint64_t put_message_fields(uint8_t *out, uint64_t at,
                                                 const struct tap_message *m)
{
    at = put_number(out, at, 1, m->type);
    at = put_number(out, at, 2, m->family);
    at = put_number(out, at, 3, m->protocol);
    at = put_address(out, at, 4, m->query_address);
    at = put_address(out, at, 5, m->response_address);
    at = put_number(out, at, 6, m->query_port);
    at = put_number(out, at, 7, m->response_port);
    at = put_time(out, at, 8, m->query_time);
    at = put_bytes(out, at, 10, m->query_message);
    at = put_bytes(out, at, 11, m->query_zone);
    at = put_time(out, at, 12, m->response_time);
    at = put_bytes(out, at, 14, m->response_message);
    if (m->policy)
        at = put_policy(out, at, 15, m->policy);
    return put_number(out, at, 16, m->http);
}

static ALWAYS_INLINE uint64_t put_event_fields(uint8_t *out, uint64_t at, const struct tap_event *e)
{
    at = put_number(out, at, 1, e->type);
    at = put_number(out, at, 2, e->id);
    at = put_time(out, at, 3, e->time);
    at = put_bytes(out, at, 5, e->name);
    at = put_number(out, at, 6, e->rrtype);
    at = put_number(out, at, 7, e->rrclass);
    at = put_number(out, at, 8, e->family);
    at = put_number(out, at, 9, e->protocol);
    at = put_address(out, at, 10, e->peer_address);
    at = put_number(out, at, 11, e->peer_port);
    at = put_number(out, at, 12, e->peer_prefix);
    at = put_number(out, at, 13, e->rrl_category);
    at = put_number(out, at, 14, e->rrl_limit);
    at = put_number(out, at, 15, e->rrl_dropped);
    at = put_number(out, at, 16, e->rrl_truncated);
    at = put_number(out, at, 17, e->serial_before);
    at = put_number(out, at, 18, e->serial);
    at = put_number(out, at, 19, e->outcome);
    at = put_number(out, at, 20, e->duration_usec);
    at = put_number(out, at, 21, e->messages);
    at = put_number(out, at, 22, e->records);
    at = put_number(out, at, 23, e->octets);
    at = put_number(out, at, 24, e->ttl);
    at = put_number(out, at, 25, e->age);
    at = put_number(out, at, 26, e->hits);
    return put_number(out, at, 27, e->entries);
}

/* Field numbers of dnstap.Dnstap, and what its `type` says. */
enum {
    DNSTAP_IDENTITY = 1,
    DNSTAP_VERSION = 2,
    DNSTAP_EXTRA = 3,
    DNSTAP_MESSAGE = 14,
    DNSTAP_TYPE = 15,
    DNSTAP_EVENT = 1000,
    DNSTAP_TYPE_MESSAGE = 1,
    DNSTAP_TYPE_EVENT = 1000,
};

static bool lane_drop(struct tap_lane *lane)
{
    count(&lane->dropped, 1, memory_order_relaxed); /* relaxed: a statistic */
    return false;
}

/* Length and constants of a frame of `len` octets. */
static inline uint64_t put_frame_start(const struct tap_lane *lane, uint8_t *out, uint64_t len)
{
    store_be32(out, (uint32_t)(len - FRAME_HEADER));
    memcpy(out + FRAME_HEADER, lane->constants, lane->constants_len);
    return FRAME_HEADER + lane->constants_len;
}

bool tap_emit(struct tap_lane *lane, const struct tap_message *message)
{
    if (message->type < TAP_AUTH_QUERY || message->type > TAP_UPDATE_RESPONSE)
        return lane_drop(lane);
    uint64_t body = put_message_fields(NULL, 0, message);
    uint64_t len = FRAME_HEADER + lane->constants_len;
    len = put_tag(NULL, len, DNSTAP_MESSAGE, WIRE_BYTES);
    len = put_varint(NULL, len, body) + body;
    len = put_number(NULL, len, DNSTAP_TYPE, DNSTAP_TYPE_MESSAGE);

    uint8_t *out = lane_reserve(lane, len);
    if (!out)
        return lane_drop(lane);
    uint64_t at = put_frame_start(lane, out, len);
    at = put_tag(out, at, DNSTAP_MESSAGE, WIRE_BYTES);
    at = put_varint(out, at, body);
    at = put_message_fields(out, at, message);
    put_number(out, at, DNSTAP_TYPE, DNSTAP_TYPE_MESSAGE);
    lane_commit(lane, (size_t)len);
    return true;
}

bool tap_emit_event(struct tap_lane *lane, const struct tap_event *event)
{
    if (event->type < TAP_RRL_START || event->type > TAP_CACHE_EXPIRY)
        return lane_drop(lane);
    uint64_t body = put_event_fields(NULL, 0, event);
    uint64_t len = FRAME_HEADER + lane->constants_len;
    len = put_number(NULL, len, DNSTAP_TYPE, DNSTAP_TYPE_EVENT);
    len = put_tag(NULL, len, DNSTAP_EVENT, WIRE_BYTES);
    len = put_varint(NULL, len, body) + body;

    uint8_t *out = lane_reserve(lane, len);
    if (!out)
        return lane_drop(lane);
    uint64_t at = put_frame_start(lane, out, len);
    at = put_number(out, at, DNSTAP_TYPE, DNSTAP_TYPE_EVENT);
    at = put_tag(out, at, DNSTAP_EVENT, WIRE_BYTES);
    at = put_varint(out, at, body);
    put_event_fields(out, at, event);
    lane_commit(lane, (size_t)len);
    return true;
}

struct tap_bytes tap_string(const char *string)
{
    if (!string)
        return (struct tap_bytes){0};
    return (struct tap_bytes){.data = string, .len = (uint32_t)strnlen(string, UINT32_MAX)};
}

static enum tap_family address_split(const struct sockaddr *address, struct tap_bytes *octets,
                                     uint16_t *port)
{
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)address;
        *octets = (struct tap_bytes){&in->sin_addr, sizeof in->sin_addr};
        *port = ntohs(in->sin_port);
        return TAP_INET;
    }
    if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)address;
        *octets = (struct tap_bytes){&in6->sin6_addr, sizeof in6->sin6_addr};
        *port = ntohs(in6->sin6_port);
        return TAP_INET6;
    }
    return 0;
}

void tap_message_query_peer(struct tap_message *message, const struct sockaddr *address)
{
    enum tap_family family = address_split(address, &message->query_address, &message->query_port);
    if (family)
        message->family = family;
}

void tap_message_response_peer(struct tap_message *message, const struct sockaddr *address)
{
    enum tap_family family =
        address_split(address, &message->response_address, &message->response_port);
    if (family)
        message->family = family;
}

/* ---- Waiting -------------------------------------------------------------------------------- */

struct tap_wait {
    int wake[2]; /* a pipe: readable once the tap is closing */
    atomic_bool closing;
    int64_t deadline_ms; /* written before `closing` */
    const struct tap *tap;
    bool opening; /* the writer thread's: it waits for a connection */
};

static bool sender_drained(const struct tap *tap);

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool wait_closing(const struct tap_wait *wait)
{
    /* acquire: the deadline was written before */
    return atomic_load_explicit(&wait->closing, memory_order_acquire);
}

/* Whether a closing tap's time is up; or it waits for a connection that it does not need any more.
 */
static bool wait_over(const struct tap_wait *wait, int64_t now)
{
    if (!wait_closing(wait))
        return false;
    return now >= wait->deadline_ms || (wait->opening && sender_drained(wait->tap));
}

/* Milliseconds from `now` to `until` as poll() takes them. */
static int poll_timeout(int64_t now, int64_t until)
{
    if (until == INT64_MAX)
        return -1;
    int64_t left = until - now;
    if (left < 0)
        return 0;
    return left > INT32_MAX ? INT32_MAX : (int)left;
}

enum tap_wait_result tap_wait(struct tap_wait *wait, int fd, short events, int timeout_ms)
{
    int64_t now = now_ms();
    int64_t until = timeout_ms < 0 ? INT64_MAX : now + timeout_ms;
    for (;;) {
        bool closing = wait_closing(wait);
        if (wait_over(wait, now))
            return TAP_WAIT_OVER;
        int64_t limit = closing && wait->deadline_ms < until ? wait->deadline_ms : until;
        struct pollfd fds[2] = {
            {.fd = fd, .events = events},
            {.fd = closing ? -1 : wait->wake[0], .events = POLLIN},
        };
        int ready = poll(fds, 2, poll_timeout(now, limit));
        if (ready > 0 && fds[0].revents)
            return TAP_WAIT_READY;
        if (ready < 0 && errno != EINTR)
            return TAP_WAIT_TIMEOUT;
        now = now_ms();
        if (now >= until)
            return TAP_WAIT_TIMEOUT;
    }
}

static bool wait_open(struct tap_wait *wait)
{
    if (pipe(wait->wake) != 0)
        return false;
    for (int i = 0; i < 2; i++) {
        fcntl(wait->wake[i], F_SETFD, FD_CLOEXEC);
        fcntl(wait->wake[i], F_SETFL, O_NONBLOCK);
    }
    return true;
}

static void wait_end(struct tap_wait *wait, unsigned timeout_ms)
{
    wait->deadline_ms = now_ms() + timeout_ms;
    /* release: the writer thread finds the deadline */
    atomic_store_explicit(&wait->closing, true, memory_order_release);
    /* one octet in an empty pipe always fits; it is never read, so every later poll() sees it */
    while (write(wait->wake[1], "", 1) < 0 && errno == EINTR)
        ;
}

static void wait_close(struct tap_wait *wait)
{
    close(wait->wake[0]);
    close(wait->wake[1]);
}

/* ---- Frame Streams -------------------------------------------------------------------------- */

#define CONTENT_TYPE "protobuf:dnstap.Dnstap"

enum { CONTROL_ACCEPT = 1, CONTROL_START, CONTROL_STOP, CONTROL_READY, CONTROL_FINISH };
enum { CONTROL_FIELD_CONTENT_TYPE = 1 };

/* A control frame with its escape: 4 octets of 0, length, type, and fields. */
struct control {
    uint8_t data[8 + CONTROL_FRAME_MAX];
    size_t len; /* with the escape */
};

static struct control control_make(uint32_t type)
{
    struct control c = {.len = 12};
    store_be32(c.data + 8, type);
    if (type != CONTROL_STOP) {
        size_t content = sizeof CONTENT_TYPE - 1;
        store_be32(c.data + 12, CONTROL_FIELD_CONTENT_TYPE);
        store_be32(c.data + 16, (uint32_t)content);
        memcpy(c.data + 20, CONTENT_TYPE, content);
        c.len = 20 + content;
    }
    store_be32(c.data + 4, (uint32_t)(c.len - 8));
    return c;
}

/* Whether the receiver takes dnstap: it names our content type, or none at all. */
static bool control_accepts(const struct control *c)
{
    bool named = false;
    size_t at = 12;
    while (c->len - at >= 8) {
        uint32_t field = load_be32(c->data + at);
        uint32_t len = load_be32(c->data + at + 4);
        at += 8;
        if (len > c->len - at)
            return false;
        if (field == CONTROL_FIELD_CONTENT_TYPE) {
            if (len == sizeof CONTENT_TYPE - 1 && memcmp(c->data + at, CONTENT_TYPE, len) == 0)
                return true;
            named = true;
        }
        at += len;
    }
    return !named;
}

static bool say(char *error, size_t error_size, const char *what)
{
    snprintf(error, error_size, "%s", what);
    return false;
}

/* ---- The outputs: unix and TCP sockets ------------------------------------------------------ */

struct stream {
    struct tap_output output;
    int fd;
    int connect_ms;
    struct addrinfo *resolved; /* tcp: what the host's name stood for; else NULL */
    struct sockaddr_un unix_address;
};

static struct stream *stream_of(struct tap_output *output)
{
    return (struct stream *)(void *)output; /* its first member */
}

static void stream_destroy(struct tap_output *output)
{
    struct stream *s = stream_of(output);
    if (s->resolved)
        freeaddrinfo(s->resolved);
    free(s);
}

static struct stream *stream_new(const struct tap_output_ops *ops,
                                 const struct tap_options *options)
{
    struct stream *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->output.ops = ops;
    s->fd = -1;
    s->connect_ms = (int)options->connect_ms;
    return s;
}

/* errno for what tap_wait said instead of TAP_WAIT_READY. */
static int wait_errno(enum tap_wait_result result)
{
    return result == TAP_WAIT_OVER ? ECANCELED : ETIMEDOUT;
}

static bool stream_await(const struct stream *s, short events, int64_t until, struct tap_wait *wait)
{
    enum tap_wait_result result = tap_wait(wait, s->fd, events, poll_timeout(now_ms(), until));
    if (result == TAP_WAIT_READY)
        return true;
    errno = wait_errno(result);
    return false;
}

static bool stream_send(const struct stream *s, const struct control *c, int64_t until,
                        struct tap_wait *wait)
{
    size_t sent = 0;
    while (sent < c->len) {
        ssize_t n = send(s->fd, c->data + sent, c->len - sent, MSG_NOSIGNAL);
        if (n > 0)
            sent += (size_t)n;
        else if (errno != EINTR && errno != EAGAIN)
            return false;
        else if (!stream_await(s, POLLOUT, until, wait))
            return false;
    }
    return true;
}

static bool stream_receive_octets(const struct stream *s, uint8_t *data, size_t len, int64_t until,
                                  struct tap_wait *wait)
{
    size_t have = 0;
    while (have < len) {
        ssize_t n = recv(s->fd, data + have, len - have, 0);
        if (n == 0)
            errno = ECONNRESET;
        if (n > 0)
            have += (size_t)n;
        else if (n == 0 || (errno != EINTR && errno != EAGAIN))
            return false;
        else if (!stream_await(s, POLLIN, until, wait))
            return false;
    }
    return true;
}

/* Reads a control frame of this type; any other is a breach of the protocol. */
static bool stream_receive(const struct stream *s, uint32_t type, struct control *c, int64_t until,
                           struct tap_wait *wait)
{
    if (!stream_receive_octets(s, c->data, 8, until, wait))
        return false;
    uint32_t len = load_be32(c->data + 4);
    errno = EPROTO;
    if (load_be32(c->data) != 0 || len < 4 || len > CONTROL_FRAME_MAX)
        return false;
    if (!stream_receive_octets(s, c->data + 8, len, until, wait))
        return false;
    c->len = 8 + len;
    errno = EPROTO;
    return load_be32(c->data + 8) == type;
}

static bool stream_handshake(const struct stream *s, int64_t until, struct tap_wait *wait)
{
    struct control ready = control_make(CONTROL_READY);
    struct control start = control_make(CONTROL_START);
    struct control accept;
    if (!stream_send(s, &ready, until, wait) ||
        !stream_receive(s, CONTROL_ACCEPT, &accept, until, wait))
        return false;
    errno = EPROTONOSUPPORT;
    return control_accepts(&accept) && stream_send(s, &start, until, wait);
}

static void socket_tune(int fd, int family)
{
    int on = 1;
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(fd, F_SETFL, O_NONBLOCK);
#ifdef SO_NOSIGPIPE
    setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
#endif
    if (family == AF_UNIX)
        return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* writes are batches already */
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
#if defined TCP_KEEPIDLE && defined TCP_KEEPINTVL && defined TCP_KEEPCNT
    /* an idle collector whose machine vanished is noticed within a minute */
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &(int){30}, sizeof(int));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &(int){10}, sizeof(int));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &(int){3}, sizeof(int));
#endif
}

static bool stream_connect(struct stream *s, const struct sockaddr *address, socklen_t len,
                           int64_t until, struct tap_wait *wait)
{
    s->fd = socket(address->sa_family, SOCK_STREAM, 0);
    if (s->fd < 0)
        return false;
    socket_tune(s->fd, address->sa_family);
    if (connect(s->fd, address, len) == 0)
        return true;
    if (errno != EINPROGRESS)
        return false;
    if (!stream_await(s, POLLOUT, until, wait))
        return false;
    int problem = 0;
    socklen_t size = sizeof problem;
    getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &problem, &size);
    errno = problem;
    return problem == 0;
}

static bool stream_try(struct stream *s, const struct sockaddr *address, socklen_t len,
                       struct tap_wait *wait)
{
    int64_t until = now_ms() + s->connect_ms;
    if (stream_connect(s, address, len, until, wait) && stream_handshake(s, until, wait))
        return true;
    int problem = errno;
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
    errno = problem;
    return false;
}

static const char *stream_problem(int problem)
{
    switch (problem) {
    case EPROTO:
        return "the receiver does not speak Frame Streams";
    case EPROTONOSUPPORT:
        return "the receiver does not take " CONTENT_TYPE;
    default:
        return strerror(problem);
    }
}

static bool stream_open(struct tap_output *output, struct tap_wait *wait, char *error,
                        size_t error_size)
{
    struct stream *s = stream_of(output);
    if (!s->resolved) {
        const struct sockaddr *address = (const void *)&s->unix_address;
        if (stream_try(s, address, sizeof s->unix_address, wait))
            return true;
    }
    for (const struct addrinfo *a = s->resolved; a; a = a->ai_next)
        if (stream_try(s, a->ai_addr, a->ai_addrlen, wait))
            return true;
    return say(error, error_size, stream_problem(errno));
}

/* What writev and sendmsg want for runs; the data is only read. */
static unsigned runs_to_iovec(const struct tap_run *runs, unsigned runs_count, struct iovec *iov)
{
    if (runs_count > BATCH_RUNS)
        runs_count = BATCH_RUNS;
    for (unsigned i = 0; i < runs_count; i++) {
        union {
            const uint8_t *readable;
            void *base;
        } data = {.readable = runs[i].data};
        iov[i] = (struct iovec){.iov_base = data.base, .iov_len = runs[i].len};
    }
    return runs_count;
}

static ssize_t stream_write(struct tap_output *output, const struct tap_run *runs, unsigned count,
                            uint32_t *failed, struct tap_wait *wait)
{
    (void)failed;
    const struct stream *s = stream_of(output);
    struct iovec iov[BATCH_RUNS];
    struct msghdr header = {.msg_iov = iov, .msg_iovlen = runs_to_iovec(runs, count, iov)};
    for (;;) {
        ssize_t n = sendmsg(s->fd, &header, MSG_NOSIGNAL);
        if (n > 0)
            return n;
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return -1;
        if (tap_wait(wait, s->fd, POLLOUT, -1) == TAP_WAIT_OVER)
            return 0;
    }
}

static int stream_descriptor(const struct tap_output *output)
{
    return ((const struct stream *)(const void *)output)->fd;
}

static void stream_close(struct tap_output *output, enum tap_end end, size_t torn,
                         struct tap_wait *wait)
{
    struct stream *s = stream_of(output);
    if (end == TAP_END_DONE && torn == 0) {
        struct control stop = control_make(CONTROL_STOP);
        struct control finish;
        /* how long both may take is the closing tap's deadline */
        if (stream_send(s, &stop, INT64_MAX, wait))
            stream_receive(s, CONTROL_FINISH, &finish, INT64_MAX, wait);
    }
    close(s->fd);
    s->fd = -1;
}

static struct tap_output *unix_create(const struct tap_output_ops *ops, const struct tap *tap,
                                      const char *address,
                                      const struct tap_options *options, char *error,
                                      size_t error_size)
{
    (void)tap;
    struct stream *s = stream_new(ops, options);
    if (!s) {
        say(error, error_size, "out of memory");
        return NULL;
    }
    size_t len = strlen(address);
    if (len == 0 || len >= sizeof s->unix_address.sun_path) {
        snprintf(error, error_size, "a unix socket's path has 1 to %zu octets",
                 sizeof s->unix_address.sun_path - 1);
        free(s);
        return NULL;
    }
    s->unix_address.sun_family = AF_UNIX;
    memcpy(s->unix_address.sun_path, address, len + 1);
    return &s->output;
}

/* Splits HOST:PORT or [ADDRESS]:PORT. `host` takes the copy; returns the port, or NULL. */
static const char *host_split(const char *address, char *host, size_t host_size)
{
    const char *colon = strrchr(address, ':');
    if (!colon || colon[1] == '\0')
        return NULL;
    const char *end = colon;
    if (address[0] == '[') {
        address++;
        if (--end <= address || *end != ']')
            return NULL;
    } else if (memchr(address, ':', (size_t)(end - address))) {
        return NULL; /* an IPv6 address without its brackets */
    }
    size_t len = (size_t)(end - address);
    if (len == 0 || len >= host_size)
        return NULL;
    memcpy(host, address, len);
    host[len] = '\0';
    return colon + 1;
}

static struct tap_output *tcp_create(const struct tap_output_ops *ops, const struct tap *tap,
                                      const char *address,
                                     const struct tap_options *options, char *error,
                                     size_t error_size)
{
    (void)tap;
    char host[256];
    const char *port = host_split(address, host, sizeof host);
    if (!port) {
        say(error, error_size,
            "expected tcp:HOST:PORT, for example tcp:127.0.0.1:6000 or tcp:[::1]:6000");
        return NULL;
    }
    struct addrinfo *resolved = NULL;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    int problem = getaddrinfo(host, port, &hints, &resolved);
    if (problem != 0) {
        snprintf(error, error_size, "%.100s: %s", address, gai_strerror(problem));
        return NULL;
    }
    struct stream *s = stream_new(ops, options);
    if (!s) {
        freeaddrinfo(resolved);
        say(error, error_size, "out of memory");
        return NULL;
    }
    s->resolved = resolved;
    return &s->output;
}

static const struct tap_output_ops unix_output = {
    .scheme = "unix",
    .create = unix_create,
    .open = stream_open,
    .write = stream_write,
    .descriptor = stream_descriptor,
    .close = stream_close,
    .destroy = stream_destroy,
};

static const struct tap_output_ops tcp_output = {
    .scheme = "tcp",
    .create = tcp_create,
    .open = stream_open,
    .write = stream_write,
    .descriptor = stream_descriptor,
    .close = stream_close,
    .destroy = stream_destroy,
};

/* ---- The outputs: files ------------------------------------------------------------------------
 *
 * A write that fails (a full disk) cuts the file back to its last whole message; it is opened again
 * later and goes on where it was. A FIFO that lost its reader begins a new stream with the next. */

struct file {
    struct tap_output output;
    int fd;
    bool regular;
    bool started; /* a regular file holds its START */
    char path[];
};

static struct file *file_of(struct tap_output *output)
{
    return (struct file *)(void *)output; /* its first member */
}

static void file_destroy(struct tap_output *output)
{
    free(file_of(output));
}

/* All of a control frame. A FIFO that does not take one at once is treated as lost. */
static bool file_control(const struct file *f, uint32_t type)
{
    struct control c = control_make(type);
    errno = EIO;
    return write(f->fd, c.data, c.len) == (ssize_t)c.len;
}

static bool file_open(struct tap_output *output, struct tap_wait *wait, char *error,
                      size_t error_size)
{
    (void)wait;
    struct file *f = file_of(output);
    /* O_NONBLOCK: a FIFO without a reader must not hold the writer thread */
    int flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK | (f->started ? O_APPEND : O_TRUNC);
    f->fd = open(f->path, flags, 0640);
    if (f->fd < 0)
        return say(error, error_size, strerror(errno));
    struct stat status;
    f->regular = fstat(f->fd, &status) == 0 && S_ISREG(status.st_mode);
    if (f->regular && status.st_size == 0)
        f->started = false; /* somebody moved or removed the one that held it */
    if (!f->started && !file_control(f, CONTROL_START)) {
        say(error, error_size, strerror(errno));
        close(f->fd);
        f->fd = -1;
        return false;
    }
    f->started = f->regular;
    return true;
}

static ssize_t file_write(struct tap_output *output, const struct tap_run *runs, unsigned count,
                          uint32_t *failed, struct tap_wait *wait)
{
    (void)failed;
    const struct file *f = file_of(output);
    struct iovec iov[BATCH_RUNS];
    int iov_count = (int)runs_to_iovec(runs, count, iov);
    for (;;) {
        ssize_t n = writev(f->fd, iov, iov_count);
        if (n > 0)
            return n;
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return -1;
        if (tap_wait(wait, f->fd, POLLOUT, -1) == TAP_WAIT_OVER)
            return 0;
    }
}

static int file_descriptor(const struct tap_output *output)
{
    (void)output;
    return -1; /* a regular file is always readable, and a FIFO's reader is missed at the next write
                */
}

static void file_close(struct tap_output *output, enum tap_end end, size_t torn,
                       struct tap_wait *wait)
{
    (void)wait;
    struct file *f = file_of(output);
    bool whole = torn == 0;
    struct stat status;
    if (!whole && f->regular && fstat(f->fd, &status) == 0)
        whole =
            ftruncate(f->fd, status.st_size - (off_t)torn) == 0 && lseek(f->fd, 0, SEEK_END) >= 0;
    if (end == TAP_END_DONE && whole)
        file_control(f, CONTROL_STOP);
    close(f->fd);
    f->fd = -1;
}

static struct tap_output *file_create(const struct tap_output_ops *ops, const struct tap *tap,
                                      const char *address,
                                      const struct tap_options *options, char *error,
                                      size_t error_size)
{
    (void)tap;
    (void)options;
    /* tried here so that a wrong path is an error at once; ENXIO is a FIFO that waits for its
     * reader */
    int fd = open(address, O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0640);
    if (fd < 0 && errno != ENXIO) {
        snprintf(error, error_size, "%.150s: %s", address, strerror(errno));
        return NULL;
    }
    if (fd >= 0)
        close(fd);
    size_t size = strlen(address) + 1;
    struct file *f = calloc(1, sizeof *f + size);
    if (!f) {
        say(error, error_size, "out of memory");
        return NULL;
    }
    f->output.ops = ops;
    f->fd = -1;
    memcpy(f->path, address, size);
    return &f->output;
}

static const struct tap_output_ops file_output = {
    .scheme = "file",
    .create = file_create,
    .open = file_open,
    .write = file_write,
    .descriptor = file_descriptor,
    .close = file_close,
    .destroy = file_destroy,
};

/* ---- The tap -------------------------------------------------------------------------------- */

struct tap {
    struct tap_options options;
    struct tap_output *output;
    struct tap_wait wait;
    pthread_t thread;
    char *url;
    uint8_t *constants; /* identity, version and extra, encoded */
    size_t constants_len;

    pthread_mutex_t lock; /* creating and giving back of lanes */
    _Atomic(struct tap_lane *) lanes;
    atomic_bool connected;
    _Atomic uint64_t connections;

    /* the writer thread's */
    unsigned pause_ms;    /* before the next attempt to connect */
    unsigned interval_ms; /* to the next look */
    bool complained;      /* that it cannot connect */
};

static struct tap_lane *lanes_first(const struct tap *tap)
{
    /* acquire: a lane is whole before it is in the list */
    return atomic_load_explicit(&tap->lanes, memory_order_acquire);
}

struct tap_counters tap_counters(const struct tap *tap)
{
    struct tap_counters sum = {0};
    for (const struct tap_lane *lane = lanes_first(tap); lane; lane = lane->next) {
        struct tap_counters c = tap_lane_counters(lane);
        sum.accepted += c.accepted;
        sum.dropped += c.dropped;
        sum.written += c.written;
        sum.failed += c.failed;
        sum.ring_used += c.ring_used;
    }
    return sum;
}

struct tap_status tap_status(const struct tap *tap)
{
    /* relaxed: nothing hangs on these */
    return (struct tap_status){
        .connected = atomic_load_explicit(&tap->connected, memory_order_relaxed),
        .connections = atomic_load_explicit(&tap->connections, memory_order_relaxed),
    };
}

static struct tap_lane *lane_reuse(const struct tap *tap)
{
    for (struct tap_lane *lane = lanes_first(tap); lane; lane = lane->next)
        if (lane->returned) {
            lane->returned = false; /* the lock hands the producer's side over to the new thread */
            return lane;
        }
    return NULL;
}

struct tap_lane *tap_lane(struct tap *tap)
{
    pthread_mutex_lock(&tap->lock);
    struct tap_lane *lane = lane_reuse(tap);
    if (!lane && (lane = lane_new(tap->options.ring_bytes))) {
        lane->constants = tap->constants;
        lane->constants_len = tap->constants_len;
        lane->tap = tap;
        lane->next = lanes_first(tap);
        /* release: the writer thread finds the lane whole */
        atomic_store_explicit(&tap->lanes, lane, memory_order_release);
    }
    pthread_mutex_unlock(&tap->lock);
    return lane;
}

void tap_lane_return(struct tap_lane *lane)
{
    if (!lane)
        return;
    pthread_mutex_lock(&lane->tap->lock);
    lane->returned = true;
    pthread_mutex_unlock(&lane->tap->lock);
}

/* ---- The sender: what the writer thread does ------------------------------------------------ */

/* What one write is about to take, and from which lanes. */
struct batch {
    struct tap_run runs[BATCH_RUNS];
    struct tap_lane *lanes[BATCH_RUNS];
    unsigned first; /* the first run not taken to its end */
    unsigned count;
    size_t torn; /* octets taken of the message at the front of the first run */
};

static void batch_add_run(struct batch *b, struct tap_lane *lane, struct tap_run run)
{
    b->runs[b->count] = run;
    b->lanes[b->count] = lane;
    b->count++;
}

/* Adds the lane's turn: one run, or two where its ring begins a new lap. Returns the ring's fill.
 */
static size_t batch_add(struct batch *b, struct tap_lane *lane)
{
    size_t used = lane_front(lane);
    if (used == 0)
        return 0;
    struct tap_run run = lane_run(lane, lane->take, used, LANE_SHARE);
    batch_add_run(b, lane, run);
    if (run.len < used && run.len < LANE_SHARE && lane->take + run.len >= lane->capacity)
        batch_add_run(b, lane, lane_run(lane, 0, used - run.len, LANE_SHARE - run.len));
    return used;
}

/* Books `taken` octets: the whole messages among them leave their rings. */
static void batch_settle(struct batch *b, size_t taken, uint32_t failed)
{
    while (taken > 0 && b->first < b->count) {
        struct tap_run *run = &b->runs[b->first];
        size_t step = size_min(taken, run->len);
        uint32_t messages = 0;
        b->torn += step;
        b->torn -= lane_release(b->lanes[b->first], b->torn, &failed, &messages);
        run->data += step;
        run->len -= step;
        run->messages -= messages;
        taken -= step;
        if (run->len == 0)
            b->first++;
    }
}

static void sender_log(const struct tap *tap, const char *what)
{
    if (!tap->options.log)
        return;
    char line[TAP_ERROR_SIZE * 2];
    snprintf(line, sizeof line, "dnstap: %.200s: %s", tap->url, what);
    tap->options.log(tap->options.log_arg, line);
}

static void sender_set_connected(struct tap *tap, bool connected)
{
    /* relaxed: a status that nothing hangs on */
    atomic_store_explicit(&tap->connected, connected, memory_order_relaxed);
}

static bool sender_connected(const struct tap *tap)
{
    return atomic_load_explicit(&tap->connected, memory_order_relaxed); /* relaxed: our own */
}

static void sender_disconnect(struct tap *tap, enum tap_end end, size_t torn)
{
    tap->output->ops->close(tap->output, end, torn, &tap->wait);
    sender_set_connected(tap, false);
}

static void sender_lose(struct tap *tap, const char *why, size_t torn)
{
    sender_disconnect(tap, TAP_END_LOST, torn);
    if (!wait_closing(&tap->wait))
        sender_log(tap, why);
}

static bool sender_drained(const struct tap *tap)
{
    for (const struct tap_lane *lane = lanes_first(tap); lane; lane = lane->next)
        if (lane_used(lane) > 0)
            return false;
    return true;
}

static bool sender_done(const struct tap *tap)
{
    return wait_closing(&tap->wait) && (wait_over(&tap->wait, now_ms()) || sender_drained(tap));
}

/* A time between half of this and this, so that a thousand servers do not come back at once, and
 * none in step with a collector that comes and goes. */
static unsigned sender_jitter(unsigned pause)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return pause - (unsigned)((unsigned long)now.tv_nsec / 1000 % (pause / 2 + 1));
}

/* Waits before the next attempt to connect, longer each time; shorter while the tap closes. */
static void sender_pause(struct tap *tap)
{
    unsigned pause = sender_jitter(tap->pause_ms);
    tap->pause_ms = tap->pause_ms > tap->options.reconnect_max_ms / 2
                        ? tap->options.reconnect_max_ms
                        : tap->pause_ms * 2;
    struct pollfd wake = {.fd = tap->wait.wake[0], .events = POLLIN};
    if (!wait_closing(&tap->wait))
        poll(&wake, 1, (int)pause); /* ends when the tap closes: then it is tried once more */
    else if (!sender_done(tap))
        tap_wait(&tap->wait, -1, 0, (int)size_min(pause, CLOSING_PAUSE_MS));
}

static void sender_connect(struct tap *tap)
{
    char error[TAP_ERROR_SIZE] = "";
    tap->wait.opening = true;
    bool opened = tap->output->ops->open(tap->output, &tap->wait, error, sizeof error);
    tap->wait.opening = false;
    if (!opened) {
        if (!tap->complained)
            sender_log(tap, error);
        tap->complained = true;
        sender_pause(tap);
        return;
    }
    sender_set_connected(tap, true);
    count(&tap->connections, 1, memory_order_relaxed); /* relaxed: a statistic */
    tap->complained = false;
    tap->pause_ms = tap->options.reconnect_ms; /* it works: the next loss is a new one */
    tap->interval_ms = 0;
    sender_log(tap, "connected");
}

/* Writes a batch to its end. False when the connection is gone, or the time of a closing tap. */
static bool sender_write(struct tap *tap, struct batch *b)
{
    while (b->first < b->count) {
        uint32_t failed = 0;
        ssize_t n = tap->output->ops->write(tap->output, b->runs + b->first, b->count - b->first,
                                            &failed, &tap->wait);
        if (n == 0) {
            sender_disconnect(tap, TAP_END_DONE, b->torn);
            return false;
        }
        if (n < 0) {
            sender_lose(tap, strerror(errno), b->torn);
            sender_pause(tap);
            return false;
        }
        batch_settle(b, (size_t)n, failed);
    }
    b->first = b->count = 0;
    return true;
}

/* Gives every lane its turn. False when the connection is gone; else the fullest ring in *peak. */
static bool sender_look(struct tap *tap, size_t *peak)
{
    struct batch batch = {.count = 0};
    *peak = 0;
    for (struct tap_lane *lane = lanes_first(tap); lane; lane = lane->next) {
        if (batch.count + 2 > BATCH_RUNS && !sender_write(tap, &batch))
            return false;
        size_t used = batch_add(&batch, lane);
        if (used > *peak)
            *peak = used;
    }
    return sender_write(tap, &batch);
}

/* When to look again. The emitting threads do not wake us, so: soon while messages flow, sooner
 * when a ring fills up in the meantime, and ever later when there is nothing. 0 is at once. */
static unsigned sender_interval(const struct tap *tap, size_t peak)
{
    const struct tap_options *o = &tap->options;
    unsigned slower = tap->interval_ms ? tap->interval_ms * 2 : 1;
    if (peak == 0)
        return slower < o->idle_ms ? slower : o->idle_ms;
    if (peak >= o->ring_bytes / 4)
        return tap->interval_ms / 4;
    if (peak >= o->ring_bytes / 16)
        return tap->interval_ms < o->flush_ms ? tap->interval_ms : o->flush_ms;
    return slower < o->flush_ms ? slower : o->flush_ms;
}

/* Sleeps until the next look; notices meanwhile that the receiver has gone, or that the tap closes.
 */
static void sender_rest(struct tap *tap)
{
    if (tap->interval_ms == 0)
        return;
    struct pollfd fds[2] = {
        {.fd = tap->wait.wake[0], .events = POLLIN},
        {.fd = tap->output->ops->descriptor(tap->output), .events = POLLIN},
    };
    if (poll(fds, 2, (int)tap->interval_ms) > 0 && fds[1].revents) {
        sender_lose(tap, "the receiver closed the connection", 0);
        sender_pause(tap);
    }
}

static void *sender_run(void *arg)
{
    struct tap *tap = arg;
    sender_connect(tap); /* even when the tap closes already: a file has its START and STOP */
    while (!sender_done(tap)) {
        if (!sender_connected(tap)) {
            sender_connect(tap);
            continue;
        }
        size_t peak;
        if (!sender_look(tap, &peak))
            continue;
        tap->interval_ms = sender_interval(tap, peak);
        sender_rest(tap);
    }
    if (sender_connected(tap))
        sender_disconnect(tap, TAP_END_DONE, 0);
    return NULL;
}

/* ---- Opening and closing -------------------------------------------------------------------- */

static unsigned or_default(unsigned value, unsigned otherwise)
{
    return value ? value : otherwise;
}

static bool options_complete(struct tap_options *o, char *error, size_t error_size)
{
    o->ring_bytes = o->ring_bytes ? o->ring_bytes : TAP_RING_DEFAULT;
    o->flush_ms = or_default(o->flush_ms, TAP_FLUSH_MS_DEFAULT);
    o->idle_ms = or_default(o->idle_ms, TAP_IDLE_MS_DEFAULT);
    o->connect_ms = or_default(o->connect_ms, TAP_CONNECT_MS_DEFAULT);
    o->reconnect_ms = or_default(o->reconnect_ms, TAP_RECONNECT_MS_DEFAULT);
    o->reconnect_max_ms = or_default(o->reconnect_max_ms, TAP_RECONNECT_MAX_MS_DEFAULT);
    if (o->idle_ms < o->flush_ms)
        o->idle_ms = o->flush_ms;
    if (o->reconnect_max_ms < o->reconnect_ms)
        o->reconnect_max_ms = o->reconnect_ms;
    if (o->ring_bytes < TAP_RING_MIN || o->ring_bytes > TAP_RING_MAX) {
        snprintf(error, error_size, "ring_bytes is %zu; it can be %d to %d", o->ring_bytes,
                 TAP_RING_MIN, TAP_RING_MAX);
        return false;
    }
    const unsigned day_ms = 24 * 60 * 60 * 1000;
    if (o->idle_ms > day_ms || o->connect_ms > day_ms || o->reconnect_max_ms > day_ms)
        return say(error, error_size, "a time in the options is longer than a day");
    if ((uint64_t)o->identity.len + o->version.len + o->extra.len > TAP_CONSTANTS_MAX) {
        snprintf(error, error_size, "identity, version and extra have more than %d octets",
                 TAP_CONSTANTS_MAX);
        return false;
    }
    return true;
}

static size_t put_constants(uint8_t *out, const struct tap_options *o)
{
    uint64_t at = put_bytes(out, 0, DNSTAP_IDENTITY, o->identity);
    at = put_bytes(out, at, DNSTAP_VERSION, o->version);
    return (size_t)put_bytes(out, at, DNSTAP_EXTRA, o->extra);
}

static const struct tap_output_ops *const builtin_outputs[] = {&file_output, &unix_output,
                                                               &tcp_output, NULL};

static const struct tap_output_ops *output_find(const struct tap_output_ops *const *outputs,
                                                const char *scheme, size_t len)
{
    for (; outputs && *outputs; outputs++)
        if (strlen((*outputs)->scheme) == len && memcmp((*outputs)->scheme, scheme, len) == 0)
            return *outputs;
    return NULL;
}

static struct tap_output *output_create(const struct tap *tap, char *error, size_t error_size)
{
    const char *url = tap->url;
    size_t len = strcspn(url, ":/");
    if (url[len] != ':') {
        if (url[0] == '\0') {
            say(error, error_size, "the destination is empty");
            return NULL;
        }
        return file_output.create(&file_output, tap, url, &tap->options, error, error_size);
    }
    const struct tap_output_ops *ops = output_find(builtin_outputs, url, len);
    if (!ops)
        ops = output_find(tap->options.outputs, url, len);
    if (!ops) {
        int used = snprintf(error, error_size,
                            "unknown scheme \"%.*s\"; this tap knows PATH, file:, "
                            "unix:, tcp:",
                            (int)size_min(len, 32), url);
        for (const struct tap_output_ops *const *o = tap->options.outputs;
             o && *o && used > 0 && (size_t)used < error_size; o++)
            used += snprintf(error + used, error_size - (size_t)used, ", %s:", (*o)->scheme);
        return NULL;
    }
    return ops->create(ops, tap, url + len + 1, &tap->options, error, error_size);
}

/* The server's signals are the server's: the writer thread takes none. */
static bool sender_start(struct tap *tap)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int problem = pthread_create(&tap->thread, NULL, sender_run, tap);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return problem == 0;
}

static void tap_free(struct tap *tap)
{
    struct tap_lane *lane = lanes_first(tap);
    while (lane) {
        struct tap_lane *next = lane->next;
        lane_free(lane);
        lane = next;
    }
    if (tap->output)
        tap->output->ops->destroy(tap->output);
    free(tap->constants);
    free(tap->url);
    pthread_mutex_destroy(&tap->lock);
    free(tap);
}

/* All of a tap but the thread and what wakes it. */
static struct tap *tap_new(const char *url, const struct tap_options *options, char *error,
                           size_t error_size)
{
    struct tap *tap = calloc(1, sizeof *tap);
    if (!tap) {
        say(error, error_size, "out of memory");
        return NULL;
    }
    pthread_mutex_init(&tap->lock, NULL);
    tap->wait.tap = tap;
    if (options)
        tap->options = *options;
    if (!options_complete(&tap->options, error, error_size))
        goto fail;
    tap->pause_ms = tap->options.reconnect_ms;
    tap->url = strdup(url);
    tap->constants_len = put_constants(NULL, &tap->options);
    tap->constants = malloc(tap->constants_len + 1);
    if (!tap->url || !tap->constants) {
        say(error, error_size, "out of memory");
        goto fail;
    }
    put_constants(tap->constants, &tap->options);
    tap->output = output_create(tap, error, error_size);
    if (!tap->output)
        goto fail;
    /* borrowed for the call only */
    tap->options.identity = tap->options.version = tap->options.extra = (struct tap_bytes){0};
    tap->options.outputs = NULL;
    return tap;
fail:
    tap_free(tap);
    return NULL;
}

struct tap *tap_open(const char *url, const struct tap_options *options, char *error,
                     size_t error_size)
{
    struct tap *tap = tap_new(url, options, error, error_size);
    if (!tap)
        return NULL;
    if (!wait_open(&tap->wait)) {
        say(error, error_size, strerror(errno));
        tap_free(tap);
        return NULL;
    }
    if (!sender_start(tap)) {
        say(error, error_size, "cannot start a thread");
        wait_close(&tap->wait);
        tap_free(tap);
        return NULL;
    }
    return tap;
}

void tap_close(struct tap **tap_pointer, unsigned timeout_ms, struct tap_counters *total)
{
    struct tap *tap = *tap_pointer;
    if (total)
        *total = (struct tap_counters){0};
    if (!tap)
        return;
    wait_end(&tap->wait, timeout_ms);
    pthread_join(tap->thread, NULL);
    wait_close(&tap->wait);
    if (total) {
        *total = tap_counters(tap);
        total->failed = total->accepted - total->written; /* what is still in a ring is given up */
        total->ring_used = 0;
    }
    tap_free(tap);
    *tap_pointer = NULL;
}
