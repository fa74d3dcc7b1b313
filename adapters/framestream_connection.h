/* One sender of a Frame Streams listener, and the lists that the listener keeps of them. Owned by
 * the source's thread. */
#ifndef ADAPTERS_FRAMESTREAM_CONNECTION_H
#define ADAPTERS_FRAMESTREAM_CONNECTION_H

#include "link.h"
#include "stream.h"

enum { PEER_NAME = 64 };

enum phase {
    PHASE_SECURING, /* in the handshake of TLS */
    PHASE_OPENING,  /* nothing was said yet */
    PHASE_READY,    /* READY was answered */
    PHASE_DATA,     /* START was said, and nothing since */
    PHASE_SPEAKING, /* and messages after it */
};

struct connection {
    struct link link;
    enum phase phase;
    bool answers;     /* began with READY, so it reads FINISH */
    uint32_t watched; /* epoll's events */
    struct stream *stream;
    int64_t deadline; /* of the phase, where it has one, ms */
    int64_t heard;    /* when something was read of it last, ms */
    struct connection *prev, *next;
    char peer[PEER_NAME];
};

struct connection_list {
    struct connection *first, *last; /* oldest first */
};

void connection_list_append(struct connection_list *list, struct connection *connection);
void connection_list_remove(struct connection_list *list, struct connection *connection);

/* For an accepted socket, whose owner the connection becomes; `tls` NULL: plain. In no list yet.
 * NULL: out of memory, the socket still the caller's. */
struct connection *connection_new(int fd, struct tls_context *tls, struct stream *stream);

/* Closes it; it is in no list any more. */
void connection_free(struct connection *connection);

#endif
