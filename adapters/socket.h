/* Stream sockets by name: what listener and sender share. Addresses are "PATH" for the scheme unix, and
 * HOST:PORT otherwise (host_port.h). */
#ifndef ADAPTERS_SOCKET_H
#define ADAPTERS_SOCKET_H

#include "adapter.h"
#include "resolve.h"

/* Is the place's address well-formed? Nothing is looked up: what `check` and a sender's `open` ask. False with the error. */
bool address_check(const struct place *place, struct error *error);

/* Is the place's host a name, which has to be looked up? */
bool address_is_name(const struct place *place);

/* All addresses of the place, of a name by resolve(). */
enum resolve_result address_find(const struct place *place, bool passive, const struct waker *waker, int timeout_ms,
                                 struct addresses *found, struct error *error);

enum { ADDRESS_TEXT = 64 };

/* "192.0.2.1:53", "[::1]:53", or "unix" for a peer without a name. */
void address_print(const struct sockaddr *address, char *out, size_t room);

/* Listening sockets, non-blocking: one for each address of the place. */
struct listeners {
    int fds[ADDRESSES_MAX];
    unsigned count;
    const char *path; /* of a unix socket, borrowed; NULL: it is none */
    dev_t device;     /* what stands there is ours if it is this */
    ino_t inode;
};

/* Listens on all addresses of the place; of a name or of all hosts, an IPv6 address that this machine does not have is left
 * out, with a line in the log. A unix socket's path that nobody listens on any more is taken over. False with the error:
 * nothing is open. Main thread; a name is waited for LISTEN_RESOLVE_MS at the most. Closing takes a unix socket's path away, if it is still
 * ours. */
enum { LISTEN_RESOLVE_MS = 10000 };
bool listeners_open(struct listeners *listeners, const struct place *place, struct error *error);
void listeners_close(struct listeners *listeners);

/* A non-blocking socket that is connecting (wait for POLLOUT, then socket_error), or -1 with errno. */
int socket_connect(const struct address *address);

/* The pending error of a socket, 0 for none. */
int socket_error(int fd);

#endif
