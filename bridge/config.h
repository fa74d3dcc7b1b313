/* What a hop is to do, as the command line says it: checked, nothing opened. Main thread. */
#ifndef BRIDGE_CONFIG_H
#define BRIDGE_CONFIG_H

#include <stdio.h>

#include "endpoint.h"

struct config {
    char hop[64];
    const char *ledger_file; /* NULL: none; borrowed from the command line */
    uint64_t drain_ms;       /* how long a stop may take */
    struct endpoint *sources;
    struct endpoint *sinks;
    unsigned source_count;
    unsigned sink_count;
};

/* The most octets that a batch from this source takes. */
uint64_t config_batch_max(const struct endpoint *source);

/* What can only be judged when all is known: rings that could never take a message. */
bool config_check(const struct config *config, struct error *error);

/* The memory ceiling of the process in octets; with `out`, says how it comes about. */
uint64_t config_ceiling(const struct config *config, FILE *out);

/* What --check says. */
void config_describe(const struct config *config, FILE *out);

void config_free(struct config *config);

#endif
