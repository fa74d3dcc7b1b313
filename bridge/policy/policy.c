#include "policy.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "../clock.h"
#include "../pledge.h"

/* One way out: batches built of what goes there. A batch has one account and one pledge. */
struct way {
    struct batch_builder *builder;
    struct ticket ticket; /* of the open batch, where there is one: its messages may be the last who hold the pledge */
};

struct stage {
    const struct step_ops *ops;
    struct step *step;
    unsigned rejects; /* the way that what it takes out goes, 0: it is filtered */
};

struct policy {
    struct plan plan;
    struct policy_exits exits;
    struct buffer marked; /* a message with the reason why it was rejected */
    unsigned stage_count;
    unsigned way_count;
    struct stage stages[PLAN_STEPS];
    struct way ways[PLAN_STEPS + 1]; /* 0: on to the encoder */
};

static unsigned way_named(const struct plan *plan, const char *name)
{
    unsigned way = 0;
    while (name && strcmp(plan_rejects(plan, way), name) != 0)
        way++;
    return name ? way + 1 : 0;
}

static bool add_stage(struct policy *p, const struct plan *plan, struct error *error)
{
    const struct plan_step *planned = &plan->steps[p->stage_count];
    struct stage *stage = &p->stages[p->stage_count];
    stage->ops = planned->ops;
    stage->rejects = way_named(plan, options_string(&planned->options, "rejects"));
    stage->step = stage->ops->new (&planned->options, error);
    if (!stage->step)
        return error_prefix(error, stage->ops->name) || error_prefix(error, planned->place);
    p->stage_count++;
    return true;
}

static bool add_way(struct policy *p, struct error *error)
{
    p->ways[p->way_count].builder = batch_builder_new();
    return p->ways[p->way_count++].builder || error_set(error, "out of memory");
}

struct policy *policy_new(struct plan *plan, struct error *error)
{
    struct policy *p = calloc(1, sizeof *p);
    bool ok = p || error_set(error, "out of memory");
    while (ok && p->stage_count < plan->count)
        ok = add_stage(p, plan, error);
    for (bool more = ok; more && ok;) {
        more = plan_rejects(plan, p->way_count) != NULL;
        ok = add_way(p, error);
    }
    if (ok) {
        p->plan = *plan;
        *plan = (struct plan){0};
        return p;
    }
    policy_free(p);
    return NULL;
}

void policy_free(struct policy *p)
{
    if (!p)
        return;
    for (unsigned i = 0; i < p->stage_count; i++)
        p->stages[i].ops->free(p->stages[i].step);
    for (unsigned i = 0; i < p->way_count; i++)
        batch_builder_free(p->ways[i].builder);
    buffer_free(&p->marked);
    plan_free(&p->plan);
    free(p);
}

const struct plan *policy_plan(const struct policy *p)
{
    return &p->plan;
}

void policy_put_canonical(const struct policy *p, unsigned nth, struct buffer *out)
{
    const struct stage *stage = &p->stages[nth];
    if (stage->ops->put_canonical)
        stage->ops->put_canonical(stage->step, out);
}

void policy_connect(struct policy *p, const struct policy_exits *exits)
{
    p->exits = *exits;
}

static void settle(const struct subject *s, enum outcome outcome)
{
    ticket_settle(&s->ticket, outcome, 1);
}

/* What goes to another sink is settled here, and once more there. */
static void hand_on(struct policy *p, unsigned way, struct batch *batch,
                    const struct ticket *ticket)
{
    batch->pledge = pledge_ref(ticket->pledge);
    if (way == 0) {
        p->exits.pass(p->exits.arg, batch, ticket->account);
    } else {
        bool taken = p->exits.reject(p->exits.arg, way - 1, batch, ticket->account);
        ticket_settle(ticket, taken ? OUTCOME_REJECTED : OUTCOME_FAILED, batch->count);
    }
    batch_unref(batch);
}

static void seal(struct policy *p, unsigned way)
{
    struct batch *batch = batch_builder_seal(p->ways[way].builder);
    if (!batch)
        return;
    hand_on(p, way, batch, &p->ways[way].ticket);
    ticket_drop(&p->ways[way].ticket);
}

static void lose(const struct ticket *ticket, uint32_t count)
{
    ticket_settle(ticket, OUTCOME_FAILED, count); /* out of memory */
}

/* A message larger than batches are has one of its own. */
static void put_alone(struct policy *p, unsigned way, const struct subject *s)
{
    struct batch *batch = batch_alloc(FRAME_HEADER + s->frame.len);
    if (!batch) {
        lose(&s->ticket, 1);
        return;
    }
    uint8_t *data = (uint8_t *)(uintptr_t)batch->data;
    store_be32(data, s->frame.len);
    memcpy(data + FRAME_HEADER, s->frame.data, s->frame.len);
    batch->count = 1;
    hand_on(p, way, batch, &s->ticket);
}

static uint8_t *space(struct policy *p, unsigned way, size_t want)
{
    size_t have;
    uint8_t *to = batch_builder_space(p->ways[way].builder, want, &have);
    if (to)
        return to;
    seal(p, way);
    return batch_builder_space(p->ways[way].builder, want, &have);
}

