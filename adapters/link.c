#include "link.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

bool link_peer_gone(const struct link *link)
{
    uint8_t octet;
    if (link->tls)
        return tls_peer_gone(link->tls);
    ssize_t n = recv(link->fd, &octet, 1, MSG_PEEK | MSG_DONTWAIT);
    return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

const char *link_trouble(const struct link *link)
{
    return link->tls ? tls_reason(link->tls) : strerror(errno);
}

void link_close(struct link *link)
{
    tls_session_free(link->tls);
    if (link->fd >= 0)
        close(link->fd);
    *link = (struct link){.fd = -1};
}
