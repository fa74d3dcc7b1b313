/* Stream sockets by name: what listener and sender share. Addresses are "PATH" for the scheme unix, and
 * "HOST:PORT" or "[ADDRESS]:PORT" for tcp. */
#ifndef ADAPTERS_SOCKET_H
#define ADAPTERS_SOCKET_H

#include <sys/socket.h>

#include "adapter.h"

struct address {
    struct sockaddr_storage storage;
    socklen_t len;
};

/* Resolves the place's address (names are looked up; `passive` for listening). False with the error. */
bool address_resolve(const struct place *place, bool passive, struct address *address,
                     struct error *error);

/* "192.0.2.1:53", "[::1]:53", or "unix" for a peer without a name. */
void address_print(const struct sockaddr *address, char *out, size_t room);

/* A listening socket, non-blocking, or -1 with the error. A unix socket's path that nobody listens on
 * any more is taken over. */
int socket_listen(const struct place *place, struct error *error);

/* A non-blocking socket that is connecting (wait for POLLOUT, then socket_error), or -1 with errno. */
int socket_connect(const struct address *address);

/* The pending error of a socket, 0 for none. */
int socket_error(int fd);

#endif
