/* A hop: every source joined to every sink by a ring, one thread for each source and each sink.
 * All calls by the main thread, but those that say otherwise. */
#ifndef BRIDGE_HOP_H
#define BRIDGE_HOP_H

#include "config.h"
#include "ledger_copy.h"
#include "route.h"

struct hop;

/* Opens everything that the configuration names, and takes over its sources and sinks; nothing runs
 * yet. `changed` is rung whenever a source or sink ends; it is borrowed. NULL with the error. */
struct hop *hop_open(struct config *config, struct bell *changed, struct error *error);

/* Starts the threads. False with the error. */
bool hop_start(struct hop *hop, struct error *error);

/* Asks every source to reload its files, and every sink to reopen what it writes to. */
void hop_reopen(struct hop *hop);

/* Makes the running hop what another configuration says, and takes over of it what is new: sources
 * and sinks that are in both, with the same options, go on undisturbed; a changed policy takes the
 * place of the old one between two batches; what is no longer there stops as at the end of a run.
 * What replaces something at the same address opens when that has stopped, within `drain_ms`. False
 * with the error, and nothing was changed. */
bool hop_reload(struct hop *hop, struct config *next, struct error *error);

/* Goes on with what takes its time: stopping, replacing. To be called whenever `changed` was rung.
 * The milliseconds after which to call again, -1: then alone. */
int hop_progress(struct hop *hop);

/* Tells the sources to stop. They first hand on what has arrived already. */
void hop_stop_sources(struct hop *hop);

/* Have all sources ended? Then hop_close_sinks, and hop_progress after it, let the sinks deliver
 * what the rings still hold, and say goodbye. */
bool hop_sources_ended(const struct hop *hop);
void hop_close_sinks(struct hop *hop);
bool hop_sinks_ended(const struct hop *hop);

/* Ends all waiting: blocked sources drop, sinks leave undelivered what they hold. */
void hop_give_up(struct hop *hop);

/* Has every sink that sources lead to lost for good what it wrote to, such as a pipe whose reader has gone? */
bool hop_sinks_gone(const struct hop *hop);

/* After all have ended: closes sinks and then sources, on threads of their own, for libraries may take long; rings `changed`
 * whenever one is closed. Call hop_is_closed until it is true. Where that takes too long, hop_name_closing says in the log
 * what does not close. */
void hop_close(struct hop *hop);
bool hop_is_closed(struct hop *hop);
void hop_name_closing(const struct hop *hop);

/* Joins all threads and frees everything, however long it takes. */
void hop_free(struct hop *hop);

/* The ledger as it stands. Any thread, until hop_free; it takes a lock for the copy alone. The caller frees it
 * (ledger_copy_free). */
void hop_copy(struct hop *hop, struct ledger_copy *copy);

/* The sum over all routes, and what was lost before this hop. Any thread, until hop_free. */
void hop_sum(struct hop *hop, struct tally *sum, uint64_t *lost);

/* Was everything that was received delivered or filtered, and nothing lost? */
bool hop_is_whole(struct hop *hop);

#endif
