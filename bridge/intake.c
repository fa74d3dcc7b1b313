#include "intake.h"

#include <stdlib.h>
#include <time.h>

#include "log.h"
#include "pledge.h"

/* A crowded ring, one that refused and is not yet nearly empty, takes a batch here and there. Each
 * would keep a whole slab in use that the ring does not count, so these go in as copies. A ring that
 * is not crowded takes all batches, and so all that stands in their slabs.
 *
 * The main thread closes a gate, and may then give it to another route: the source's thread says when it is inside, and
 * looks whether the gate is closed after that; the main thread closes it, and waits until nobody is inside. */
struct gate {
    struct entrance entrance;
    bool crowded;
    _Atomic bool inside;
    _Atomic bool closed;
};

enum { NEAR = 1024 * 1024 }; /* what a source that stays near lets wait in a ring */
enum { CALM_SHARE = 8 }; /* with an eighth of its octets, not even the slots of a ring are full */

struct intake {
    const char *source;
    enum when_full when_full;
    bool near; /* see intake_stay_near */
    struct batch_builder *builder;
    struct upstream *upstream;
    struct gate *gates[INTAKE_ROUTES];
    _Atomic unsigned count;
    struct pledge *(*pledge)(void *arg); /* NULL: nobody asks what becomes of the messages */
    void *pledge_arg;
    _Atomic int given_up;
    _Atomic bool failed;
    _Atomic int held;
    struct bell let_go; /* rung when it is held no more */
};

struct intake *intake_new(const char *source, enum when_full when_full, _Atomic uint64_t *lost)
{
    struct intake *intake = calloc(1, sizeof *intake);
    if (!intake)
        return NULL;
    intake->source = source;
    intake->when_full = when_full;
    intake->builder = batch_builder_new();
    intake->upstream = upstream_new(source, lost);
    if (!intake->builder || !intake->upstream) {
        intake_free(intake);
        return NULL;
    }
    return intake;
}

void intake_fail(struct intake *intake)
{
    atomic_store_explicit(&intake->failed, true, memory_order_relaxed); /* read when the thread has ended */
}

bool intake_has_failed(const struct intake *intake)
{
    return atomic_load_explicit(&intake->failed, memory_order_relaxed);
}

static unsigned gate_count(const struct intake *intake)
{
    return atomic_load_explicit(&intake->count, memory_order_acquire);
}

void intake_free(struct intake *intake)
{
    if (!intake)
        return;
    batch_builder_free(intake->builder);
    upstream_free(intake->upstream);
    for (unsigned i = 0; i < gate_count(intake); i++)
        free(intake->gates[i]);
    free(intake);
}

/* A gate that nothing goes through any more, or a new one; NULL: there is none. */
static struct gate *find_gate(struct intake *intake, unsigned *at)
{
    unsigned count = gate_count(intake);
    for (*at = 0; *at < count; ++*at) {
        if (atomic_load(&intake->gates[*at]->closed))
            return intake->gates[*at];
    }
    return count < INTAKE_ROUTES ? calloc(1, sizeof(struct gate)) : NULL;
}

bool intake_add(struct intake *intake, struct entrance entrance)
{
    unsigned at;
    struct gate *gate = find_gate(intake, &at);
    if (!gate)
        return false;
    gate->entrance = entrance;
    gate->crowded = false;
    atomic_store(&gate->closed, false);
    if (at < gate_count(intake))
        return true;
    intake->gates[at] = gate;
    atomic_store_explicit(&intake->count, at + 1, memory_order_release);
    return true;
}

void intake_remove(struct intake *intake, const struct ring *ring)
{
    static const struct timespec moment = {.tv_nsec = 100000};
    for (unsigned i = 0; i < gate_count(intake); i++) {
        struct gate *gate = intake->gates[i];
        if (gate->entrance.ring != ring || atomic_load(&gate->closed))
            continue;
        atomic_store(&gate->closed, true);
        while (atomic_load(&gate->inside)) {
            bell_ring(ring_drained(gate->entrance.ring));
            nanosleep(&moment, NULL);
        }
    }
}

void intake_end(struct intake *intake)
{
    for (unsigned i = 0; i < gate_count(intake); i++)
        atomic_store(&intake->gates[i]->closed, true);
}

