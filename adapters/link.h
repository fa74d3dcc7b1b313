/* A connected stream socket, as it is or with TLS on it: what both ends of Frame Streams read and
 * write. Owned by one thread. */
#ifndef ADAPTERS_LINK_H
#define ADAPTERS_LINK_H

#include <sys/socket.h>

#include "tls.h"

struct link {
    int fd;                  /* non-blocking; -1: there is none */
    struct tls_session *tls; /* NULL: plain */
};

/* As recv(): 0 is the end, -1 an error, EAGAIN: nothing is there now. */
static inline ssize_t link_read(const struct link *link, void *out, size_t room)
{
    return link->tls ? tls_read(link->tls, out, room) : recv(link->fd, out, room, 0);
}

/* As send(). */
static inline ssize_t link_write(const struct link *link, const void *data, size_t len)
{
    return link->tls ? tls_write(link->tls, data, len) : send(link->fd, data, len, MSG_NOSIGNAL);
}

/* There is something to read that epoll does not know of. */
static inline bool link_pending(const struct link *link)
{
    return link->tls && tls_pending(link->tls);
}

/* Has the peer ended it, where it is our turn to speak? */
bool link_peer_gone(const struct link *link);

/* Why the last call failed: to be asked at once. Borrowed. */
const char *link_trouble(const struct link *link);

/* Says goodbye as TLS knows it, and closes the socket. */
void link_close(struct link *link);

#endif
