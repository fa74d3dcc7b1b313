/* libdnstap-tap: a dnstap writer that a DNS server can carry without noticing.
 *
 * Two files, tap.h and tap.c, to copy into a server or to link. C11 and POSIX threads, no
 * libraries.
 *
 *     server thread ── tap_emit ──► lane (ring) ─┐
 *     server thread ── tap_emit ──► lane (ring) ─┼─► writer thread ──► file, unix socket, TCP
 *     server thread ── tap_emit ──► lane (ring) ─┘   (may block)       (Frame Streams)
 *
 * Each server thread has a lane of its own: a ring, bounded in octets, with one producer (the
 * server's thread) and one consumer (the writer thread). tap_emit encodes the message straight into
 * the ring, as the Frame Streams data frame that will go out: it takes no lock, allocates nothing,
 * makes no system call and never waits. When the ring is full the message is dropped there and
 * counted. Behind the rings the writer thread may block on its destination as long as it likes, and
 * connects again when it loses it. So loss happens at the front, whole messages at a time, and
 * nowhere else:
 *
 *     emitted  = accepted + dropped
 *     accepted = written + failed + still in the ring
 *
 * Because tap_emit makes no system call it cannot wake the writer; the writer looks by itself.
 * While messages flow it looks at least every `flush_ms` (10 ms), more often when the rings fill
 * faster, and when nothing comes it slows down to a look every `idle_ms` (100 ms). These two are
 * the longest a message waits for the writer to notice it.
 *
 * Threads: a lane belongs to the one thread that emits on it. Everything else may be called from
 * any thread. tap_close excepted, nothing here waits. After fork() the tap exists in the parent
 * alone; a child must not touch it (open taps after the server has forked).
 *
 * Ownership: whatever is passed in is borrowed for the duration of the call.
 */
#ifndef DNSTAP_TAP_H
#define DNSTAP_TAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

struct sockaddr;
struct tap;
struct tap_lane;
struct tap_output_ops;

/* Octets that somebody else owns. `data` NULL means absent; `len` 0 with data means present and
 * empty. */
struct tap_bytes {
    const void *data;
    uint32_t len;
};

/* The octets of a C string without its NUL; absent for NULL. */
struct tap_bytes tap_string(const char *string);

/* ---- Opening and closing -------------------------------------------------------------------- */

enum {
    TAP_RING_DEFAULT = 4 << 20,   /* octets per lane */
    TAP_RING_MIN = 64,            /* octets */
    TAP_RING_MAX = 1 << 30,       /* octets */
    TAP_FRAME_MAX = 256 << 10,    /* octets of one encoded message with its frame header */
    TAP_CONSTANTS_MAX = 16 << 10, /* octets of identity, version and extra together */
    TAP_FLUSH_MS_DEFAULT = 10,
    TAP_IDLE_MS_DEFAULT = 100,
    TAP_CONNECT_MS_DEFAULT = 5000,
    TAP_RECONNECT_MS_DEFAULT = 100,
    TAP_RECONNECT_MAX_MS_DEFAULT = 5000,
    TAP_ERROR_SIZE = 256, /* a buffer that holds any error of tap_open */
};

/* All zero is a good start: a number that is 0 takes its default. */
struct tap_options {
    struct tap_bytes identity; /* the server's name; goes with every message */
    struct tap_bytes version;  /* the server's software and version; likewise */
    struct tap_bytes extra;    /* anything the operator wants to travel along; likewise */

    size_t ring_bytes;     /* octets per lane. Worth a tenth of a second of the thread's busiest
                            * traffic, since an idle writer may look that late (`idle_ms`) */
    unsigned flush_ms;     /* how late the writer may look while messages flow */
    unsigned idle_ms;      /* how late it may look after a pause: 1000/idle_ms wakeups a second */
    unsigned connect_ms;   /* connecting and shaking hands may take that long */
    unsigned reconnect_ms; /* the first pause, at most, before connecting again; then doubled ... */
    unsigned reconnect_max_ms; /* ... up to this */

    /* Told, in one line without newline, when the destination is reached, and when it is lost or
     * cannot be reached (once, not at each attempt). Called by the writer thread. May be NULL. */
    void (*log)(void *log_arg, const char *line);
    void *log_arg;

    /* Destinations beyond those built in, ending with NULL; see the end of this file; or NULL. */
    const struct tap_output_ops *const *outputs;
};

