#include "envelope.h"

#include "bus.pb-c.h"
#include "printable.h"

void envelope_add_hop(struct envelope *envelope, const struct hop_ledger *hop)
{
    if (envelope->hops == ENVELOPE_HOPS) {
        envelope->hops--;
        memmove(&envelope->path[0], &envelope->path[1], envelope->hops * sizeof *hop);
    }
    envelope->path[envelope->hops++] = *hop;
}

static struct hop_ledger hop_from_proto(const Bus__HopLedger *proto)
{
    struct hop_ledger hop = {
        .instance = proto->instance,
        .tally = {.received = proto->received,
                  .delivered = proto->delivered,
                  .dropped = proto->dropped,
                  .filtered = proto->filtered,
                  .rejected = proto->rejected,
                  .malformed = proto->malformed,
                  .failed = proto->failed},
        .lost = proto->lost,
    };
    printable_copy(hop.hop, sizeof hop.hop, proto->hop);
    const struct tally *t = &hop.tally;
    uint64_t settled = t->delivered + t->dropped + t->filtered + t->rejected + t->malformed + t->failed;
    hop.tally.in_flight = settled < t->received ? t->received - settled : 0;
    return hop;
}

/* Every number in the range that all sums hold. */
static bool numbers_are_sane(const Bus__Envelope *proto)
{
    uint64_t all = proto->sequence | (proto->sequence + proto->count);
    for (size_t i = 0; i < proto->n_path; i++) {
        const Bus__HopLedger *h = proto->path[i];
        all |= h->received | h->delivered | h->dropped | h->filtered | h->rejected | h->malformed | h->failed | h->lost;
    }
    return all < ENVELOPE_NUMBER_MAX;
}

bool envelope_read(struct envelope *envelope, const uint8_t *data, size_t len)
{
    if (len > ENVELOPE_MAX)
        return false;
    Bus__Envelope *proto = bus__envelope__unpack(NULL, len, data);
    if (!proto)
        return false;
    if (!numbers_are_sane(proto)) {
        bus__envelope__free_unpacked(proto, NULL);
        return false;
    }
    *envelope = (struct envelope){
        .sequence = proto->sequence,
        .count = proto->count,
        .epoch = proto->epoch,
        .shared = proto->shared,
        .final = proto->final,
        .has_interval = proto->has_interval,
        .interval = proto->interval,
        .has_policy = proto->has_policy && proto->policy.len == POLICY_OCTETS,
    };
    if (envelope->has_policy)
        memcpy(envelope->policy, proto->policy.data, POLICY_OCTETS);
    for (size_t i = 0; i < proto->n_path; i++) {
        struct hop_ledger hop = hop_from_proto(proto->path[i]);
        envelope_add_hop(envelope, &hop);
    }
    bus__envelope__free_unpacked(proto, NULL);
    return envelope->hops > 0;
}

static Bus__HopLedger hop_to_proto(const struct hop_ledger *hop)
{
    Bus__HopLedger proto = BUS__HOP_LEDGER__INIT;
    proto.hop = (char *)(uintptr_t)hop->hop; /* protobuf-c does not write through it */
    proto.instance = hop->instance;
    proto.has_received = proto.has_delivered = proto.has_dropped = proto.has_filtered = true;
    proto.has_malformed = proto.has_failed = proto.has_lost = true;
    proto.received = hop->tally.received;
    proto.delivered = hop->tally.delivered;
    proto.dropped = hop->tally.dropped;
    proto.filtered = hop->tally.filtered;
    proto.malformed = hop->tally.malformed;
    proto.failed = hop->tally.failed;
    proto.lost = hop->lost;
    proto.has_rejected = hop->tally.rejected > 0;
    proto.rejected = hop->tally.rejected;
    return proto;
}

void envelope_write(const struct envelope *envelope, struct buffer *out)
{
    Bus__HopLedger hops[ENVELOPE_HOPS];
    Bus__HopLedger *path[ENVELOPE_HOPS];
    for (unsigned i = 0; i < envelope->hops; i++) {
        hops[i] = hop_to_proto(&envelope->path[i]);
        path[i] = &hops[i];
    }
    Bus__Envelope proto = BUS__ENVELOPE__INIT;
    proto.sequence = envelope->sequence;
    proto.count = envelope->count;
    proto.has_shared = proto.shared = envelope->shared;
    proto.has_epoch = envelope->epoch != 0;
    proto.epoch = envelope->epoch;
    proto.has_final = proto.final = envelope->final;
    proto.has_interval = envelope->has_interval;
    proto.interval = envelope->interval;
    proto.has_policy = envelope->has_policy;
    proto.policy.data = (uint8_t *)(uintptr_t)envelope->policy;
    proto.policy.len = POLICY_OCTETS;
    proto.n_path = envelope->hops;
    proto.path = path;
    uint8_t *at = buffer_reserve(out, bus__envelope__get_packed_size(&proto));
    if (at)
        out->len += bus__envelope__pack(&proto, at);
}
