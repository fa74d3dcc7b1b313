/* Writes a parcel to a descriptor and keeps the account exact whatever happens on the way: what the
 * two sinks that write octets, files and Frame Streams sockets, have in common. */
#ifndef ADAPTERS_OUTPUT_H
#define ADAPTERS_OUTPUT_H

#include "parcel.h"
#include "waker.h"

enum output_result {
    OUTPUT_DONE,   /* all of it is written, and all records are settled as delivered */
    OUTPUT_WOKEN,  /* the waker ended the waiting; what was not written is not settled */
    OUTPUT_FULL,   /* the disk is full */
    OUTPUT_BROKEN, /* any other error: see errno */
};

/* How far into a parcel the writing got: kept by the sink over several calls. */
struct progress {
    size_t written;   /* octets that the kernel took */
    uint32_t settled; /* records told to the account as delivered */
};

/* Writes on from `progress`. Before it returns, every record whose last octet was taken is settled. */
enum output_result output_parcel(int fd, const struct waker *waker, const struct parcel *parcel,
                                 struct progress *progress);

/* The second half of that, for who writes by other means: settles what `progress` says is written now. */
void output_settle(const struct parcel *parcel, struct progress *progress);

/* Writes octets that are no records (control frames); the second: on from `*written`, which it moves. */
enum output_result output_octets(int fd, const struct waker *waker, const void *data, size_t len);
enum output_result output_rest(int fd, const struct waker *waker, const void *data, size_t len,
                               size_t *written);

#endif
