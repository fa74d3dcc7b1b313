/* A hop: every source joined to every sink by a ring, one thread for each source and each sink.
 * All calls by the main thread, but those that say otherwise. */
#ifndef BRIDGE_HOP_H
#define BRIDGE_HOP_H

#include "config.h"
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

/* Joins all threads and frees everything. */
void hop_free(struct hop *hop);

/* What any thread may read of a hop while it is there. */
struct route_view {
    struct named source;
    struct named sink;
    struct tally tally;
    size_t ring; /* octets inside */
    size_t ring_capacity;
    const struct pace *pace;
};

struct source_view {
    struct named name;
    uint64_t lost;
    bool knows_connections;
    uint64_t connections;
    bool knows_turned_away;
    uint64_t turned_away;
};

struct hop_visitor {
    void (*route)(void *arg, const struct route_view *route);
    void (*source)(void *arg, const struct source_view *source);
    void (*link)(void *arg, const struct named *source, const struct link_view *link);
    void *arg;
};

/* Shows every route, source and link. Any thread, until hop_free. */
void hop_visit(struct hop *hop, const struct hop_visitor *visitor);

/* The ledger as a table for people, and as JSON (docs/ledger.md describes its shape). Any
 * thread. */
void hop_print_ledger(struct hop *hop, FILE *out);
void hop_json_ledger(struct hop *hop, struct buffer *out);

/* The sum over all routes, and what was lost before this hop. */
void hop_sum(struct hop *hop, struct tally *sum, uint64_t *lost);

/* Was everything that was received delivered or filtered, and nothing lost? */
bool hop_is_whole(struct hop *hop);

#endif
