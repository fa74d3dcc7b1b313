#include "output.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

enum output_result output_rest(int fd, const struct waker *waker, const void *octets, size_t len,
                               size_t *written)
{
    const uint8_t *data = octets;
    while (*written < len) {
        ssize_t n = write(fd, data + *written, len - *written); /* SIGPIPE is ignored */
        if (n >= 0) {
            *written += (size_t)n;
        } else if (errno == EAGAIN) {
            if (waker_wait(waker, fd, POLLOUT, -1) == WAIT_WOKEN)
                return OUTPUT_WOKEN;
        } else if (errno == ENOSPC || errno == EDQUOT) {
            return OUTPUT_FULL;
        } else if (errno != EINTR) {
            return OUTPUT_BROKEN;
        }
    }
    return OUTPUT_DONE;
}

enum output_result output_parcel(int fd, const struct waker *waker, const struct parcel *parcel,
                                 struct progress *progress)
{
    enum output_result result =
        output_rest(fd, waker, parcel->data, parcel->len, &progress->written);
    int saved = errno;
    output_settle(parcel, progress);
    errno = saved;
    return result;
}

void output_settle(const struct parcel *parcel, struct progress *progress)
{
    size_t end;
    uint32_t whole = parcel_whole(parcel, progress->written, &end);
    parcel_settle(parcel, OUTCOME_DELIVERED, whole - progress->settled);
    progress->settled = whole;
}

enum output_result output_octets(int fd, const struct waker *waker, const void *data, size_t len)
{
    size_t written = 0;
    return output_rest(fd, waker, data, len, &written);
}
