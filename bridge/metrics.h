/* A hop's numbers in Prometheus' text format, version 0.0.4 (prometheus.io, "Exposition formats").
 * docs/status.md says what each means. */
#ifndef BRIDGE_METRICS_H
#define BRIDGE_METRICS_H

#include "ledger_copy.h"

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Appends them all. `started` is the process' start in microseconds since 1970. Any thread. */
void metrics_write(const struct ledger_copy *ledger, uint64_t started, struct buffer *out);

#endif