/* Opens a tap on a destination:
 *
 *     PATH, file:PATH   a file, begun anew (or a FIFO): unidirectional Frame Streams, START … STOP
 *     unix:PATH         a collector's unix socket: READY, ACCEPT, START … STOP, FINISH
 *     tcp:HOST:PORT     a collector's TCP port, likewise; IPv6 addresses as [::1]
 *
 * A path with a colon before its first slash is written file:PATH. HOST is resolved here, once; a
 * name makes this call wait for the resolver. The destination need not be there yet: the writer
 * thread, started here with all signals blocked, connects and keeps trying.
 *
 * `options` may be NULL. Returns NULL when the URL or an option is wrong, a file cannot be written
 * or memory is short; then `error` (of `error_size` octets; TAP_ERROR_SIZE suffices) says so in a
 * line. */
struct tap *tap_open(const char *url, const struct tap_options *options, char *error,
                     size_t error_size);

/* What became of the messages: numbers of messages, except where it says octets. */
struct tap_counters {
    uint64_t accepted;  /* taken into the ring */
    uint64_t dropped;   /* tap_emit returned false: no room, or the message can never fit */
    uint64_t written;   /* whose last octet the kernel (or the bus library) took */
    uint64_t failed;    /* given up for good: a bus refused it, or tap_close ran out of time */
    uint64_t ring_used; /* octets in the ring now */
};

/* Closes the tap: the writer drains the rings, ends the stream with STOP and waits for the
 * receiver's FINISH, all within `timeout_ms`; then all lanes and the tap are freed and *tap is set
 * to NULL.
 *
 * Call it when no thread emits any more. What could not be written in time counts as `failed`, so
 * that in `total` (may be NULL), the sum over all lanes, accepted = written + failed. A collector
 * that is down costs the whole timeout when messages wait for it, and nothing when none do; one
 * that does not read costs the whole timeout. *tap may be NULL. */
void tap_close(struct tap **tap, unsigned timeout_ms, struct tap_counters *total);

/* A new lane for the calling thread, with its ring's memory touched, so that no page fault waits in
 * tap_emit; NULL when memory is short. It lives until tap_close. Memory per lane: ring_bytes, plus
 * the smaller of that and TAP_FRAME_MAX. Takes a lock: call it as threads start, not per query. */
struct tap_lane *tap_lane(struct tap *tap);

/* Gives a lane back whose thread ends; the next tap_lane may hand it to another thread. What is in
 * its ring is still written, its counters go on. Takes a lock. `lane` may be NULL. */
void tap_lane_return(struct tap_lane *lane);

/* One lane's counters. Any thread, any time before tap_close. Each number is exact at some moment
 * during the call; written + failed never exceeds accepted. */
struct tap_counters tap_lane_counters(const struct tap_lane *lane);

/* The sum over all lanes, likewise. */
struct tap_counters tap_counters(const struct tap *tap);

struct tap_status {
    bool connected;       /* the destination is open now */
    uint64_t connections; /* times it was opened */
};
struct tap_status tap_status(const struct tap *tap);

/* ---- Messages ------------------------------------------------------------------------------- */

/* The numbers are those of the dnstap schema. 0 means absent, except for the type. */
enum tap_type {
    TAP_AUTH_QUERY = 1,
    TAP_AUTH_RESPONSE = 2,
    TAP_RESOLVER_QUERY = 3,
    TAP_RESOLVER_RESPONSE = 4,
    TAP_CLIENT_QUERY = 5,
    TAP_CLIENT_RESPONSE = 6,
    TAP_FORWARDER_QUERY = 7,
    TAP_FORWARDER_RESPONSE = 8,
    TAP_STUB_QUERY = 9,
    TAP_STUB_RESPONSE = 10,
    TAP_TOOL_QUERY = 11,
    TAP_TOOL_RESPONSE = 12,
    TAP_UPDATE_QUERY = 13,
    TAP_UPDATE_RESPONSE = 14,
};

enum tap_family { TAP_INET = 1, TAP_INET6 = 2 };

enum tap_protocol {
    TAP_UDP = 1,
    TAP_TCP = 2,
    TAP_DOT = 3,
    TAP_DOH = 4,
    TAP_DNSCRYPT_UDP = 5,
    TAP_DNSCRYPT_TCP = 6,
    TAP_DOQ = 7,
};

enum tap_http { TAP_HTTP1 = 1, TAP_HTTP2 = 2, TAP_HTTP3 = 3 };

