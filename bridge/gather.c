#include "gather.h"

#include <assert.h>
#include <stdlib.h>

#include "pledge.h"

enum {
    SHARES_MAX = 16384
}; /* batches in one window; without pledges there is one for each source */

/* Messages of one account and pledge. */
struct share {
    struct ticket ticket;
    uint64_t messages;
};

struct window {
    struct account account; /* of its records */
    uint64_t records;       /* written on it */
    struct share *shares;
    unsigned count, room;
    struct window *next;
};

struct gather {
    struct window *open;
    struct window *waiting; /* for their records to be settled, the oldest first */
};

static struct window *window_new(void)
{
    struct window *window = aligned_alloc(_Alignof(struct window), sizeof *window);
    if (window)
        *window = (struct window){0};
    return window;
}

static void window_free(struct window *window)
{
    for (unsigned i = 0; i < window->count; i++)
        ticket_drop(&window->shares[i].ticket);
    free(window->shares);
    free(window);
}

struct gather *gather_new(void)
{
    struct gather *gather = calloc(1, sizeof *gather);
    if (!gather)
        return NULL;
    gather->open = window_new();
    if (gather->open)
        return gather;
    free(gather);
    return NULL;
}

void gather_free(struct gather *gather)
{
    if (!gather)
        return;
    while (gather->waiting) {
        struct window *window = gather->waiting;
        gather->waiting = window->next;
        window_free(window);
    }
    window_free(gather->open);
    free(gather);
}

bool gather_reserve(struct gather *gather)
{
    struct window *window = gather->open;
    if (window->count < window->room)
        return true;
    unsigned room = window->room ? window->room * 2 : 16;
    struct share *shares = realloc(window->shares, room * sizeof *shares);
    if (!shares)
        return false;
    window->shares = shares;
    window->room = room;
    return true;
}

void gather_hold(struct gather *gather, struct account *account, struct pledge *pledge)
{
    struct window *window = gather->open;
    const struct ticket ticket = {.account = account, .pledge = pledge};
    /* batches come one after the other, from a few sources in turn */
    for (unsigned i = window->count, looked = 0; i-- > 0 && looked < 8; looked++) {
        struct share *share = &window->shares[i];
        if (share->ticket.account == account && share->ticket.pledge == pledge) {
            share->messages++;
            return;
        }
    }
    assert(window->count < window->room);
    window->shares[window->count++] = (struct share){.ticket = ticket_copy(&ticket), .messages = 1};
}

bool gather_is_full(const struct gather *gather)
{
    return gather->open->count >= SHARES_MAX;
}

struct account *gather_end(struct gather *gather)
{
    struct window *next = window_new();
    if (!next)
        return NULL;
    struct window *window = gather->open, **end = &gather->waiting;
    gather->open = next;
    while (*end)
        end = &(*end)->next;
    *end = window;
    return &window->account;
}

void gather_written(struct gather *gather, uint64_t records)
{
    struct window *last = gather->waiting;
    while (last && last->next)
        last = last->next;
    if (last)
        last->records = records;
}

static void settle(const struct window *window, enum outcome outcome)
{
    for (unsigned i = 0; i < window->count; i++)
        ticket_settle(&window->shares[i].ticket, outcome, window->shares[i].messages);
}

void gather_settle(struct gather *gather)
{
    while (gather->waiting) {
        struct window *window = gather->waiting;
        const struct tally t = account_read(&window->account);
        if (t.delivered + t.failed + t.filtered + t.malformed < window->records)
            return;
        settle(window, t.delivered == window->records ? OUTCOME_DELIVERED : OUTCOME_FAILED);
        gather->waiting = window->next;
        window_free(window);
    }
}

uint64_t gather_memory(void)
{
    return 4 * SHARES_MAX * sizeof(struct share);
}
