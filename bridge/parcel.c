#include "parcel.h"

#include "frame.h"
#include "pledge.h"

uint32_t parcel_whole(const struct parcel *parcel, size_t octets, size_t *end)
{
    uint32_t count = 0;
    *end = 0;
    if (octets >= parcel->len) {
        *end = parcel->len;
        return parcel->count;
    }
    if (parcel->ends) {
        while (count < parcel->count && parcel->ends[count] <= octets)
            *end = parcel->ends[count++];
        return count;
    }
    struct reader r = reader_over(parcel->data, octets);
    struct frame frame;
    while (frame_next(&r, &frame)) {
        *end = (size_t)(frame.data + frame.len - parcel->data);
        count++;
    }
    return count;
}

static void settle(struct account *account, struct pledge *pledge, enum outcome outcome, uint64_t n)
{
    account_settle(account, outcome, n);
    if (outcome != OUTCOME_FAILED)
        pledge_settle(pledge, n);
}

void parcel_settle(const struct parcel *parcel, enum outcome outcome, uint64_t n)
{
    settle(parcel->account, parcel->batch ? parcel->batch->pledge : NULL, outcome, n);
}

struct ticket ticket_take(const struct parcel *parcel)
{
    return (struct ticket){
        .account = parcel->account,
        .pledge = parcel->batch ? pledge_ref(parcel->batch->pledge) : NULL,
    };
}

struct ticket ticket_copy(const struct ticket *ticket)
{
    return (struct ticket){.account = ticket->account, .pledge = pledge_ref(ticket->pledge)};
}

void ticket_settle(const struct ticket *ticket, enum outcome outcome, uint64_t n)
{
    settle(ticket->account, ticket->pledge, outcome, n);
}

void ticket_drop(struct ticket *ticket)
{
    pledge_unref(ticket->pledge);
    ticket->pledge = NULL;
}
