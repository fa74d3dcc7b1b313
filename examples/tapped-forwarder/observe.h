/* What the forwarder tells the tap. The whole cost of carrying it is in these few functions. `lane`
 * NULL: there is no tap. */
#ifndef FORWARDER_OBSERVE_H
#define FORWARDER_OBSERVE_H

#include "cache.h"
#include "tap.h"

#include <sys/socket.h>

struct address {
    struct sockaddr_storage storage;
    socklen_t len;
};

/* One side of a transaction: who asked whom, over what, when. */
struct observed {
    enum tap_protocol protocol;
    const struct address *asks; /* NULL where it is the forwarder itself */
    const struct address *answers;
    struct timespec query_time;
    struct timespec response_time;
};

void observe_query(struct tap_lane *lane, enum tap_type type, const struct observed *seen,
                   const uint8_t *wire, size_t len);
void observe_response(struct tap_lane *lane, enum tap_type type, const struct observed *seen,
                      const uint8_t *wire, size_t len);
void observe_cache(struct tap_lane *lane, const struct cache_entry *entry, enum cache_reason reason,
                   time_t now);

struct timespec observe_now(void);

#endif
