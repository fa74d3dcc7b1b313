/* The front-loss rule: what a full ring refuses is counted there and nowhere else, a source that
 * may wait loses nothing, and the memory behind a ring stays within what the ring counts. */
#include "intake.h"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "frame.h"
#include "harness.h"
#include "pledge.h"

enum { MESSAGE = 60, FRAME = FRAME_HEADER + MESSAGE };

struct route {
    struct bell filled;
    struct account account;
    struct ring *ring;
};

static struct route *route_new(struct intake *intake, size_t capacity)
{
    struct route *route = aligned_alloc(_Alignof(struct route), sizeof *route);
    *route = (struct route){.ring = ring_new(capacity, &route->filled)};
    assert_non_null(route->ring);
    assert_true(intake_add(intake, (struct entrance){route->ring, &route->account, "sink"}));
    return route;
}

static void route_free(struct route *route)
{
    ring_free(route->ring);
    free(route);
}

/* Puts messages `number`, number + 1, ... into the open batch and sends it on. */
static void send_batch(struct intake *intake, uint32_t number, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        size_t have;
        uint8_t *space = intake_space(intake, FRAME, &have);
        assert_non_null(space);
        store_be32(space, MESSAGE);
        memset(space + FRAME_HEADER, 0, MESSAGE);
        store_be32(space + FRAME_HEADER, number + i);
        intake_commit(intake, FRAME, 1);
    }
    intake_flush(intake);
}

/* Settles the oldest batch as delivered; the number of its first message. False: there is none. */
static bool deliver_batch(struct route *route, uint32_t *first)
{
    struct batch *batch = ring_take(route->ring);
    if (!batch)
        return false;
    *first = load_be32(batch->data + FRAME_HEADER);
    account_settle(&route->account, OUTCOME_DELIVERED, batch->count);
    batch_unref(batch);
    return true;
}

static void a_batch_reaches_every_ring(void **state)
{
    (void)state;
    struct intake *intake = intake_new("test", WHEN_FULL_DROP, NULL);
    struct route *routes[3];
    for (int i = 0; i < 3; i++)
        routes[i] = route_new(intake, 65536);
    assert_int_equal(intake_left(intake), BATCH_LIMIT);
    intake_flush(intake); /* nothing is there */
    send_batch(intake, 7, 10);
    for (int i = 0; i < 3; i++) {
        uint32_t first;
        assert_int_equal(account_read(&routes[i]->account).in_flight, 10);
        assert_true(deliver_batch(routes[i], &first));
        assert_int_equal(first, 7);
        assert_false(deliver_batch(routes[i], &first));
        assert_int_equal(account_read(&routes[i]->account).in_flight, 0);
    }
    for (int i = 0; i < 3; i++)
        route_free(routes[i]);
    intake_free(intake);
}

static void refused_messages_are_received_and_malformed(void **state)
{
    (void)state;
    struct intake *intake = intake_new("test", WHEN_FULL_DROP, NULL);
    struct route *route = route_new(intake, 65536);
    intake_refuse(intake, 3);
    struct tally tally = account_read(&route->account);
    assert_int_equal(tally.received, 3);
    assert_int_equal(tally.malformed, 3);
    assert_int_equal(tally.in_flight, 0);
    route_free(route);
    intake_free(intake);
}

/* A tiny ring behind which nobody stirs, then somebody does: exact counts at each step. */
static void a_full_ring_drops_whole_batches_at_the_front(void **state)
{
    (void)state;
    struct intake *intake = intake_new("test", WHEN_FULL_DROP, NULL);
    struct route *route = route_new(intake, 4096);
    uint32_t fits = (uint32_t)(4096 / batch_footprint(5 * FRAME));
    uint32_t first, number = 0;
    for (; number < 100; number++)
        send_batch(intake, number * 5, 5);
    struct tally tally = account_read(&route->account);
    assert_int_equal(tally.received, 500);
    assert_int_equal(tally.in_flight, fits * 5);
    assert_int_equal(tally.dropped, 500 - fits * 5);

    for (uint32_t i = 0; i < fits; i++) { /* what was taken is kept, the oldest first */
        assert_true(deliver_batch(route, &first));
        assert_int_equal(first, i * 5);
    }
    assert_false(deliver_batch(route, &first));
    send_batch(intake, number * 5, 5);
    assert_true(deliver_batch(route, &first));
    assert_int_equal(first, number * 5);
    tally = account_read(&route->account);
    assert_int_equal(tally.received, 505);
    assert_int_equal(tally.delivered, (fits + 1) * 5);
    assert_int_equal(tally.dropped, 500 - fits * 5);
    assert_int_equal(tally.in_flight, 0);
    route_free(route);
    intake_free(intake);
}

