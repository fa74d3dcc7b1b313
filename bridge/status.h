/* What a hop shows of itself over HTTP (docs/status.md): metrics, health, the ledger, and a page. nng's
 * server answers on nng's threads; it only reads, and while nobody asks nothing of it runs. */
#ifndef BRIDGE_STATUS_H
#define BRIDGE_STATUS_H

#include "error.h"
#include "hop.h"

struct status;

/* Listens on `address` (ADDR:PORT) and answers at once, though not yet ready. `hop` and `hop_name` are
 * borrowed until status_close. NULL with the error. Main thread, like all calls here. */
struct status *status_open(const char *address, const char *hop_name, struct hop *hop,
                           struct error *error);

/* All sources and sinks run, or no longer do: what /readyz answers. NULL is allowed, here and below. */
void status_set_ready(struct status *status, bool ready);

/* When this returns no answer reads the hop any more. */
void status_close(struct status *status);

#endif
