/* What the parts of a worker know of each other. */
#ifndef FORWARDER_INTERNAL_H
#define FORWARDER_INTERNAL_H

#include "worker.h"

/* What epoll hands back: who is to be called. */
struct watch {
    void (*ready)(struct worker *worker, struct watch *watch, uint32_t events);
    int fd;
};

struct connection;
struct exchange;

/* Where a reply goes. */
struct client {
    struct connection *connection; /* NULL: UDP */
    struct address address;
    struct timespec received;
};

struct worker {
    struct worker_config config;
    int epoll;
    struct watch stop, udp, upstream, listener;
    bool stopping;
    struct tap_lane *lane;
    struct tap_lane *event_lane; /* the same, or NULL */
    struct cache *cache;
    struct worker_counts counts;

    struct exchange *exchanges[65536]; /* by id */
    struct exchange *oldest, *newest;  /* all have the same patience, so this is by deadline */
    struct connection *connections;
    unsigned connection_count;
    bool reap; /* some connection has closed */

    uint8_t in[DNS_MAX], out[DNS_MAX + 2];
};

int64_t worker_now_ms(void);
bool worker_watch(struct worker *w, struct watch *watch, uint32_t events);

/* A client's query, from any transport. The wire may be written to. */
void worker_query(struct worker *w, const struct client *client, uint8_t *wire, size_t len);
/* `query` NULL: there was none that could be read. */
void worker_reply(struct worker *w, const struct client *client, const struct dns_query *query,
                  uint8_t *wire, size_t len);

/* exchange.c: queries to upstream */
bool exchange_open_upstream(struct worker *w);
void exchange_start(struct worker *w, const struct client *client, const struct dns_query *query);
void exchange_expire(struct worker *w, int64_t now_ms);
/* Milliseconds to the next deadline, or -1. */
int exchange_patience(const struct worker *w, int64_t now_ms);
void exchange_free_all(struct worker *w);

/* connection.c: clients over TCP */
bool connection_listen(struct worker *w);
void connection_send(struct worker *w, struct connection *c, const uint8_t *wire, size_t len);
void connection_hold(struct connection *c); /* a query is pending */
void connection_let_go(struct worker *w, struct connection *c);
void connection_expire(struct worker *w, int64_t now_ms);
void connection_free_all(struct worker *w);

#endif
