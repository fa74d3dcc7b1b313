/* A policy as it is written: steps in their order, each with its options.
 *
 *     policy:
 *       - keep: { type: [CLIENT_RESPONSE, RESOLVER_RESPONSE], qname: "*.example.org" }
 *       - dedupe: { window: 10s, rejects: chaff }
 *
 * Main thread. */
#ifndef BRIDGE_POLICY_PLAN_H
#define BRIDGE_POLICY_PLAN_H

#include "../document.h"
#include "step.h"

enum { PLAN_STEPS = 32, PLAN_HASH = 65, PLAN_PLACE = 300 };

struct plan_step {
    const struct step_ops *ops;
    struct options options;
    char place[PLAN_PLACE]; /* where it is written: FILE:LINE:COLUMN */
};

struct plan {
    struct plan_step *steps; /* in memory that stays where it is */
    unsigned count;          /* 0: there is no policy */
};

/* Reads the list of steps. False with FILE:LINE:COLUMN and the error. Free in either case. */
bool plan_read(struct plan *plan, struct document *d, const yaml_node_t *list, struct error *error);

/* The same from a file that holds the list, alone or under `policy:`. */
bool plan_read_file(struct plan *plan, const char *path, struct error *error);

void plan_free(struct plan *plan);

/* Whom it sends what it takes out to: the i-th of the different names, NULL behind the last. */
const char *plan_rejects(const struct plan *plan, unsigned i);

/* A line for each step, in plain words. */
void plan_say(const struct plan *plan, FILE *out);

#endif
