/* Queries to upstream: one connected UDP socket per worker, matched by id and question; over a TCP
 * connection of its own where the answer comes truncated. */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PATIENCE_MS = 2000, UDP_TURN = 64 };

struct exchange {
    struct watch watch; /* fd -1: over UDP */
    uint16_t id;
    struct client client;
    struct dns_query query;
    struct timespec sent;
    int64_t deadline_ms;
    struct exchange *older, *newer;
    size_t wire_len;
    uint8_t wire[DNS_EDNS_UDP]; /* what was asked */
    size_t tcp_done;            /* octets written, then read, with the length before them */
    bool tcp_reading;
    uint8_t *tcp_in;
};

/* A free id that nobody can guess; -1 when too many are taken. */
static int pick_id(const struct worker *w)
{
    uint16_t ids[16];
    if (getrandom(ids, sizeof ids, 0) != sizeof ids)
        return -1;
    for (int i = 0; i < 16; i++)
        if (!w->exchanges[ids[i]])
            return ids[i];
    return -1;
}

static void unlink_exchange(struct worker *w, struct exchange *e)
{
    *(e->older ? &e->older->newer : &w->oldest) = e->newer;
    *(e->newer ? &e->newer->older : &w->newest) = e->older;
    w->exchanges[e->id] = NULL;
}

static void link_exchange(struct worker *w, struct exchange *e)
{
    e->older = w->newest;
    *(w->newest ? &w->newest->newer : &w->oldest) = e;
    w->newest = e;
    w->exchanges[e->id] = e;
}

static void exchange_free(struct worker *w, struct exchange *e)
{
    unlink_exchange(w, e);
    if (e->watch.fd >= 0)
        close(e->watch.fd);
    if (e->client.connection)
        connection_let_go(w, e->client.connection);
    free(e->tcp_in);
    free(e);
}

static void reply_servfail(struct worker *w, const struct client *client,
                           const struct dns_query *query)
{
    size_t len = dns_servfail(query, w->out);
    if (len > 0)
        worker_reply(w, client, query, w->out, len);
}

static struct observed upstream_side(const struct worker *w, const struct exchange *e)
{
    return (struct observed){
        .protocol = e->watch.fd >= 0 ? TAP_TCP : TAP_UDP,
        .answers = &w->config.upstream,
        .query_time = e->sent,
    };
}

static void observe_asked(struct worker *w, struct exchange *e)
{
    e->sent = observe_now();
    struct observed seen = upstream_side(w, e);
    observe_query(w->lane, TAP_FORWARDER_QUERY, &seen, e->wire, e->wire_len);
}

static void observe_answered(struct worker *w, const struct exchange *e, const uint8_t *wire,
                             size_t len)
{
    struct observed seen = upstream_side(w, e);
    seen.response_time = observe_now();
    observe_response(w->lane, TAP_FORWARDER_RESPONSE, &seen, wire, len);
}

void exchange_start(struct worker *w, const struct client *client, const struct dns_query *query)
{
    int id = pick_id(w);
    struct exchange *e = id < 0 ? NULL : calloc(1, sizeof *e);
    if (!e) {
        reply_servfail(w, client, query);
        return;
    }
    e->id = (uint16_t)id;
    e->watch.fd = -1;
    e->client = *client;
    e->query = *query;
    e->deadline_ms = worker_now_ms() + PATIENCE_MS;
    e->wire_len = dns_query_write(query, e->id, e->wire);
    link_exchange(w, e);
    if (e->client.connection)
        connection_hold(e->client.connection);
    w->counts.forwarded++;
    observe_asked(w, e);
    /* what the kernel does not take is lost like any datagram: the deadline answers for it */
    send(w->upstream.fd, e->wire, e->wire_len, 0);
}

static void exchange_finish(struct worker *w, struct exchange *e, uint8_t *wire, size_t len,
                            const struct dns_answer *answer)
{
    if (answer->ttl > 0)
        cache_put(w->cache, &e->query.key, wire, len, answer, (time_t)(worker_now_ms() / 1000));
    dns_answer_adopt(wire, &e->query, NULL, 0, 0);
    worker_reply(w, &e->client, &e->query, wire, len);
    exchange_free(w, e);
}

static void exchange_fail(struct worker *w, struct exchange *e)
{
    reply_servfail(w, &e->client, &e->query);
    exchange_free(w, e);
}

/* ---- over TCP ---- */