/* Source's thread: false where the gate is closed. */
static bool go_in(struct gate *gate)
{
    atomic_store(&gate->inside, true); /* sequentially consistent, and so is the closing: one of both sees the other */
    if (!atomic_load(&gate->closed))
        return true;
    atomic_store_explicit(&gate->inside, false, memory_order_release);
    return false;
}

static void go_out(struct gate *gate)
{
    atomic_store_explicit(&gate->inside, false, memory_order_release);
}

/* Is all waiting at the gate over? */
static bool waits_no_more(const struct intake *intake, const struct gate *gate)
{
    return atomic_load(&intake->given_up) || atomic_load(&gate->closed);
}

/* Sleeps while the intake is held. False: it is not. */
static bool wait_while_held(struct intake *intake)
{
    bool waited = false;
    for (;;) {
        uint32_t seen = bell_listen(&intake->let_go);
        if (!atomic_load(&intake->held) || atomic_load(&intake->given_up))
            return waited;
        waited = true;
        bell_wait(&intake->let_go, seen, -1);
    }
}

/* Sleeps until the ring takes the batch, or all waiting was ended. */
static bool wait_and_offer(struct intake *intake, struct gate *gate, struct batch *batch)
{
    struct ring *ring = gate->entrance.ring;
    struct bell *drained = ring_drained(ring);
    for (;;) {
        uint32_t seen = bell_listen(drained);
        if (ring_offer(ring, batch))
            return true;
        if (waits_no_more(intake, gate))
            return false;
        bell_wait(drained, seen, -1);
    }
}

/* Sleeps until no more than NEAR waits in the ring, or all waiting was ended. */
static void wait_until_near(struct intake *intake, struct gate *gate)
{
    struct ring *ring = gate->entrance.ring;
    struct bell *drained = ring_drained(ring);
    while (ring_octets(ring) > NEAR && !waits_no_more(intake, gate)) {
        uint32_t seen = bell_listen(drained);
        if (ring_octets(ring) > NEAR && !waits_no_more(intake, gate))
            bell_wait(drained, seen, -1);
    }
}

static bool offer_once(struct gate *gate, struct batch *batch)
{
    struct ring *ring = gate->entrance.ring;
    if (gate->crowded && ring_octets(ring) <= ring_capacity(ring) / CALM_SHARE)
        gate->crowded = false;
    if (gate->crowded) {
        if (!ring_has_room(ring, batch->footprint))
            return false;
        batch = batch_apart(batch);
    }
    return batch && ring_offer(ring, batch);
}

enum offered {
    OFFERED,    /* and counted, whether there was room or not */
    LEFT_OVER,  /* dropped, since the gate was closed while we waited there */
    NOT_LET_IN, /* the gate is closed */
};

/* Takes over a reference. */
static enum offered offer_to(struct intake *intake, struct gate *gate, struct batch *batch, bool wait)
{
    static struct log_limit limit;
    const struct entrance *entrance = &gate->entrance;
    uint32_t count = batch->count; /* once offered, the batch is the consumer's to free */
    account_received(entrance->account, count);
    if (intake->near && wait)
        wait_until_near(intake, gate);
    if (offer_once(gate, batch))
        return OFFERED;
    if (wait && wait_and_offer(intake, gate, batch))
        return OFFERED;
    gate->crowded = true;
    account_dropped(entrance->account, count);
    batch_unref(batch);
    log_limited(&limit, LOG_WARN,
                "the ring in front of %s is full: messages from %s are dropped (and counted)",
                entrance->sink, intake->source);
    bool left_over = wait && atomic_load(&gate->closed) && !atomic_load(&intake->given_up);
    return left_over ? LEFT_OVER : OFFERED;
}

/* Our own reference stays to the end: a quick sink does not free the batch while another ring is still being
 * offered it. */
static enum offered offer_through(struct intake *intake, struct gate *gate, struct batch *batch, bool wait)
{
    if (!go_in(gate))
        return NOT_LET_IN;
    batch_ref(batch, 1);
    enum offered offered = offer_to(intake, gate, batch, wait);
    go_out(gate);
    return offered;
}

