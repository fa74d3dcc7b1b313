#include "route.h"

#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "delivery.h"

struct route {
    struct named source; /* the URL is ours */
    const void *owner;
    bool waits; /* the source waits where its messages find no room */
    struct ring *ring;
    _Atomic bool ending; /* nothing comes any more */
    _Atomic bool let_go; /* the outlet's thread looks at it no more */
    struct account account;
    struct pace pace;
};

/* What a policy's steps take out, and send elsewhere. */
struct gates {
    struct intake *to[PLAN_STEPS];
};

struct outlet {
    const struct endpoint *endpoint;
    const struct sink_ops *ops;
    struct sink *sink;
    struct delivery *delivery;

    struct policy *policy; /* NULL: everything passes */
    char policy_hash[PLAN_HASH];
    struct gates gates;
    _Atomic(struct policy_change *) change; /* for the thread to take over */
    unsigned changes;                       /* so many were made, and the last of them taken over */
    _Atomic unsigned change_taken;

    /* The thread's: the main thread fills a place, the thread empties it when the route has ended. */
    _Atomic(struct route *) places[INTAKE_ROUTES];
    _Atomic unsigned place_count;
    struct tally past;  /* of the routes that ended */
    struct bell filled; /* rung by all rings */

    struct route *shown[INTAKE_ROUTES]; /* the main thread's */
    unsigned shown_count;

    pthread_t thread;
    bool started;
    struct bell *ended_bell;
    _Atomic bool reopening;
    _Atomic bool closing;
    _Atomic bool interrupted;
    _Atomic bool ended;
};

static void rouse(void *arg)
{
    struct outlet *o = arg;
    o->ops->rouse(o->sink);
}

struct outlet *outlet_new(const struct endpoint *endpoint, const struct sink_host *host,
                          struct error *error)
{
    struct outlet *o = calloc(1, sizeof *o);
    if (!o) {
        error_set(error, "out of memory");
        return NULL;
    }
    o->endpoint = endpoint;
    o->ops = endpoint->adapter->sink;
    o->delivery = delivery_new(endpoint, &o->interrupted, error);
    if (o->delivery)
        o->sink = o->ops->open(&endpoint->place, host, error);
    if (o->sink) {
        delivery_connect(o->delivery, o->sink);
        if (o->ops->wait)
            o->filled = (struct bell){.rouse = rouse, .arg = o};
        return o;
    }
    error_prefix(error, endpoint->url);
    outlet_free(o);
    return NULL;
}

struct route *route_new(struct outlet *o, struct named source, bool waits, const void *owner)
{
    struct route *route = aligned_alloc(_Alignof(struct route), sizeof *route);
    if (!route)
        return NULL;
    *route = (struct route){.source = {.url = strdup(source.url), .nth = source.nth}, .waits = waits, .owner = owner};
    route->ring = route->source.url ? ring_new(options_number(&o->endpoint->options, "ring"), &o->filled) : NULL;
    if (route->ring)
        return route;
    route_free(route);
    return NULL;
}

void route_free(struct route *route)
{
    if (!route)
        return;
    if (route->ring)
        ring_free(route->ring);
    free((char *)(uintptr_t)route->source.url);
    free(route);
}

static struct route *place(const struct outlet *o, unsigned i)
{
    return atomic_load_explicit(&o->places[i], memory_order_acquire);
}

static unsigned place_count(const struct outlet *o)
{
    return atomic_load_explicit(&o->place_count, memory_order_acquire);
}

bool outlet_add_route(struct outlet *o, struct route *route, struct entrance *entrance)
{
    unsigned at = 0;
    while (at < place_count(o) && place(o, at))
        at++;
    if (at == INTAKE_ROUTES || o->shown_count == INTAKE_ROUTES)
        return false;
    o->shown[o->shown_count++] = route;
    atomic_store_explicit(&o->places[at], route, memory_order_release);
    if (at == place_count(o))
        atomic_store_explicit(&o->place_count, at + 1, memory_order_release);
    *entrance = (struct entrance){.ring = route->ring, .account = &route->account, .sink = o->endpoint->url};
    return true;
}

/* The thread's, or the main thread's where it does not run: with nothing inside any more, the route is done. */
static void let_go(struct outlet *o, unsigned i)
{
    struct route *route = place(o, i);
    struct tally tally = account_read(&route->account);
    if (tally.in_flight > 0)
        return;
    tally_add(&o->past, &tally);
    atomic_store_explicit(&o->places[i], NULL, memory_order_release);
    atomic_store(&route->let_go, true); /* the last that we do with it */
    if (o->ended_bell)
        bell_ring(o->ended_bell);
}