static void one_full_ring_costs_the_other_nothing(void **state)
{
    (void)state;
    struct intake *intake = intake_new("test", WHEN_FULL_DROP, NULL);
    struct route *stuck = route_new(intake, 4096), *quick = route_new(intake, 4096);
    uint32_t first;
    for (uint32_t i = 0; i < 5000; i++) {
        send_batch(intake, i, 1);
        assert_true(deliver_batch(quick, &first));
        assert_int_equal(first, i);
    }
    struct tally tally = account_read(&quick->account);
    assert_int_equal(tally.delivered, 5000);
    assert_int_equal(tally.dropped, 0);
    tally = account_read(&stuck->account);
    assert_int_equal(tally.received, 5000);
    assert_int_equal(tally.dropped + tally.in_flight, 5000);
    assert_true(tally.dropped > 0);
    route_free(stuck);
    route_free(quick);
    intake_free(intake);
}

static void a_batch_of_the_source_goes_the_same_way(void **state)
{
    (void)state;
    struct intake *intake = intake_new("test", WHEN_FULL_DROP, NULL);
    struct route *routes[2] = {route_new(intake, 4096), route_new(intake, 1 << 20)};
    struct batch *batch = batch_alloc(100000);
    batch->count = 3;
    intake_offer(intake, batch);
    assert_int_equal(account_read(&routes[0]->account).dropped, 3);
    assert_int_equal(account_read(&routes[1]->account).in_flight, 3);
    route_free(routes[0]);
    route_free(routes[1]);
    intake_free(intake);
}

/* A consumer on a thread of its own, which takes every batch a little late. */
struct consumer {
    struct route *route;
    uint32_t expected; /* the next message */
    uint32_t until;
    unsigned wrong;
    unsigned nap_us;
};

static void *consume(void *arg)
{
    struct consumer *c = arg;
    while (c->expected < c->until) {
        uint32_t seen = bell_listen(&c->route->filled);
        uint32_t first;
        if (deliver_batch(c->route, &first)) {
            c->wrong += first != c->expected++;
            if (c->expected % 64 == 0)
                usleep(c->nap_us);
        } else {
            bell_wait(&c->route->filled, seen, -1);
        }
    }
    return NULL;
}

static void a_source_that_waits_loses_nothing(void **state)
{
    (void)state;
    enum { BATCHES = 20000 };
    struct intake *intake = intake_new("test", WHEN_FULL_BLOCK, NULL);
    struct consumer consumers[2];
    pthread_t threads[2];
    for (unsigned i = 0; i < 2; i++) {
        consumers[i] = (struct consumer){
            .route = route_new(intake, 4096), .until = BATCHES, .nap_us = 50 + 50 * i};
        assert_int_equal(pthread_create(&threads[i], NULL, consume, &consumers[i]), 0);
    }
    for (uint32_t i = 0; i < BATCHES; i++)
        send_batch(intake, i, 1);
    for (unsigned i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        struct tally tally = account_read(&consumers[i].route->account);
        assert_int_equal(consumers[i].wrong, 0);
        assert_int_equal(tally.received, BATCHES);
        assert_int_equal(tally.delivered, BATCHES);
        route_free(consumers[i].route);
    }
    intake_free(intake);
}

struct giver {
    struct intake *intake;
    _Atomic uint32_t sent;
};

static void *send_until_full(void *arg)
{
    struct giver *giver = arg;
    for (uint32_t i = 0; i < 1000; i++) {
        send_batch(giver->intake, i, 1);
        atomic_store(&giver->sent, i + 1);
    }
    return NULL;
}

/* A ring of 4,096 octets; how many batches fit. */
static uint32_t wait_until_full(struct giver *giver)
{
    uint32_t fits = (uint32_t)(4096 / batch_footprint(FRAME));
    fits = fits < 16 ? fits : 16; /* the slots */
    while (atomic_load(&giver->sent) < fits)
        sched_yield();
    usleep(20000);
    assert_int_equal(atomic_load(&giver->sent), fits); /* it waits */
    return fits;
}

