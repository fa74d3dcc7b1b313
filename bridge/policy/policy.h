/* A policy at work: the steps that a sink's messages pass before they are encoded. One thread, the
 * route's, uses it; batches go in, and come out with fewer messages, or others.
 *
 *     ring ──► policy_run ──┬──► pass ──► encoder, sink
 *                           └──► reject ──► the ring of another sink
 *
 * Nothing is copied where a batch passes whole. */
#ifndef BRIDGE_POLICY_H
#define BRIDGE_POLICY_H

#include "plan.h"

struct policy;

/* Where the messages go. Called by the route's thread from within policy_run and policy_tick. The
 * batch is borrowed. */
struct policy_exits {
    void (*pass)(void *arg, struct batch *batch, struct account *account);
    bool (*reject)(
        void *arg, unsigned nth,
        struct batch *batch); /* to the plan's nth plan_rejects; false: nobody is there */
    void *arg;
};

/* Builds the steps, reading the files that they name. Takes over the plan, and leaves an empty one.
 * NULL with the error, and the plan stays. Main thread. */
struct policy *policy_new(struct plan *plan, struct error *error);
void policy_free(struct policy *policy);

/* What it was made from. */
const struct plan *policy_plan(const struct policy *policy);

/* Before it is used. */
void policy_connect(struct policy *policy, const struct policy_exits *exits);

/* Puts a batch of this account through the steps; what goes on is out before it returns, but for
 * what steps hold back. */
void policy_run(struct policy *policy, struct batch *batch, struct account *account);

/* The milliseconds until a step has something to give back, -1: never. */
int policy_due(const struct policy *policy);

/* Gives back what is due; with `all`, everything that steps hold. */
void policy_tick(struct policy *policy, bool all);

/* Octets of memory that it may take. */
uint64_t policy_memory(const struct policy *policy);

#endif