/* Lets go of routes that have ended; they are few, and ended seldom. */
static void let_go_of_ended(struct outlet *o)
{
    for (unsigned i = 0; i < place_count(o); i++) {
        const struct route *route = place(o, i);
        if (route && atomic_load_explicit(&route->ending, memory_order_acquire))
            let_go(o, i);
    }
}

void outlet_end_routes(struct outlet *o, const void *owner)
{
    for (unsigned i = 0; i < o->shown_count; i++) {
        if (o->shown[i]->owner == owner)
            atomic_store(&o->shown[i]->ending, true);
    }
    if (o->started)
        bell_ring(&o->filled);
    else
        let_go_of_ended(o);
}

bool outlet_has_routes(const struct outlet *o, const void *owner)
{
    for (unsigned i = 0; i < o->shown_count; i++) {
        if (o->shown[i]->owner == owner)
            return true;
    }
    return false;
}

struct route *outlet_take_ended(struct outlet *o)
{
    for (unsigned i = 0; i < o->shown_count; i++) {
        struct route *route = o->shown[i];
        if (!atomic_load(&route->let_go))
            continue;
        o->shown_count--;
        memmove(&o->shown[i], &o->shown[i + 1], (o->shown_count - i) * sizeof *o->shown);
        return route;
    }
    return NULL;
}

/* A policy, and where it sends what it takes out: made by the main thread, taken over by the
 * outlet's. */
struct policy_change {
    unsigned number;
    struct policy *policy;
    char hash[PLAN_HASH];
    struct gates gates;
};

bool outlet_change_policy(struct outlet *o, struct policy *policy, const char *hash, struct intake *const *gates,
                          unsigned count)
{
    struct policy_change *change = calloc(1, sizeof *change);
    if (!change)
        return false;
    change->number = ++o->changes;
    change->policy = policy;
    snprintf(change->hash, sizeof change->hash, "%s", hash);
    for (unsigned i = 0; i < count; i++)
        change->gates.to[i] = gates[i];
    struct policy_change *before = atomic_exchange(&o->change, change);
    if (before)
        policy_free(before->policy);
    free(before);
    bell_ring(&o->filled);
    return true;
}

/* What the policy let through. */
static void pass(void *arg, struct batch *batch, struct account *account)
{
    delivery_batch(((struct outlet *)arg)->delivery, batch, account);
}

bool outlet_waits(const struct outlet *o)
{
    bool waits = o->shown_count > 0;
    for (unsigned i = 0; waits && i < o->shown_count; i++)
        waits = o->shown[i]->waits;
    return waits;
}

/* What a step took out. It waits for room there only where the source of it would wait; what a step
 * held comes when another route is served, or none. */
static bool reject(void *arg, unsigned nth, struct batch *batch, struct account *account)
{
    struct outlet *o = arg;
    const struct route *route =
        (const struct route *)(const void *)((const char *)account - offsetof(struct route, account));
    return o->gates.to[nth] && intake_pass_on(o->gates.to[nth], batch, route->waits || batch->pledge);
}

static void put_policy_to_work(struct outlet *o)
{
    if (o->policy)
        policy_connect(o->policy, &(struct policy_exits){.pass = pass, .reject = reject, .arg = o});
}

/* The new policy begins where the old one gave back all that it held. */
static void take_policy_change(struct outlet *o)
{
    struct policy_change *change = atomic_exchange(&o->change, NULL);
    if (!change)
        return;
    if (o->policy)
        policy_tick(o->policy, true);
    policy_free(o->policy);
    o->policy = change->policy;
    o->gates = change->gates;
    memcpy(o->policy_hash, change->hash, sizeof o->policy_hash);
    put_policy_to_work(o);
    atomic_store(&o->change_taken, change->number);
    free(change);
    if (o->ended_bell)
        bell_ring(o->ended_bell);
}

bool outlet_is_changing(const struct outlet *o)
{
    return !outlet_ended(o) && atomic_load(&o->change_taken) != o->changes;
}

/* One batch from each ring in turn, so that no source starves another. False: all are empty. */
static bool serve_rings(struct outlet *o)
{
    bool any = false;
    for (unsigned i = 0; i < place_count(o); i++) {
        struct route *route = place(o, i);
        struct batch *batch = route ? ring_take(route->ring) : NULL;
        if (!batch)
            continue;
        any = true;
        if (o->policy)
            policy_run(o->policy, batch, &route->account);
        else
            delivery_batch(o->delivery, batch, &route->account);
        pace_note(&route->pace, batch);
        batch_unref(batch);
    }
    return any;
}

