#include "intake.h"

#include <stdlib.h>

#include "log.h"
#include "pledge.h"

/* A crowded ring, one that refused and is not yet nearly empty, takes a batch here and there. Each
 * would keep a whole slab in use that the ring does not count, so these go in as copies. A ring that
 * is not crowded takes all batches, and so all that stands in their slabs. */
struct gate {
    struct entrance entrance;
    bool crowded;
};

enum { NEAR = 1024 * 1024 }; /* what a source that stays near lets wait in a ring */
enum { CALM_SHARE = 8 }; /* with an eighth of its octets, not even the slots of a ring are full */

struct intake {
    const char *source;
    enum when_full when_full;
    bool near; /* see intake_stay_near */
    struct batch_builder *builder;
    struct upstream *upstream;
    struct gate *gates;
    unsigned count;
    struct pledge *(*pledge)(void *arg); /* NULL: nobody asks what becomes of the messages */
    void *pledge_arg;
    _Atomic int given_up;
};

struct intake *intake_new(const char *source, enum when_full when_full)
{
    struct intake *intake = calloc(1, sizeof *intake);
    if (!intake)
        return NULL;
    intake->source = source;
    intake->when_full = when_full;
    intake->builder = batch_builder_new();
    intake->upstream = upstream_new(source);
    if (!intake->builder || !intake->upstream) {
        intake_free(intake);
        return NULL;
    }
    return intake;
}

void intake_free(struct intake *intake)
{
    if (!intake)
        return;
    batch_builder_free(intake->builder);
    upstream_free(intake->upstream);
    free(intake->gates);
    free(intake);
}

bool intake_add(struct intake *intake, struct entrance entrance)
{
    struct gate *gates = realloc(intake->gates, (intake->count + 1) * sizeof *gates);
    if (!gates)
        return false;
    intake->gates = gates;
    gates[intake->count++] = (struct gate){.entrance = entrance};
    return true;
}

/* Sleeps until the ring takes the batch, or all waiting was ended. */
static bool wait_and_offer(struct intake *intake, struct ring *ring, struct batch *batch)
{
    struct bell *drained = ring_drained(ring);
    for (;;) {
        uint32_t seen = bell_listen(drained);
        if (ring_offer(ring, batch))
            return true;
        if (atomic_load(&intake->given_up))
            return false;
        bell_wait(drained, seen, -1);
    }
}

/* Sleeps until no more than NEAR waits in the ring, or all waiting was ended. */
static void wait_until_near(struct intake *intake, struct ring *ring)
{
    struct bell *drained = ring_drained(ring);
    while (ring_octets(ring) > NEAR && !atomic_load(&intake->given_up)) {
        uint32_t seen = bell_listen(drained);
        if (ring_octets(ring) > NEAR && !atomic_load(&intake->given_up))
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

static void offer_to(struct intake *intake, struct gate *gate, struct batch *batch)
{
    static struct log_limit limit;
    const struct entrance *entrance = &gate->entrance;
    uint32_t count = batch->count; /* once offered, the batch is the consumer's to free */
    account_received(entrance->account, count);
    if (intake->near && intake->when_full == WHEN_FULL_BLOCK)
        wait_until_near(intake, entrance->ring);
    if (offer_once(gate, batch))
        return;
    if (intake->when_full == WHEN_FULL_BLOCK && wait_and_offer(intake, entrance->ring, batch))
        return;
    gate->crowded = true;
    account_dropped(entrance->account, count);
    batch_unref(batch);
    log_limited(&limit, LOG_WARN,
                "the ring in front of %s is full: messages from %s are dropped (and counted)",
                entrance->sink, intake->source);
}

void intake_offer(struct intake *intake, struct batch *batch)
{
    /* one reference for each ring, and our own to the end, so that a quick sink cannot free the batch
     * while another ring is still being offered it */
    pledge_promise(batch->pledge, (uint64_t)batch->count * intake->count);
    batch_ref(batch, intake->count);
    for (unsigned i = 0; i < intake->count; i++)
        offer_to(intake, &intake->gates[i], batch);
    batch_unref(batch);
}

void intake_stay_near(struct intake *intake)
{
    intake->near = true;
}

bool intake_would_wait(const struct intake *intake, size_t len)
{
    if (intake->when_full != WHEN_FULL_BLOCK || atomic_load(&intake->given_up))
        return false;
    for (unsigned i = 0; i < intake->count; i++) {
        if (!ring_has_room(intake->gates[i].entrance.ring, batch_footprint(len)))
            return true;
    }
    return false;
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
    for (unsigned i = 0; i < intake->count; i++) {
        account_received(intake->gates[i].entrance.account, n);
        account_refused(intake->gates[i].entrance.account, n);
    }
}

struct upstream *intake_upstream(struct intake *intake)
{
    return intake->upstream;
}

void intake_give_up(struct intake *intake)
{
    atomic_store(&intake->given_up, 1);
    for (unsigned i = 0; i < intake->count; i++)
        bell_ring(ring_drained(intake->gates[i].entrance.ring));
}
