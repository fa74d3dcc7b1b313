/* The peers of an nng socket, by nng's pipe events, which come on nng's threads. */
#ifndef ADAPTERS_NNG_PEERS_H
#define ADAPTERS_NNG_PEERS_H

#include <nng/nng.h>
#include <pthread.h>
#include <stdatomic.h>

#include "adapter.h"

enum { NNG_PEER_NAME = 64 };

struct nng_named; /* a peer that is there */

struct nng_peers {
    char *url;        /* for the log; our own, for nng may outlive what it names */
    const char *what; /* "source" or "sink" */
    int max;          /* a further peer is turned away */
    size_t message_max; /* octets; libnng closes the connection of a peer that sends more, without a word. 0: there is no bound */
    int changed;      /* an eventfd: readable when one has come or gone */
    _Atomic int count;
    _Atomic bool left; /* one that was there has gone */
    _Atomic bool ending; /* it is us who close the connections */
    _Atomic uint64_t turned_away;

    pthread_mutex_t lock; /* of the names, which a peer that has gone can no longer be asked for */
    struct nng_named *named;
    unsigned named_count, named_room;
};

/* False with the error; free in either case, when the socket is closed. */
bool nng_peers_init(struct nng_peers *peers, const char *what, const struct place *place, struct error *error);
void nng_peers_free(struct nng_peers *peers);

/* Follows the socket's peers in `peers`, which outlives the socket. False with the error. */
bool nng_peers_watch(nng_socket socket, struct nng_peers *peers, struct error *error);

/* Any thread: this peer's stream has ended as it should, so that the end of its connection is none to wonder about. */
void nng_peers_note_end(struct nng_peers *peers, int pipe);

/* The most octets for the names of so many peers. */
uint64_t nng_peers_memory(uint64_t max);

#endif