/* Writes more of the query. False when the connection is lost. */
static bool tcp_write(struct worker *w, struct exchange *e)
{
    uint8_t framed[2 + DNS_EDNS_UDP];
    framed[0] = (uint8_t)(e->wire_len >> 8);
    framed[1] = (uint8_t)e->wire_len;
    memcpy(framed + 2, e->wire, e->wire_len);
    size_t all = 2 + e->wire_len;
    ssize_t n = send(e->watch.fd, framed + e->tcp_done, all - e->tcp_done, MSG_NOSIGNAL);
    if (n < 0)
        return errno == EAGAIN;
    e->tcp_done += (size_t)n;
    if (e->tcp_done < all)
        return true;
    e->tcp_done = 0;
    e->tcp_reading = true;
    return worker_watch(w, &e->watch, EPOLLIN);
}

/* Reads more of the answer. Its length when it is whole, 0 when not yet, -1 when it never will be.
 */
static ssize_t tcp_read(struct exchange *e)
{
    for (;;) {
        const uint8_t *in = e->tcp_in;
        size_t all = e->tcp_done < 2 ? 2 : 2 + ((size_t)in[0] << 8 | in[1]);
        if (e->tcp_done >= 2 && e->tcp_done == all)
            return (ssize_t)all - 2;
        ssize_t n = recv(e->watch.fd, e->tcp_in + e->tcp_done, all - e->tcp_done, 0);
        if (n <= 0)
            return n < 0 && errno == EAGAIN ? 0 : -1;
        e->tcp_done += (size_t)n;
    }
}

static void tcp_ready(struct worker *w, struct watch *watch, uint32_t events)
{
    (void)events;
    struct exchange *e = (struct exchange *)watch; /* its first member */
    if (!e->tcp_reading) {
        if (!tcp_write(w, e))
            exchange_fail(w, e);
        return;
    }
    ssize_t len = tcp_read(e);
    if (len == 0)
        return;
    struct dns_answer answer;
    uint8_t *wire = e->tcp_in + 2;
    if (len < 0 || !dns_answer_read(wire, (size_t)len, &e->query, &answer)) {
        exchange_fail(w, e);
        return;
    }
    observe_answered(w, e, wire, (size_t)len);
    exchange_finish(w, e, wire, (size_t)len, &answer);
}

/* Asks again, for the whole answer. */
static void tcp_start(struct worker *w, struct exchange *e)
{
    const struct address *to = &w->config.upstream;
    e->tcp_in = malloc(2 + DNS_MAX);
    e->watch.ready = tcp_ready;
    e->watch.fd = socket(to->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (!e->tcp_in || e->watch.fd < 0 ||
        (connect(e->watch.fd, (const struct sockaddr *)&to->storage, to->len) != 0 &&
         errno != EINPROGRESS) ||
        !worker_watch(w, &e->watch, EPOLLOUT)) {
        exchange_fail(w, e);
        return;
    }
    observe_asked(w, e);
}

/* ---- over UDP ---- */

static void upstream_ready(struct worker *w, struct watch *watch, uint32_t events)
{
    (void)events;
    for (int i = 0; i < UDP_TURN; i++) {
        ssize_t n = recv(watch->fd, w->in, sizeof w->in, MSG_DONTWAIT);
        if (n < 0)
            return; /* EAGAIN, or the port is closed: deadlines answer for what was sent */
        if (n < DNS_HEADER)
            continue;
        struct exchange *e = w->exchanges[w->in[0] << 8 | w->in[1]];
        struct dns_answer answer;
        if (!e || e->watch.fd >= 0 || !dns_answer_read(w->in, (size_t)n, &e->query, &answer))
            continue;
        observe_answered(w, e, w->in, (size_t)n);
        if (answer.truncated)
            tcp_start(w, e);
        else
            exchange_finish(w, e, w->in, (size_t)n, &answer);
    }
}

bool exchange_open_upstream(struct worker *w)
{
    const struct address *to = &w->config.upstream;
    int size = 4 << 20;
    w->upstream.ready = upstream_ready;
    w->upstream.fd = socket(to->storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (w->upstream.fd < 0)
        return false;
    setsockopt(w->upstream.fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    return connect(w->upstream.fd, (const struct sockaddr *)&to->storage, to->len) == 0 &&
           worker_watch(w, &w->upstream, EPOLLIN);
}

void exchange_expire(struct worker *w, int64_t now_ms)
{
    while (w->oldest && w->oldest->deadline_ms <= now_ms) {
        w->counts.timeouts++;
        exchange_fail(w, w->oldest);
    }
}

int exchange_patience(const struct worker *w, int64_t now_ms)
{
    if (!w->oldest)
        return -1;
    int64_t left = w->oldest->deadline_ms - now_ms;
    return left > 0 ? (int)left : 0;
}

void exchange_free_all(struct worker *w)
{
    while (w->oldest)
        exchange_free(w, w->oldest);
}
