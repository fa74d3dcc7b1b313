/* Clients over TCP: queries with two octets of length before each, any number in flight. */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CONNECTIONS_MAX = 256, /* per worker */
    IDLE_MS = 10000,
    OUT_MAX = 1 << 20, /* octets that a client may leave unread */
};

struct connection {
    struct watch watch;
    struct address address;
    int64_t active_ms;
    unsigned pending; /* queries that upstream has not answered */
    bool closed;
    struct connection *next;
    uint8_t *out;
    size_t out_len, out_cap;
    size_t in_len;
    uint8_t in[2 + DNS_MAX];
};

/* It stays until nothing pending points to it. */
static void connection_close(struct worker *w, struct connection *c)
{
    if (c->closed)
        return;
    close(c->watch.fd);
    c->closed = true;
    w->reap = true;
}

static bool flush(struct worker *w, struct connection *c)
{
    size_t done = 0;
    while (done < c->out_len) {
        ssize_t n = send(c->watch.fd, c->out + done, c->out_len - done, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            return false;
        if (n < 0)
            break;
        done += (size_t)n;
    }
    c->out_len -= done;
    memmove(c->out, c->out + done, c->out_len);
    return worker_watch(w, &c->watch, EPOLLIN | (c->out_len > 0 ? EPOLLOUT : 0));
}

static bool append(struct connection *c, const uint8_t *data, size_t len)
{
    if (c->out_cap - c->out_len < len) {
        size_t cap = (c->out_len + len) * 2;
        uint8_t *out = cap > OUT_MAX ? NULL : realloc(c->out, cap);
        if (!out)
            return false;
        c->out = out;
        c->out_cap = cap;
    }
    memcpy(c->out + c->out_len, data, len);
    c->out_len += len;
    return true;
}

void connection_send(struct worker *w, struct connection *c, const uint8_t *wire, size_t len)
{
    if (c->closed)
        return;
    const uint8_t prefix[2] = {(uint8_t)(len >> 8), (uint8_t)len};
    c->active_ms = worker_now_ms();
    if (!append(c, prefix, 2) || !append(c, wire, len) || !flush(w, c))
        connection_close(w, c);
}

void connection_hold(struct connection *c)
{
    c->pending++;
}

void connection_let_go(struct worker *w, struct connection *c)
{
    c->pending--;
    w->reap = w->reap || c->closed;
}

/* Serves the whole queries that have come. */
static void serve(struct worker *w, struct connection *c)
{
    size_t at = 0;
    while (!c->closed && c->in_len - at >= 2) {
        size_t len = (size_t)c->in[at] << 8 | c->in[at + 1];
        if (c->in_len - at - 2 < len)
            break;
        const struct client client = {
            .connection = c, .address = c->address, .received = observe_now()};
        worker_query(w, &client, c->in + at + 2, len);
        at += 2 + len;
    }
    c->in_len -= at;
    memmove(c->in, c->in + at, c->in_len);
}

static void connection_ready(struct worker *w, struct watch *watch, uint32_t events)
{
    struct connection *c = (struct connection *)watch; /* its first member */
    if (c->closed)
        return;
    if (events & EPOLLOUT && !flush(w, c)) {
        connection_close(w, c);
        return;
    }
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        return;
    ssize_t n = recv(c->watch.fd, c->in + c->in_len, sizeof c->in - c->in_len, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        connection_close(w, c);
        return;
    }
    c->in_len += (size_t)n;
    c->active_ms = worker_now_ms();
    serve(w, c);
}

static void listener_ready(struct worker *w, struct watch *watch, uint32_t events)
{
    (void)events;
    struct address from = {.len = sizeof from.storage};
    int fd = accept4(watch->fd, (struct sockaddr *)&from.storage, &from.len,
                     SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    struct connection *c = w->connection_count < CONNECTIONS_MAX ? calloc(1, sizeof *c) : NULL;
    if (!c) {
        close(fd);
        return;
    }
    c->watch = (struct watch){.ready = connection_ready, .fd = fd};
    c->address = from;
    c->active_ms = worker_now_ms();
    c->next = w->connections;
    w->connections = c;
    w->connection_count++;
    if (!worker_watch(w, &c->watch, EPOLLIN))
        connection_close(w, c);
}

bool connection_listen(struct worker *w)
{
    const struct address *at = &w->config.listen;
    int on = 1;
    w->listener.ready = listener_ready;
    w->listener.fd = socket(at->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (w->listener.fd < 0)
        return false;
    setsockopt(w->listener.fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    setsockopt(w->listener.fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    return bind(w->listener.fd, (const struct sockaddr *)&at->storage, at->len) == 0 &&
           listen(w->listener.fd, 128) == 0 && worker_watch(w, &w->listener, EPOLLIN);
}

static void reap(struct worker *w)
{
    struct connection **at = &w->connections;
    while (*at) {
        struct connection *c = *at;
        if (!c->closed || c->pending > 0) {
            at = &c->next;
            continue;
        }
        *at = c->next;
        w->connection_count--;
        free(c->out);
        free(c);
    }
    w->reap = false;
}

void connection_expire(struct worker *w, int64_t now_ms)
{
    for (struct connection *c = w->connections; c; c = c->next)
        if (!c->closed && c->pending == 0 && now_ms - c->active_ms > IDLE_MS)
            connection_close(w, c);
    if (w->reap)
        reap(w);
}

void connection_free_all(struct worker *w)
{
    for (struct connection *c = w->connections; c; c = c->next)
        connection_close(w, c);
    reap(w);
}