enum tap_policy_action {
    TAP_POLICY_NXDOMAIN = 1,
    TAP_POLICY_NODATA = 2,
    TAP_POLICY_PASS = 3,
    TAP_POLICY_DROP = 4,
    TAP_POLICY_TRUNCATE = 5,
    TAP_POLICY_LOCAL_DATA = 6,
};

enum tap_policy_match {
    TAP_MATCH_QNAME = 1,
    TAP_MATCH_CLIENT_IP = 2,
    TAP_MATCH_RESPONSE_IP = 3,
    TAP_MATCH_NS_NAME = 4,
    TAP_MATCH_NS_IP = 5,
};

/* A rule (response policy zone or alike) that changed what the server did. */
struct tap_policy {
    struct tap_bytes type; /* UTF-8, for example "RPZ" */
    struct tap_bytes rule; /* wire-format owner name */
    enum tap_policy_action action;
    enum tap_policy_match match;
    struct tap_bytes value;
};

/* One DNS message as the server saw it. Start with tap_message_init, or from {0}, and fill in what
 * is known: ports and enums that are 0, times that are all 0 and octets without data are left out.
 */
struct tap_message {
    enum tap_type type;
    enum tap_family family;
    enum tap_protocol protocol;
    enum tap_http http;
    struct tap_bytes query_address;    /* 4 or 16 octets: who asks */
    struct tap_bytes response_address; /* 4 or 16 octets: who answers */
    uint16_t query_port;
    uint16_t response_port;
    struct timespec query_time; /* CLOCK_REALTIME */
    struct timespec response_time;
    struct tap_bytes query_message; /* DNS wire format */
    struct tap_bytes response_message;
    struct tap_bytes query_zone;     /* wire-format name: the bailiwick */
    const struct tap_policy *policy; /* NULL: none */
};

/* Makes it empty but for its type. Field by field, since compilers clear a structure of this size
 * with an instruction that takes longer than the rest of emitting it. */
static inline void tap_message_init(struct tap_message *message, enum tap_type type)
{
    const struct tap_bytes absent = {NULL, 0};
    const struct timespec never = {0, 0};
    message->type = type;
    message->family = (enum tap_family)0;
    message->protocol = (enum tap_protocol)0;
    message->http = (enum tap_http)0;
    message->query_address = absent;
    message->response_address = absent;
    message->query_port = 0;
    message->response_port = 0;
    message->query_time = never;
    message->response_time = never;
    message->query_message = absent;
    message->response_message = absent;
    message->query_zone = absent;
    message->policy = NULL;
}

/* Sets family, address and port of the asking or the answering side from a socket address (IPv4 or
 * IPv6; any other is left out). The message borrows the address until it is emitted. */
void tap_message_query_peer(struct tap_message *message, const struct sockaddr *address);
void tap_message_response_peer(struct tap_message *message, const struct sockaddr *address);

/* Encodes `message` into the lane's ring. Only the lane's thread. No allocation, no lock, no system
 * call, never waits. False when it was dropped, and counted so: the ring has no room, the message
 * can never fit, or its type is none of the schema's. */
bool tap_emit(struct tap_lane *lane, const struct tap_message *message);

/* ---- Events --------------------------------------------------------------------------------- */

/* What never was on the wire. These are this project's addition to dnstap; docs/events.md. A
 * receiver that knows only the published schema takes them for broken: emit them to receivers that
 * know them. */
enum tap_event_type {
    TAP_RRL_START = 1,
    TAP_RRL_END = 2,
    TAP_XFR_IN_START = 3,
    TAP_XFR_IN_END = 4,
    TAP_XFR_OUT_START = 5,
    TAP_XFR_OUT_END = 6,
    TAP_CACHE_PURGE = 7,
    TAP_CACHE_EXPIRY = 8,
};

enum tap_outcome { TAP_SUCCESS = 1, TAP_UP_TO_DATE = 2, TAP_REFUSED = 3, TAP_FAILED = 4 };

enum tap_rrl_category {
    TAP_RRL_ANSWERS = 1,
    TAP_RRL_REFERRALS = 2,
    TAP_RRL_NODATA = 3,
    TAP_RRL_NXDOMAINS = 4,
    TAP_RRL_ERRORS = 5,
    TAP_RRL_ALL = 6,
};

