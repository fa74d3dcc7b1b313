#include "waker.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

bool waker_init(struct waker *waker)
{
    waker->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return waker->fd >= 0;
}

void waker_close(struct waker *waker)
{
    if (waker->fd >= 0)
        close(waker->fd);
    waker->fd = -1;
}

void waker_wake(struct waker *waker)
{
    uint64_t one = 1;
    if (write(waker->fd, &one, sizeof one) < 0)
        return; /* full: it is awake already */
}

void waker_clear(struct waker *waker)
{
    uint64_t count;
    if (read(waker->fd, &count, sizeof count) < 0)
        return; /* it was not woken */
}

bool waker_woken(const struct waker *waker)
{
    return waker_wait(waker, -1, 0, 0) == WAIT_WOKEN;
}

enum wait_result waker_wait(const struct waker *waker, int fd, short events, int timeout_ms)
{
    struct pollfd set[2] = {{.fd = waker->fd, .events = POLLIN}, {.fd = fd, .events = events}};
    int n = poll(set, 2, timeout_ms);
    if (n < 0)
        return errno == EINTR ? WAIT_TIMEOUT : WAIT_READY;
    if (set[0].revents)
        return WAIT_WOKEN;
    return n > 0 ? WAIT_READY : WAIT_TIMEOUT;
}
