/* The way from the rings to a sink: one thread per sink takes batches from the rings in front of it,
 * has them encoded, and writes them to the sink. This thread may block as long as its sink likes: the
 * rings stand before it.
 *
 *     ring (source 1) ──┐
 *     ring (source 2) ──┴─► policy ─► encoder ─► sink         each ring with its account: a route
 */
#ifndef BRIDGE_ROUTE_H
#define BRIDGE_ROUTE_H

#include "endpoint.h"
#include "intake.h"
#include "pace.h"

struct outlet;
struct route;

/* Opens the sink. `endpoint` and `host` are borrowed. NULL with the error. Main thread, like all calls
 * here but those that say otherwise. */
struct outlet *outlet_new(const struct endpoint *endpoint, const struct sink_host *host,
                          struct error *error);

/* A route from a source to this outlet: its ring and account. Its URL is copied; does it wait where there is no room? `owner`
 * says whose it is to outlet_end_routes. NULL: out of memory. */
struct route *route_new(struct outlet *outlet, struct named source, bool waits, const void *owner);
void route_free(struct route *route);

/* Takes it over, at any time, under the lock of those who look at the outlet's routes. False, and it is still the
 * caller's: there are too many. */
bool outlet_add_route(struct outlet *outlet, struct route *route, struct entrance *entrance);

/* Nothing will be put into the rings of this owner any more: once they are empty and all is settled, the outlet's thread lets
 * go of the routes, and `ended` is rung. */
void outlet_end_routes(struct outlet *outlet, const void *owner);

/* Are there routes of this owner still? */
bool outlet_has_routes(const struct outlet *outlet, const void *owner);

/* A route that the outlet's thread let go of, or NULL; the caller frees it. The outlet no longer shows it: under the lock of
 * those who look at it. */
struct route *outlet_take_ended(struct outlet *outlet);

/* At any time: from its next batch on messages pass this policy, NULL for none, which the outlet takes over, with its
 * policy_hash. What its steps
 * send elsewhere goes to `gates` (as many as the plan has plan_rejects), which are borrowed; their "source's thread" is the
 * outlet's. False: out of memory, nothing changed. */
bool outlet_change_policy(struct outlet *outlet, struct policy *policy, const char *hash, struct intake *const *gates,
                          unsigned count);

/* The outlet's thread: the hash of the policy that its messages pass now; NULL: there is none. */
const char *outlet_policy_hash(const struct outlet *outlet);

/* Is the policy of before still there? When it is not, `ended` is rung. */
bool outlet_is_changing(const struct outlet *outlet);

/* Do all sources wait where there is no room? */
bool outlet_waits(const struct outlet *outlet);

/* Starts the thread; when it has ended, `ended` is rung. False with the error. */
bool outlet_start(struct outlet *outlet, struct bell *ended, struct error *error);

/* Asks the sink to reopen what it writes to, on its thread, as soon as it is between batches. */
void outlet_reopen(struct outlet *outlet);

/* Nothing more will be put into the rings: deliver what is inside, say goodbye to the peer, end. */
void outlet_close(struct outlet *outlet);

/* Ends all waiting: what is not delivered by now stays in flight. */
void outlet_interrupt(struct outlet *outlet);

/* Has the thread ended? */
bool outlet_ended(const struct outlet *outlet);

/* Joins the thread, which must be ending. */
void outlet_join(struct outlet *outlet);

/* After it has ended or never ran: frees everything. Any thread, the last that uses it. */
void outlet_free(struct outlet *outlet);

/* The sum of all routes that there ever were: the outlet's thread, while it runs. */
struct tally outlet_tally(const struct outlet *outlet);

/* The routes that it shows. Main thread; others under the lock that the main thread holds when it adds routes and takes ended
 * ones. What is shown is borrowed. */
unsigned outlet_route_count(const struct outlet *outlet);
struct route *outlet_route(const struct outlet *outlet, unsigned i);
struct named route_source(const struct route *route);
struct tally route_tally(const struct route *route);
const struct pace *route_pace(const struct route *route);
const struct ring *route_ring(const struct route *route);

#endif