/* Start from {0}; what is 0, or has no data, is left out. */
struct tap_event {
    enum tap_event_type type;
    uint64_t id;           /* the same in START and END of one thing */
    struct timespec time;  /* CLOCK_REALTIME */
    struct tap_bytes name; /* wire-format: the zone, the cached owner, the name a bucket is for */
    uint16_t rrtype;
    uint16_t rrclass;
    enum tap_family family;
    enum tap_protocol protocol;
    struct tap_bytes peer_address; /* 4 or 16 octets */
    uint16_t peer_port;
    uint8_t peer_prefix; /* RRL: bits of peer_address that the bucket covers */
    enum tap_rrl_category rrl_category;
    uint32_t rrl_limit;     /* responses per second */
    uint64_t rrl_dropped;   /* responses not sent */
    uint64_t rrl_truncated; /* responses sent truncated in their place */
    uint32_t serial_before; /* the receiver's SOA serial before the transfer */
    uint32_t serial;        /* ... and the one being transferred */
    enum tap_outcome outcome;
    uint64_t duration_usec;
    uint64_t messages; /* DNS messages of the transfer */
    uint64_t records;  /* resource records transferred, or that left the cache */
    uint64_t octets;   /* of the transfer, or of memory that became free */
    uint32_t ttl;      /* the entry's TTL when it was stored, in seconds */
    uint32_t age;      /* seconds in the cache */
    uint64_t hits;     /* times the entry answered */
    uint64_t entries;  /* cache entries that left together, when not one */
};

/* As tap_emit. */
bool tap_emit_event(struct tap_lane *lane, const struct tap_event *event);

/* ---- Other destinations ------------------------------------------------------------------------
 *
 *
 * The writer thread hands an output runs of whole messages, straight from the rings: a bus output
 * linked with the server fills in these operations and is passed in `tap_options.outputs`. */

/* Whole messages as Frame Streams data frames back to back (4-octet big-endian length, payload).
 * Only the first run of a call may begin inside a message, and only when the previous call took a
 * part. */
struct tap_run {
    const uint8_t *data;
    size_t len;
    uint32_t messages; /* that end in this run */
};

/* How an output waits, so that tap_close can end the wait. */
struct tap_wait;

enum tap_wait_result {
    TAP_WAIT_READY,   /* poll() reported something */
    TAP_WAIT_TIMEOUT, /* `timeout_ms` passed */
    TAP_WAIT_OVER,    /* the tap is closing and its time is up: return at once */
};

/* Waits until poll() reports `events` on `fd` (-1: just sleeps). `timeout_ms` negative: no limit.
 */
enum tap_wait_result tap_wait(struct tap_wait *wait, int fd, short events, int timeout_ms);

/* Every output begins with this. */
struct tap_output {
    const struct tap_output_ops *ops;
};

enum tap_end {
    TAP_END_LOST, /* an operation failed; open will be called again */
    TAP_END_DONE, /* the tap closes: end the stream as its receiver expects */
};

/* All but `create` and `destroy` are called by the writer thread alone. */
struct tap_output_ops {
    const char *scheme; /* the URL up to its first colon */

    /* Checks the address (the URL behind the colon) and keeps what it needs of it and of the
     * options, whose numbers are set. `ops` is this table, for outputs of more than one scheme. Does
     * not connect. NULL and a line in `error` when something is wrong. */
    struct tap_output *(*create)(const struct tap_output_ops *ops, const struct tap *tap,
                                 const char *address, const struct tap_options *options,
                                 char *error, size_t error_size);

    /* Connects. May block in tap_wait. False and a line in `error` when it did not work. */
    bool (*open)(struct tap_output *output, struct tap_wait *wait, char *error, size_t error_size);

    /* Writes some of the runs; may block in tap_wait until it has written something. Returns the
     * octets taken, -1 when the destination is lost (errno says why), or 0 when tap_wait said that
     * it is over. An output that gives messages up for good counts them in *failed (0 before the
     * call) and takes them all the same; where it took several runs, the first ones' lanes are
     * charged. */
    ssize_t (*write)(struct tap_output *output, const struct tap_run *runs, unsigned count,
                     uint32_t *failed, struct tap_wait *wait);

    /* A descriptor on which an idle receiver's going away can be polled (POLLIN), or -1. */
    int (*descriptor)(const struct tap_output *output);

    /* Ends what open began; not called when open failed. The last `torn` octets that write took
     * belong to a message that was not taken whole; it will be written again, whole, after the next
     * open. */
    void (*close)(struct tap_output *output, enum tap_end end, size_t torn, struct tap_wait *wait);

    void (*destroy)(struct tap_output *output);
};

#ifdef __cplusplus
}
#endif

#endif
