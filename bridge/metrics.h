/* A hop's numbers in Prometheus' text format, version 0.0.4 (prometheus.io, "Exposition formats").
 * docs/status.md says what each means. */
#ifndef BRIDGE_METRICS_H
#define BRIDGE_METRICS_H

#include "hop.h"

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Appends them all. `started` is the process' start in microseconds since 1970. Any thread, until hop_free. */
void metrics_write(struct hop *hop, const char *hop_name, uint64_t started, struct buffer *out);

#endif