static void put(struct policy *p, unsigned way, const struct subject *s)
{
    struct way *out = &p->ways[way];
    size_t len = FRAME_HEADER + (size_t)s->frame.len;
    if (out->ticket.account != s->ticket.account || out->ticket.pledge != s->ticket.pledge ||
        batch_builder_pending(out->builder) + len > BATCH_LIMIT)
        seal(p, way);
    if (len > BATCH_LIMIT) {
        put_alone(p, way, s);
        return;
    }
    uint8_t *to = space(p, way, len);
    if (!to) {
        lose(&s->ticket, 1);
        return;
    }
    if (batch_builder_pending(out->builder) == 0)
        out->ticket = ticket_copy(&s->ticket);
    store_be32(to, s->frame.len);
    memcpy(to + FRAME_HEADER, s->frame.data, s->frame.len);
    batch_builder_commit(out->builder, len, 1);
}

/* To another sink, with the reason in it, if the step gave one. */
static void put_rejected(struct policy *p, unsigned way, struct subject *s)
{
    if (s->reason) {
        size_t len = strlen(s->reason);
        assert(len < 128); /* its length takes one octet */
        buffer_clear(&p->marked);
        buffer_put(&p->marked, s->frame.data, s->frame.len);
        buffer_put(&p->marked, (const uint8_t[]){0xd2, 0x3e, (uint8_t)len},
                   3); /* Dnstap.rejected */
        buffer_put(&p->marked, s->reason, len);
        if (!p->marked.failed)
            subject_replace(s,
                            (struct frame){.data = p->marked.data, .len = (uint32_t)p->marked.len});
    }
    put(p, way, s);
}

/* Through the steps from this one on. True: it goes on; else it has been seen to. */
static bool pass_from(struct policy *p, unsigned from, struct subject *s)
{
    for (unsigned i = from; i < p->stage_count; i++) {
        const struct stage *stage = &p->stages[i];
        switch (stage->ops->judge(stage->step, s)) {
        case VERDICT_PASS:
            continue;
        case VERDICT_TAKE_OUT:
            if (stage->rejects)
                put_rejected(p, stage->rejects, s);
            else
                settle(s, OUTCOME_FILTERED);
            return false;
        case VERDICT_MALFORMED:
            settle(s, OUTCOME_MALFORMED);
            return false;
        case VERDICT_FAILED:
            settle(s, OUTCOME_FAILED);
            return false;
        case VERDICT_HELD:
            return false;
        }
    }
    return true;
}

static void tell_time(struct policy *p, int64_t now)
{
    for (unsigned i = 0; i < p->stage_count; i++) {
        if (p->stages[i].ops->tick)
            p->stages[i].ops->tick(p->stages[i].step, now);
    }
}

/* What the steps give back by now goes through the rest of them. */
static void release(struct policy *p, int64_t now)
{
    struct subject s;
    for (unsigned i = 0; i < p->stage_count; i++) {
        const struct stage *stage = &p->stages[i];
        while (stage->ops->release && stage->ops->release(stage->step, now, &s)) {
            if (pass_from(p, i + 1, &s))
                put(p, 0, &s);
            ticket_drop(&s.ticket);
        }
    }
}

static void seal_all(struct policy *p)
{
    for (unsigned i = 0; i < p->way_count; i++)
        seal(p, i);
}

/* The messages from the batch's start to `end`, which passed unchanged before one did not. */
static void put_run(struct policy *p, const struct batch *batch, const uint8_t *end,
                    struct ticket ticket)
{
    struct reader r = reader_over(batch->data, (size_t)(end - batch->data));
    struct subject s;
    struct frame frame;
    while (frame_next(&r, &frame)) {
        subject_init(&s, frame, ticket);
        put(p, 0, &s);
    }
}

void policy_run(struct policy *p, struct batch *batch, struct account *account)
{
    struct ticket ticket = {.account = account, .pledge = batch->pledge};
    struct reader r = reader_over(batch->data, batch->len);
    struct subject s;
    struct frame frame;
    bool whole = true; /* so far nothing was taken out or changed */
    int64_t now = clock_ms(CLOCK_MONOTONIC);
    tell_time(p, now);
    release(p, now);
    while (frame_next(&r, &frame)) {
        subject_init(&s, frame, ticket);
        bool goes_on = pass_from(p, 0, &s);
        if (whole && goes_on && s.frame.data == frame.data)
            continue;
        if (whole)
            put_run(p, batch, frame.data - FRAME_HEADER, ticket);
        whole = false;
        if (goes_on)
            put(p, 0, &s);
    }
    seal_all(p);
    if (whole)
        p->exits.pass(p->exits.arg, batch, account);
}

int policy_due(const struct policy *p)
{
    int64_t soonest = -1;
    for (unsigned i = 0; i < p->stage_count; i++) {
        int64_t due = p->stages[i].ops->due ? p->stages[i].ops->due(p->stages[i].step) : -1;
        if (due >= 0 && (soonest < 0 || due < soonest))
            soonest = due;
    }
    if (soonest < 0)
        return -1;
    int64_t left = soonest - clock_ms(CLOCK_MONOTONIC);
    return left <= 0 ? 0 : left > 60000 ? 60000 : (int)left;
}

void policy_tick(struct policy *p, bool all)
{
    int64_t now = clock_ms(CLOCK_MONOTONIC);
    tell_time(p, now);
    release(p, all ? INT64_MAX : now);
    seal_all(p);
}

uint64_t policy_memory(const struct policy *p)
{
    uint64_t sum = sizeof *p + p->way_count * (batch_builder_overhead() + 2 * SLAB_SIZE);
    for (unsigned i = 0; i < p->stage_count; i++) {
        if (p->stages[i].ops->memory)
            sum += p->stages[i].ops->memory(p->stages[i].step);
    }
    return sum;
}
