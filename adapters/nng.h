/* What the two halves of the nng adapter share. */
#ifndef ADAPTERS_NNG_H
#define ADAPTERS_NNG_H

#include <nng/nng.h>
#include <stdatomic.h>

#include "adapter.h"
#include "host_port.h"

extern const struct source_ops nng_source_ops;
extern const struct sink_ops nng_sink_ops;

/* The peers of a socket, by nng's pipe events (which come on nng's threads). */
struct nng_peers {
    const char *url;   /* for the log */
    const char *what;  /* "source" or "sink" */
    int max;           /* a further peer is turned away */
    _Atomic int count;
    _Atomic bool left; /* one that was there has gone */
    _Atomic uint64_t turned_away;
};

/* Follows the socket's peers in `peers`, which outlives the socket. False with the error. */
bool nng_watch_peers(nng_socket socket, struct nng_peers *peers, struct error *error);

/* The HOST:PORT of nng+tcp: and nng+tls:. False with the error. */
bool nng_address(const struct place *place, struct host_port *at, struct error *error);

/* Judges the options of either end; `listens` as below. False with the error. */
bool nng_check(const struct place *place, bool listens, struct error *error);

/* Where a socket is attached: one of the two. */
struct nng_end {
    bool listens;
    nng_listener listener;
    nng_dialer dialer;
};

/* Listens or dials as the options say, else as `listens` says. False with the error. */
bool nng_attach(nng_socket socket, const struct place *place, bool listens, struct nng_end *end,
                struct error *error);

/* nng+tls: reads the certificates anew, for peers to come, and says in the log what came of it; `what` is "source"
 * or "sink". Any thread. */
void nng_reload(const struct nng_end *end, const struct place *place, const char *what);

#endif