/* What the steps hold back, where its time has come. */
static void release(struct outlet *o, bool all)
{
    if (o->policy && (all || policy_due(o->policy) == 0))
        policy_tick(o->policy, all);
    delivery_release(o->delivery, all);
}

/* No batch waits: the sink does what is due, and the thread sleeps until a ring has one, or the
 * sink something to do. */
static void rest(struct outlet *o, uint32_t seen)
{
    int timeout_ms = o->ops->idle ? o->ops->idle(o->sink) : -1;
    delivery_settle(o->delivery); /* `idle` may have settled records */
    let_go_of_ended(o);
    timeout_ms = clock_sooner(timeout_ms, delivery_due(o->delivery));
    if (o->policy)
        timeout_ms = clock_sooner(timeout_ms, policy_due(o->policy));
    if (!o->ops->wait) {
        bell_wait(&o->filled, seen, timeout_ms);
        return;
    }
    if (bell_doze(&o->filled, seen))
        o->ops->wait(o->sink, timeout_ms);
    bell_up(&o->filled);
}

static void *run(void *arg)
{
    struct outlet *o = arg;
    while (!atomic_load(&o->interrupted)) {
        uint32_t seen = bell_listen(&o->filled);
        /* asked before the rings are: what came before the closing is seen */
        bool closing = atomic_load(&o->closing);
        if (atomic_load_explicit(&o->reopening, memory_order_relaxed) && /* the bell orders it */
            atomic_exchange(&o->reopening, false))
            o->ops->reopen(o->sink);
        if (atomic_load_explicit(&o->change, memory_order_relaxed))
            take_policy_change(o);
        bool served = serve_rings(o);
        release(o, false);
        if (served)
            continue;
        if (closing)
            break;
        rest(o, seen);
    }
    if (!atomic_load(&o->interrupted))
        release(o, true);
    if (o->ops->finish)
        o->ops->finish(o->sink);
    delivery_settle(o->delivery);
    atomic_store(&o->ended, true);
    bell_ring(o->ended_bell);
    return NULL;
}

bool outlet_start(struct outlet *o, struct bell *ended, struct error *error)
{
    take_policy_change(o);
    o->ended_bell = ended;
    int failed = pthread_create(&o->thread, NULL, run, o);
    if (failed)
        return error_set(error, "%s: cannot start its thread: %s", o->endpoint->url,
                         strerror(failed));
    o->started = true;
    return true;
}

void outlet_reopen(struct outlet *o)
{
    if (o->ops->reload)
        o->ops->reload(o->sink);
    if (!o->ops->reopen)
        return;
    atomic_store(&o->reopening, true);
    bell_ring(&o->filled);
}

void outlet_close(struct outlet *o)
{
    atomic_store(&o->closing, true);
    bell_ring(&o->filled);
}

void outlet_interrupt(struct outlet *o)
{
    atomic_store(&o->interrupted, true);
    if (o->sink)
        o->ops->interrupt(o->sink);
    bell_ring(&o->filled);
}

bool outlet_ended(const struct outlet *o)
{
    return !o->started || atomic_load(&o->ended);
}

void outlet_join(struct outlet *o)
{
    if (o->started)
        pthread_join(o->thread, NULL);
    o->started = false;
}

void outlet_free(struct outlet *o)
{
    if (!o)
        return;
    outlet_join(o);
    if (o->sink)
        o->ops->free(o->sink);
    delivery_free(o->delivery);
    struct policy_change *change = atomic_exchange(&o->change, NULL);
    if (change)
        policy_free(change->policy);
    free(change);
    policy_free(o->policy);
    for (unsigned i = 0; i < o->shown_count; i++)
        route_free(o->shown[i]);
    free(o);
}

const char *outlet_policy_hash(const struct outlet *o)
{
    return o->policy_hash[0] ? o->policy_hash : NULL;
}

struct tally outlet_tally(const struct outlet *o)
{
    struct tally sum = o->past;
    for (unsigned i = 0; i < place_count(o); i++) {
        const struct route *route = place(o, i);
        struct tally one = route ? account_read(&route->account) : (struct tally){0};
        tally_add(&sum, &one);
    }
    return sum;
}

unsigned outlet_route_count(const struct outlet *o)
{
    return o->shown_count;
}

struct route *outlet_route(const struct outlet *o, unsigned i)
{
    return o->shown[i];
}

struct named route_source(const struct route *route)
{
    return route->source;
}

struct tally route_tally(const struct route *route)
{
    return account_read(&route->account);
}

const struct pace *route_pace(const struct route *route)
{
    return &route->pace;
}

const struct ring *route_ring(const struct route *route)
{
    return route->ring;
}
