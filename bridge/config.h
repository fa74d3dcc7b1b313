/* What a hop is to do, as the command line or a file says it: checked, nothing opened. Main thread. */
#ifndef BRIDGE_CONFIG_H
#define BRIDGE_CONFIG_H

#include <stdio.h>

#include "endpoint.h"
#include "log.h"

struct config {
    char hop[64];
    char *ledger_file;       /* NULL: none */
    char *status;            /* ADDR:PORT to serve metrics on; NULL: none */
    char **status_hosts;     /* further names by which it may be asked for */
    unsigned status_host_count;
    bool reload;             /* it is read again while it runs: what sinks write to is theirs */
    char *file;              /* the configuration file that was read last; NULL: none */
    enum log_format log;
    bool quiet; /* no live line on a terminal */
    uint64_t drain_ms;       /* how long a stop may take */
    struct endpoint **sources; /* NULL where another has taken it over */
    struct endpoint **sinks;
    unsigned source_count;
    unsigned sink_count;
};

/* Everything that is not given: the host's name, the usual times. */
void config_defaults(struct config *config);

/* The hop's own settings by name: hop, ledger, drain-timeout, status, status-host, log, quiet. False with the error. */
bool config_set(struct config *config, const char *name, const char *value, struct error *error);

/* A new source or sink, to be filled in by endpoint_parse or endpoint_begin at once. NULL: out of memory. */
struct endpoint *config_add(struct config *config, enum direction direction, struct error *error);

/* The most octets that a batch from this source takes. */
uint64_t config_batch_max(const struct endpoint *source);

/* Does some source go on without end? */
bool config_is_live(const struct config *config);

/* Does a sink take what other sinks' policies take out, and nothing else: does a step name it behind `rejects`? */
bool config_is_diverted(const struct config *config, unsigned sink);

/* What can only be judged when all is known: rings that could never take a message, names that no sink bears, and ways that
 * lead round in a circle. */
bool config_check(const struct config *config, struct error *error);

/* The memory ceiling of the process in octets; with `out`, says how it comes about. */
uint64_t config_ceiling(const struct config *config, FILE *out);

/* What --check says. */
void config_describe(const struct config *config, FILE *out);

void config_free(struct config *config);

#endif
