/* Lets a thread that waits on a descriptor be woken for good by another: how sources are stopped and
 * sinks interrupted. Once woken, every wait returns at once. */
#ifndef BRIDGE_WAKER_H
#define BRIDGE_WAKER_H

#include <stdbool.h>

struct waker {
    int fd; /* an eventfd: readable once woken; may stand in an epoll set */
};

enum wait_result { WAIT_READY, WAIT_TIMEOUT, WAIT_WOKEN };

/* False when the system has no descriptor left. */
bool waker_init(struct waker *waker);
void waker_close(struct waker *waker);

/* Any thread. */
void waker_wake(struct waker *waker);
bool waker_woken(const struct waker *waker);

/* The owner: unlike after an interruption, it can be woken again. */
void waker_clear(struct waker *waker);

/* The owner: waits for `events` (POLLIN, POLLOUT) on `fd` (-1: on nothing) for `timeout_ms` (-1: without
 * end), or until woken. Errors and hang-ups of `fd` count as ready: the next call on it tells. */
enum wait_result waker_wait(const struct waker *waker, int fd, short events, int timeout_ms);

#endif