/* To each of the first `count` routes. Takes over no reference. False: all of them are closed. */
static bool offer_to_all(struct intake *intake, struct batch *batch, unsigned count, bool wait)
{
    bool any = false;
    for (unsigned i = 0; i < count; i++) {
        enum offered offered;
        do { /* whose place at the gate is taken by another gets what finds the gate closed */
            offered = offer_through(intake, intake->gates[i], batch, wait);
            any |= offered != NOT_LET_IN;
        } while (offered != OFFERED && wait && wait_while_held(intake));
        if (offered != OFFERED)
            pledge_settle(batch->pledge, batch->count); /* nobody wants it there any more */
    }
    return any;
}

void intake_offer(struct intake *intake, struct batch *batch)
{
    bool wait = intake->when_full == WHEN_FULL_BLOCK;
    if (wait)
        wait_while_held(intake);
    unsigned count = gate_count(intake);
    pledge_promise(batch->pledge, (uint64_t)batch->count * count);
    offer_to_all(intake, batch, count, wait);
    batch_unref(batch);
}

bool intake_pass_on(struct intake *intake, struct batch *batch, bool wait)
{
    if (wait)
        wait_while_held(intake);
    unsigned count = gate_count(intake);
    pledge_more(batch->pledge, (uint64_t)batch->count * count);
    return offer_to_all(intake, batch, count, wait);
}

void intake_stay_near(struct intake *intake)
{
    intake->near = true;
}

bool intake_would_wait(const struct intake *intake, size_t len)
{
    if (intake->when_full != WHEN_FULL_BLOCK || atomic_load(&intake->given_up))
        return false;
    bool full = atomic_load(&intake->held);
    for (unsigned i = 0; i < gate_count(intake) && !full; i++) {
        struct gate *gate = intake->gates[i];
        if (!go_in(gate))
            continue;
        full = !ring_has_room(gate->entrance.ring, batch_footprint(len));
        go_out(gate);
    }
    return full;
}

void intake_flush(struct intake *intake)
{
    struct batch *batch = batch_builder_seal(intake->builder);
    if (!batch)
        return;
    if (intake->pledge)
        batch->pledge = intake->pledge(intake->pledge_arg);
    intake_offer(intake, batch);
}

void intake_on_seal(struct intake *intake, struct pledge *(*pledge)(void *arg), void *arg)
{
    intake->pledge = pledge;
    intake->pledge_arg = arg;
}

uint8_t *intake_space(struct intake *intake, size_t want, size_t *have)
{
    uint8_t *space = batch_builder_space(intake->builder, want, have);
    if (!space) {
        intake_flush(intake);
        space = batch_builder_space(intake->builder, want, have);
    }
    return space;
}

void intake_commit(struct intake *intake, size_t len, uint32_t count)
{
    batch_builder_commit(intake->builder, len, count);
}

size_t intake_left(const struct intake *intake)
{
    size_t pending = batch_builder_pending(intake->builder);
    return pending < BATCH_LIMIT ? BATCH_LIMIT - pending : 0;
}

void intake_refuse(struct intake *intake, uint64_t n)
{
    for (unsigned i = 0; i < gate_count(intake); i++) {
        struct gate *gate = intake->gates[i];
        if (!go_in(gate))
            continue;
        account_received(gate->entrance.account, n);
        account_refused(gate->entrance.account, n);
        go_out(gate);
    }
}

struct upstream *intake_upstream(struct intake *intake)
{
    return intake->upstream;
}

void intake_give_upstream(struct intake *intake, struct upstream *upstream)
{
    upstream_free(intake->upstream);
    intake->upstream = upstream;
}

struct upstream *intake_take_upstream(struct intake *intake)
{
    struct upstream *upstream = intake->upstream;
    intake->upstream = NULL;
    return upstream;
}

void intake_hold(struct intake *intake, bool hold)
{
    atomic_store(&intake->held, hold);
    if (!hold)
        bell_ring(&intake->let_go);
}

void intake_give_up(struct intake *intake)
{
    atomic_store(&intake->given_up, 1);
    bell_ring(&intake->let_go);
    for (unsigned i = 0; i < gate_count(intake); i++) {
        if (!atomic_load(&intake->gates[i]->closed))
            bell_ring(ring_drained(intake->gates[i]->entrance.ring));
    }
}
