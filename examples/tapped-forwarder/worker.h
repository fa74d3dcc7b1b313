/* One thread of the forwarder: sockets of its own (SO_REUSEPORT), a cache of its own, a lane of the
 * tap of its own. Workers share nothing, so nothing here takes a lock.
 *
 *     client ── UDP, TCP ──► worker_query ──► cache ──► worker_reply
 *                                  │ not there               ▲
 *                                  └──► exchange ── UDP, then TCP where truncated ──► upstream
 */
#ifndef FORWARDER_WORKER_H
#define FORWARDER_WORKER_H

#include "observe.h"

struct worker_config {
    struct address listen;
    struct address upstream;
    size_t cache_octets;
    struct tap *tap; /* or NULL */
    bool events;     /* the tap's receiver knows events */
};

struct worker_counts {
    uint64_t queries, replies, hits, forwarded, timeouts;
};

struct worker;

/* Binds its sockets. NULL, with errno, where that did not work. */
struct worker *worker_new(const struct worker_config *config);
void worker_free(struct worker *worker);

/* Serves until worker_stop; the calling thread is then the one that emits on the worker's lane. */
void worker_run(struct worker *worker);
/* From any thread. */
void worker_stop(struct worker *worker);

struct worker_counts worker_counts(const struct worker *worker); /* when it has stopped */

#endif
