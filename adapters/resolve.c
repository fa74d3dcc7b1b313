#include "resolve.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"

enum { LOOKUP_STACK = 1 << 20 };

/* One call of getaddrinfo(). Held by the thread that makes it and by the one that waits; the last frees it. */
struct lookup {
    _Atomic int holders;
    struct waker done;
    _Atomic bool answered; /* what is below is written */
    struct host_port at;
    bool passive;
    int problem; /* getaddrinfo's, 0: none */
    int why;     /* errno, of EAI_SYSTEM */
    struct addresses found;
};

static void let_go(struct lookup *l)
{
    if (atomic_fetch_sub_explicit(&l->holders, 1, memory_order_acq_rel) > 1)
        return;
    waker_close(&l->done);
    free(l);
}

static void keep_found(struct addresses *found, const struct addrinfo *list)
{
    found->count = 0;
    for (; list && found->count < ADDRESSES_MAX; list = list->ai_next) {
        if (list->ai_addrlen > sizeof found->list[0].storage)
            continue;
        struct address *address = &found->list[found->count++];
        *address = (struct address){.len = list->ai_addrlen};
        memcpy(&address->storage, list->ai_addr, list->ai_addrlen);
    }
}

static void look_up(struct lookup *l)
{
    char port[8];
    snprintf(port, sizeof port, "%u", l->at.port);
    struct addrinfo hints = {
        .ai_socktype = SOCK_STREAM, /* one of each address; datagrams go to the same ones */
        .ai_flags = AI_NUMERICSERV | (l->passive ? AI_PASSIVE : 0) | (l->at.is_address ? AI_NUMERICHOST : 0),
    };
    struct addrinfo *list = NULL;
    l->problem = getaddrinfo(l->at.host[0] ? l->at.host : NULL, port, &hints, &list);
    l->why = errno;
    if (l->problem != 0)
        return;
    keep_found(&l->found, list);
    freeaddrinfo(list);
}

static void *run_lookup(void *arg)
{
    struct lookup *l = arg;
    look_up(l);
    atomic_store_explicit(&l->answered, true, memory_order_release);
    waker_wake(&l->done);
    let_go(l);
    return NULL;
}

static struct lookup *lookup_new(const struct host_port *at, bool passive)
{
    struct lookup *l = calloc(1, sizeof *l);
    if (!l)
        return NULL;
    *l = (struct lookup){.done.fd = -1, .at = *at, .passive = passive};
    atomic_init(&l->holders, 1);
    if (waker_init(&l->done))
        return l;
    let_go(l);
    return NULL;
}

static bool start_thread(struct lookup *l)
{
    pthread_attr_t attributes;
    pthread_t thread;
    if (pthread_attr_init(&attributes) != 0)
        return false;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, LOOKUP_STACK);
    atomic_fetch_add_explicit(&l->holders, 1, memory_order_relaxed);
    bool started = pthread_create(&thread, &attributes, run_lookup, l) == 0;
    pthread_attr_destroy(&attributes);
    if (!started)
        let_go(l);
    return started;
}

static enum resolve_result take_result(const struct lookup *l, struct addresses *found, struct error *error)
{
    if (l->problem == 0 && l->found.count > 0) {
        *found = l->found;
        return RESOLVED;
    }
    const char *why = l->problem == 0            ? "it has no address"
                      : l->problem == EAI_SYSTEM ? strerror(l->why)
                                                 : gai_strerror(l->problem);
    error_set(error, "cannot resolve '%s': %s", l->at.host, why);
    return RESOLVE_FAILED;
}

static enum resolve_result wait_for(struct lookup *l, const struct waker *waker, int timeout_ms, struct addresses *found,
                                    struct error *error)
{
    static const struct waker never = {.fd = -1}; /* poll() passes it over */
    int64_t end = clock_ms(CLOCK_MONOTONIC) + timeout_ms;
    while (!atomic_load_explicit(&l->answered, memory_order_acquire)) {
        int64_t left = timeout_ms < 0 ? -1 : end - clock_ms(CLOCK_MONOTONIC);
        if (timeout_ms >= 0 && left <= 0) {
            error_set(error, "cannot resolve '%s': no answer after %d s", l->at.host, timeout_ms / 1000);
            return RESOLVE_FAILED;
        }
        if (waker_wait(waker ? waker : &never, l->done.fd, POLLIN, (int)left) == WAIT_WOKEN)
            return RESOLVE_WOKEN;
    }
    return take_result(l, found, error);
}

enum resolve_result resolve(const struct host_port *at, bool passive, const struct waker *waker, int timeout_ms,
                            struct addresses *found, struct error *error)
{
    enum resolve_result result = RESOLVE_FAILED;
    struct lookup *l = lookup_new(at, passive);
    if (!l) {
        error_set(error, "out of memory or descriptors to resolve '%s'", at->host);
        return RESOLVE_FAILED;
    }
    if (at->is_address || !at->host[0]) { /* answered at once */
        look_up(l);
        result = take_result(l, found, error);
    } else if (!start_thread(l)) {
        error_set(error, "no thread left to resolve '%s'", at->host);
    } else {
        result = wait_for(l, waker, timeout_ms, found, error);
    }
    let_go(l);
    return result;
}
