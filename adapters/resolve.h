/* Looks up the addresses of a name without being at the mercy of the resolver: getaddrinfo() cannot be interrupted, so it
 * runs on a thread of its own, which is left behind when nobody waits for it any more. */
#ifndef ADAPTERS_RESOLVE_H
#define ADAPTERS_RESOLVE_H

#include <sys/socket.h>

#include "error.h"
#include "host_port.h"
#include "waker.h"

enum { ADDRESSES_MAX = 16 };

struct address {
    struct sockaddr_storage storage;
    socklen_t len;
};

/* In the order in which they should be tried (RFC 6724, as the system sorts them). */
struct addresses {
    struct address list[ADDRESSES_MAX];
    unsigned count;
};

enum resolve_result { RESOLVED, RESOLVE_FAILED, RESOLVE_WOKEN };

/* The addresses of `at`; `passive`: to listen on. Waits until the answer is there, `waker` is woken (NULL: there is none)
 * or `timeout_ms` has passed (-1: without end). RESOLVE_FAILED fills in the error. Any thread that may block. */
enum resolve_result resolve(const struct host_port *at, bool passive, const struct waker *waker, int timeout_ms,
                            struct addresses *found, struct error *error);

#endif