static void giving_up_ends_the_wait(void **state)
{
    (void)state;
    struct giver giver = {.intake = intake_new("test", WHEN_FULL_BLOCK, NULL)};
    struct route *route = route_new(giver.intake, 4096);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, send_until_full, &giver), 0);
    uint32_t fits = wait_until_full(&giver);
    intake_give_up(giver.intake);
    pthread_join(thread, NULL);
    struct tally tally = account_read(&route->account);
    assert_int_equal(tally.received, 1000);
    assert_int_equal(tally.in_flight, fits);
    assert_int_equal(tally.dropped, 1000 - fits);
    route_free(route);
    intake_free(giver.intake);
}

static _Atomic unsigned pledges_kept;

static void note_kept(struct pledge *pledge)
{
    atomic_fetch_add(&pledges_kept, pledge_kept(pledge));
    free(pledge);
}

static struct pledge *new_pledge(void *arg)
{
    (void)arg;
    struct pledge *pledge = malloc(sizeof *pledge);
    assert_non_null(pledge);
    pledge_init(pledge, note_kept);
    return pledge;
}

/* Who delivers settles the pledge, too. */
static uint32_t deliver_all(struct route *route, uint32_t next)
{
    struct batch *batch;
    while ((batch = ring_take(route->ring))) {
        assert_int_equal(load_be32(batch->data + FRAME_HEADER), next++);
        account_settle(&route->account, OUTCOME_DELIVERED, batch->count);
        pledge_settle(batch->pledge, batch->count);
        batch_unref(batch);
    }
    return next;
}

/* A source that waits at a ring that is taken away: nobody wants the rest there, so that no pledge is left open. */
static void a_ring_that_goes_leaves_no_pledge_open(void **state)
{
    (void)state;
    struct giver giver = {.intake = intake_new("test", WHEN_FULL_BLOCK, NULL)};
    struct route *route = route_new(giver.intake, 4096);
    pthread_t thread;
    intake_on_seal(giver.intake, new_pledge, NULL);
    atomic_store(&pledges_kept, 0);
    assert_int_equal(pthread_create(&thread, NULL, send_until_full, &giver), 0);
    wait_until_full(&giver);
    intake_remove(giver.intake, route->ring);
    pthread_join(thread, NULL);
    deliver_all(route, 0);
    assert_int_equal(atomic_load(&pledges_kept), 1000);
    struct tally tally = account_read(&route->account);
    assert_int_equal(tally.received, tally.delivered + tally.dropped);
    route_free(route);
    intake_free(giver.intake);
}

/* While its ring is being replaced a source that waits for room waits for that, and its messages are there in order. */
static void who_is_held_goes_on_with_the_successor(void **state)
{
    (void)state;
    struct giver giver = {.intake = intake_new("test", WHEN_FULL_BLOCK, NULL)};
    struct route *old = route_new(giver.intake, 4096);
    pthread_t thread;
    intake_on_seal(giver.intake, new_pledge, NULL);
    atomic_store(&pledges_kept, 0);
    assert_int_equal(pthread_create(&thread, NULL, send_until_full, &giver), 0);
    wait_until_full(&giver);
    intake_hold(giver.intake, true);
    assert_true(intake_would_wait(giver.intake, 1));
    intake_remove(giver.intake, old->ring);
    uint32_t next = deliver_all(old, 0);
    assert_int_equal(next, atomic_load(&giver.sent));
    usleep(20000);
    assert_int_equal(next, atomic_load(&giver.sent)); /* it waits */
    struct route *new = route_new(giver.intake, 4096);
    intake_hold(giver.intake, false);
    while (next < 1000)
        next = deliver_all(new, next);
    pthread_join(thread, NULL);
    assert_int_equal(atomic_load(&pledges_kept), 1000);
    assert_int_equal(account_read(&new->account).dropped, 0);
    route_free(old);
    route_free(new);
    intake_free(giver.intake);
}

static void *send_near(void *arg)
{
    struct giver *giver = arg;
    intake_stay_near(giver->intake);
    for (uint32_t i = 0; i < 20000; i++) {
        send_batch(giver->intake, i, 1);
        atomic_store(&giver->sent, i + 1);
    }
    return NULL;
}

