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
    /* to the plan's nth plan_rejects; it is on this account here. False: nobody is there. */
    bool (*reject)(void *arg, unsigned nth, struct batch *batch, struct account *account);
    void *arg;
};

/* Builds the steps, reading the files that they name. Takes over the plan, and leaves an empty one.
 * NULL with the error, and the plan stays. Main thread. */
struct policy *policy_new(struct plan *plan, struct error *error);
void policy_free(struct policy *policy);

/* What it was made from. */
const struct plan *policy_plan(const struct policy *policy);

/* SHA-256, in hexadecimal, of what all steps do: their options, and the entries of their lists, however and
 * in whatever order they are written. Two parties that agreed on a policy can see that both mean the same.
 * Secrets are not in it, only where they come from. `state` is the same with the secrets
 * themselves in it: for this process, to see whether anything changed; to be shown to nobody. False
 * with the error. */
bool policy_hash(const struct policy *policy, char hash[PLAN_HASH], char state[PLAN_HASH],
                 struct error *error);

/* What the nth step's lists mean; for policy_hash. */
void policy_put_canonical(const struct policy *policy, unsigned nth, struct buffer *out);

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
