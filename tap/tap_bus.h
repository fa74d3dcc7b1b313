/* The tap's way onto a message bus: with the adapters of dnstap-bridge linked, a tap opens their
 * URLs too, and is the first hop of the ledger.
 *
 *     struct tap_options options = {.identity = ..., .outputs = tap_bus_outputs};
 *     tap_open("nng+tcp:collector.example:5555", &options, ...);
 *     tap_open("kafka://broker.example:9092/dnstap#format=frames,compression.codec=lz4", &options,
 * ...);
 *
 *     lanes ──► the tap's writer thread ──► ring ──► route ──► adapter
 *
 * The URL and its options are those of a sink of dnstap-bridge (`dnstap-bridge --help nng+tcp`). A
 * message stays in its lane until the adapter has settled it, so that the tap's equations hold to
 * the end: `written` was delivered (an acknowledgement of the broker, a pipe of nng), `failed` was
 * given up. What was under way when tap_close ran out of time counts as failed, and may have
 * arrived.
 *
 * On a bus the batches carry the envelope: the hop is named by the tap's identity, or else by the
 * host; received is what was emitted, dropped what no ring had room for. */
#ifndef DNSTAP_TAP_BUS_H
#define DNSTAP_TAP_BUS_H

#include "tap.h"

#ifdef __cplusplus
extern "C" {
#endif

/* For tap_options.outputs. */
extern const struct tap_output_ops *const tap_bus_outputs[];

/* Where lines about the bus go in this process, without a newline; NULL: to standard error, which
 * is where they go at first. Call it before the first tap_open; `line` is called by any thread. */
void tap_bus_log(void (*line)(void *arg, const char *line), void *arg);

#ifdef __cplusplus
}
#endif

#endif