static void who_stays_near_leaves_a_large_ring_nearly_empty(void **state)
{
    (void)state;
    const uint32_t near = (uint32_t)((1024 * 1024) / batch_footprint(FRAME)) + 1;
    struct giver giver = {.intake = intake_new("test", WHEN_FULL_BLOCK, NULL)};
    struct route *route = route_new(giver.intake, 16 * 1024 * 1024);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, send_near, &giver), 0);
    while (atomic_load(&giver.sent) < near)
        sched_yield();
    usleep(20000);
    assert_int_equal(atomic_load(&giver.sent), near); /* it waits */
    for (uint32_t taken = 0; taken < 20000;) { /* and goes on when something was taken */
        struct batch *batch = ring_take(route->ring);
        if (!batch) {
            sched_yield();
            continue;
        }
        batch_unref(batch);
        taken++;
    }
    pthread_join(thread, NULL);
    assert_int_equal(account_read(&route->account).dropped, 0);
    route_free(route);
    intake_free(giver.intake);
}

/* Adds the slab that a batch stands in; how many there are now. */
static unsigned add_slab(const void **slabs, unsigned count, const void *slab)
{
    for (unsigned i = 0; i < count; i++) {
        if (slabs[i] == slab)
            return count;
    }
    slabs[count] = slab;
    return count + 1;
}

/* What the batches in a ring keep from being used again: whole slabs, where they stand in slabs.
 * Empties the ring. */
static size_t memory_behind(struct route *route)
{
    enum { BATCHES = 4096 };
    static struct batch *batches[BATCHES];
    static const void *slabs[BATCHES];
    size_t octets = 0;
    unsigned count = 0, slab_count = 0;
    while ((batches[count] = ring_take(route->ring))) {
        struct batch *batch = batches[count++];
        assert_in_range(count, 1, BATCHES - 1);
        if (batch->owner)
            slab_count = add_slab(slabs, slab_count, batch->owner);
        else
            octets += batch->footprint;
    }
    while (count > 0)
        batch_unref(batches[--count]);
    return octets + (size_t)slab_count * SLAB_SIZE;
}

/* A sink that takes one batch while `ratio` arrive has a batch here and there in its ring: it must
 * not keep the slabs from the quick sink beside it, and from the ceiling that --check prints. */
static void check_memory_behind_a_slow_sink(uint32_t ratio, uint32_t messages)
{
    enum { CAPACITY = 1 << 20 };
    struct intake *intake = intake_new("test", WHEN_FULL_DROP, NULL);
    struct route *slow = route_new(intake, CAPACITY), *quick = route_new(intake, CAPACITY);
    uint32_t first, taken = 0;
    for (uint32_t i = 0; taken < 3 * CAPACITY / batch_footprint(messages * FRAME); i++) {
        send_batch(intake, i, messages);
        assert_true(deliver_batch(quick, &first));
        if (i % ratio == 0)
            taken += deliver_batch(slow, &first);
    }
    assert_true(ring_octets(slow->ring) > CAPACITY / 2);
    struct tally tally = account_read(&slow->account);
    assert_int_equal(tally.received, tally.delivered + tally.dropped + tally.in_flight);
    assert_in_range(memory_behind(slow), CAPACITY / 2, CAPACITY + CAPACITY / 3 + 4 * SLAB_SIZE);
    route_free(slow);
    route_free(quick);
    intake_free(intake);
}

static void a_slow_sink_keeps_no_more_memory_than_its_ring(void **state)
{
    (void)state;
    check_memory_behind_a_slow_sink(2, 50);
    check_memory_behind_a_slow_sink(10, 50);
    check_memory_behind_a_slow_sink(100, 50);
    check_memory_behind_a_slow_sink(3, 900);
    check_memory_behind_a_slow_sink(10, 900);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_reaches_every_ring),
        cmocka_unit_test(refused_messages_are_received_and_malformed),
        cmocka_unit_test(a_full_ring_drops_whole_batches_at_the_front),
        cmocka_unit_test(one_full_ring_costs_the_other_nothing),
        cmocka_unit_test(a_batch_of_the_source_goes_the_same_way),
        cmocka_unit_test(a_source_that_waits_loses_nothing),
        cmocka_unit_test(giving_up_ends_the_wait),
        cmocka_unit_test(a_ring_that_goes_leaves_no_pledge_open),
        cmocka_unit_test(who_is_held_goes_on_with_the_successor),
        cmocka_unit_test(who_stays_near_leaves_a_large_ring_nearly_empty),
        cmocka_unit_test(a_slow_sink_keeps_no_more_memory_than_its_ring),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
