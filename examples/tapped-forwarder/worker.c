#include "internal.h"

#include <errno.h>
#include <libknot/libknot.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    UDP_TURN = 64,          /* datagrams read before others have their turn */
    UDP_BUFFER = 4 << 20,   /* octets asked of the kernel */
    HOUSEKEEPING_MS = 1000, /* between looks for idle connections */
    EVENTS = 64,
};

int64_t worker_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool worker_watch(struct worker *w, struct watch *watch, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};
    if (epoll_ctl(w->epoll, EPOLL_CTL_ADD, watch->fd, &event) == 0)
        return true;
    return errno == EEXIST && epoll_ctl(w->epoll, EPOLL_CTL_MOD, watch->fd, &event) == 0;
}

static struct observed client_side(const struct worker *w, const struct client *client)
{
    return (struct observed){
        .protocol = client->connection ? TAP_TCP : TAP_UDP,
        .asks = &client->address,
        .answers = &w->config.listen,
        .query_time = client->received,
    };
}

void worker_reply(struct worker *w, const struct client *client, const struct dns_query *query,
                  uint8_t *wire, size_t len)
{
    if (client->connection) {
        connection_send(w, client->connection, wire, len);
    } else {
        if (query)
            len = dns_answer_fit(wire, len, query, query->udp_limit);
        /* a full socket buffer drops the datagram, as the network might */
        sendto(w->udp.fd, wire, len, 0, (const struct sockaddr *)&client->address.storage,
               client->address.len);
    }
    w->counts.replies++;
    struct observed seen = client_side(w, client);
    seen.response_time = observe_now();
    observe_response(w->lane, TAP_CLIENT_RESPONSE, &seen, wire, len);
}

static void reply_from_cache(struct worker *w, const struct client *client,
                             const struct dns_query *query, const struct cache_entry *entry,
                             time_t now)
{
    w->counts.hits++;
    memcpy(w->out, entry->wire, entry->len);
    dns_answer_adopt(w->out, query, entry->ttl_at, entry->ttl_count,
                     (uint32_t)(now - entry->stored));
    worker_reply(w, client, query, w->out, entry->len);
}

void worker_query(struct worker *w, const struct client *client, uint8_t *wire, size_t len)
{
    struct dns_query query;
    enum dns_verdict verdict = dns_query_read(wire, len, &query);
    if (verdict == DNS_IGNORE)
        return;
    w->counts.queries++;
    struct observed seen = client_side(w, client);
    observe_query(w->lane, TAP_CLIENT_QUERY, &seen, wire, len);
    if (verdict != DNS_FORWARD) {
        uint8_t rcode = verdict == DNS_FORMERR ? KNOT_RCODE_FORMERR : KNOT_RCODE_NOTIMPL;
        worker_reply(w, client, NULL, wire, dns_error(wire, len, rcode));
        return;
    }
    time_t now = (time_t)(worker_now_ms() / 1000);
    const struct cache_entry *entry = cache_find(w->cache, &query.key, now);
    if (entry)
        reply_from_cache(w, client, &query, entry, now);
    else
        exchange_start(w, client, &query);
}

static void udp_ready(struct worker *w, struct watch *watch, uint32_t events)
{
    (void)events;
    for (int i = 0; i < UDP_TURN; i++) {
        struct client client = {.address.len = sizeof client.address.storage};
        ssize_t n = recvfrom(watch->fd, w->in, sizeof w->in, MSG_DONTWAIT,
                             (struct sockaddr *)&client.address.storage, &client.address.len);
        if (n < 0)
            return;
        client.received = observe_now();
        worker_query(w, &client, w->in, (size_t)n);
    }
}

static void stop_ready(struct worker *w, struct watch *watch, uint32_t events)
{
    (void)watch;
    (void)events;
    w->stopping = true;
}

static bool udp_open(struct worker *w)
{
    const struct address *at = &w->config.listen;
    int on = 1, size = UDP_BUFFER;
    w->udp.ready = udp_ready;
    w->udp.fd = socket(at->storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (w->udp.fd < 0)
        return false;
    setsockopt(w->udp.fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    setsockopt(w->udp.fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    return bind(w->udp.fd, (const struct sockaddr *)&at->storage, at->len) == 0 &&
           worker_watch(w, &w->udp, EPOLLIN);
}

static bool stop_open(struct worker *w)
{
    w->stop.ready = stop_ready;
    w->stop.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return w->stop.fd >= 0 && worker_watch(w, &w->stop, EPOLLIN);
}

static void entry_leaves(void *arg, const struct cache_entry *entry, enum cache_reason reason,
                         time_t now)
{
    const struct worker *w = arg;
    observe_cache(w->event_lane, entry, reason, now);
}

struct worker *worker_new(const struct worker_config *config)
{
    struct worker *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->config = *config;
    w->stop.fd = w->udp.fd = w->upstream.fd = w->listener.fd = -1;
    w->epoll = epoll_create1(EPOLL_CLOEXEC);
    w->cache = cache_new(config->cache_octets, entry_leaves, w);
    if (config->tap)
        w->lane = tap_lane(config->tap);
    w->event_lane = config->events ? w->lane : NULL;
    if (w->epoll >= 0 && w->cache && stop_open(w) && udp_open(w) && connection_listen(w) &&
        exchange_open_upstream(w))
        return w;
    int problem = errno;
    worker_free(w);
    errno = problem;
    return NULL;
}

static void close_if_open(int fd)
{
    if (fd >= 0)
        close(fd);
}

void worker_free(struct worker *w)
{
    if (!w)
        return;
    exchange_free_all(w);
    connection_free_all(w);
    cache_free(w->cache);
    close_if_open(w->stop.fd);
    close_if_open(w->udp.fd);
    close_if_open(w->upstream.fd);
    close_if_open(w->listener.fd);
    close_if_open(w->epoll);
    tap_lane_return(w->lane);
    free(w);
}

/* How long epoll may sleep: for ever, where nobody waits for anything. */
static int worker_patience(const struct worker *w, int64_t now)
{
    int patience = exchange_patience(w, now);
    if (w->connections && (patience < 0 || patience > HOUSEKEEPING_MS))
        return HOUSEKEEPING_MS;
    return patience;
}

void worker_run(struct worker *w)
{
    struct epoll_event events[EVENTS];
    while (!w->stopping) {
        int n = epoll_wait(w->epoll, events, EVENTS, worker_patience(w, worker_now_ms()));
        for (int i = 0; i < n; i++) {
            struct watch *watch = events[i].data.ptr;
            watch->ready(w, watch, events[i].events);
        }
        int64_t now = worker_now_ms();
        exchange_expire(w, now);
        connection_expire(w, now);
    }
}

void worker_stop(struct worker *w)
{
    eventfd_write(w->stop.fd, 1);
}

struct worker_counts worker_counts(const struct worker *w)
{
    return w->counts;
}
