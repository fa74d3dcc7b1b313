/* Times as text. A moment keeps the text of the last second that it wrote, for the next message is
 * mostly of the same one. One thread's; zeroed is ready. */
#ifndef BRIDGE_ENCODE_MOMENT_H
#define BRIDGE_ENCODE_MOMENT_H

#include "../buffer.h"

enum { MOMENT_SECOND_MAX = 40 };

struct moment {
    int64_t second;
    uint8_t len; /* of `text`; 0: nothing is kept */
    char separator;
    char text[MOMENT_SECOND_MAX];
};

/* The last second that RFC 3339 can write: the end of the year 9999. */
#define MOMENT_LAST INT64_C(253402300799)

/* Appends 2006-01-02, the separator, 15:04:05, a dot and nine digits, in UTC. Seconds since 1970;
 * 1,000,000,000 nanoseconds and more carry over. */
void moment_put(struct moment *moment, int64_t second, uint32_t nanosecond, char separator,
                struct buffer *out);

/* The same with the zeros behind the last digit cut off, and the dot if none is left. */
void moment_put_short(struct moment *moment, int64_t second, uint32_t nanosecond, char separator,
                      struct buffer *out);

/* Appends 20060102150405 in UTC, as DNSSEC writes times. */
void moment_put_compact(int64_t second, struct buffer *out);

#endif
