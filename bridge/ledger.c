#include "ledger.h"

/* Each counter has one writer, so a plain addition does; release, so that a reader who sees what
 * became of a message also sees that it was received. */
static void add(_Atomic uint64_t *counter, uint64_t n)
{
    uint64_t now = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, now + n, memory_order_release);
}

void account_received(struct account *account, uint64_t n)
{
    add(&account->received, n);
}

void account_dropped(struct account *account, uint64_t n)
{
    add(&account->dropped, n);
}

void account_refused(struct account *account, uint64_t n)
{
    add(&account->refused, n);
}

void account_settle(struct account *account, enum outcome outcome, uint64_t n)
{
    add(&account->settled[outcome], n);
}

struct tally account_read(const struct account *account)
{
    uint64_t settled[OUTCOMES];
    for (int i = 0; i < OUTCOMES; i++)
        settled[i] = atomic_load_explicit(&account->settled[i], memory_order_acquire);
    struct tally t = {
        .delivered = settled[OUTCOME_DELIVERED],
        .filtered = settled[OUTCOME_FILTERED],
        .rejected = settled[OUTCOME_REJECTED],
        .malformed = settled[OUTCOME_MALFORMED] +
                     atomic_load_explicit(&account->refused, memory_order_acquire),
        .failed = settled[OUTCOME_FAILED],
        .dropped = atomic_load_explicit(&account->dropped, memory_order_acquire),
    };
    /* last: it is never behind what was read before it, so in_flight is never negative */
    t.received = atomic_load_explicit(&account->received, memory_order_acquire);
    t.in_flight = t.received - t.delivered - t.filtered - t.rejected - t.malformed - t.failed - t.dropped;
    return t;
}

void tally_add(struct tally *sum, const struct tally *one)
{
    sum->received += one->received;
    sum->delivered += one->delivered;
    sum->dropped += one->dropped;
    sum->filtered += one->filtered;
    sum->rejected += one->rejected;
    sum->malformed += one->malformed;
    sum->failed += one->failed;
    sum->in_flight += one->in_flight;
}
