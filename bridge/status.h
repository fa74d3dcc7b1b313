/* What a running hop shows over HTTP (docs/status.md): metrics, the ledger, health, and a page.
 *
 * One thread of the server's answers everything, from copies; it takes no lock that a source or a sink waits for.
 * Connections, half requests and answers that nobody reads are bounded. */
#ifndef BRIDGE_STATUS_H
#define BRIDGE_STATUS_H

#include "hop.h"

struct status;

/* Listens on the configuration's ADDR:PORT and answers from then on. All is borrowed; `main_bell` is rung when somebody asks
 * whether the main thread turns. NULL with the error. Main thread, like all calls here. */
struct status *status_open(const struct config *config, struct hop *hop, struct bell *main_bell, struct error *error);

/* Do sources and sinks run: what /readyz says. NULL is fine, here and below. */
void status_set_ready(struct status *status, bool ready);

/* The main thread turns: to be called whenever the bell was rung. */
void status_heartbeat(struct status *status);

/* Ends all connections. The hop is not looked at any more. */
void status_close(struct status *status);

#endif
