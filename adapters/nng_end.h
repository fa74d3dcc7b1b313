/* Where an nng socket is attached: it listens, on each address of a name, or dials. libnng takes the first address of a name
 * and says nothing of what goes wrong, so a thread of ours tries the addresses in turn, looks names up anew in each round, and
 * says why there is no peer. It sleeps while there is one. */
#ifndef ADAPTERS_NNG_END_H
#define ADAPTERS_NNG_END_H

#include <nng/nng.h>
#include <pthread.h>

#include "host_port.h"
#include "nng_peers.h"
#include "resolve.h"
#include "waker.h"

#include <nng/supplemental/tls/tls.h>

struct nng_end {
    bool listens;
    bool by_name; /* of a name, whose addresses are all tried */
    bool by_tls;
    nng_socket socket;
    struct nng_peers *peers;
    const char *transport; /* "tcp", "tls+tcp", "ipc", "inproc" */
    struct host_port at;

    nng_listener listeners[ADDRESSES_MAX];
    unsigned listener_count;

    pthread_mutex_t lock; /* of these three, which a reload touches while the thread dials */
    nng_dialer dialer;
    bool dialing;
    nng_tls_config *tls; /* NULL: plain */

    struct waker waker;
    pthread_t thread;
    bool started;
};

/* Listens or dials as the options say, else as `listens` says. False with the error; nng_detach in either case. */
bool nng_attach(struct nng_end *end, nng_socket socket, const struct place *place, bool listens, struct nng_peers *peers,
                struct error *error);

/* Ends the thread: before the socket is closed. */
void nng_detach(struct nng_end *end);

/* Has `close(arg)` close the socket of `url` on a thread of its own, and waits for it some seconds at most: what it holds is then
 * its own for good, and the log says so. */
void nng_close_apart(void (*close)(void *arg), void *arg, const char *url);

/* nng+tls: reads the certificates anew, for peers to come, and says in the log what came of it; `what` is "source"
 * or "sink". Any thread. */
void nng_reload(struct nng_end *end, const struct place *place, const char *what);

#endif
