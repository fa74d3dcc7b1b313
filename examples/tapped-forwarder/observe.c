#include "observe.h"

struct timespec observe_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now;
}

static void fill(struct tap_message *message, enum tap_type type, const struct observed *seen)
{
    tap_message_init(message, type);
    message->protocol = seen->protocol;
    message->query_time = seen->query_time;
    if (seen->asks)
        tap_message_query_peer(message, (const struct sockaddr *)&seen->asks->storage);
    if (seen->answers)
        tap_message_response_peer(message, (const struct sockaddr *)&seen->answers->storage);
}

void observe_query(struct tap_lane *lane, enum tap_type type, const struct observed *seen,
                   const uint8_t *wire, size_t len)
{
    if (!lane)
        return;
    struct tap_message message;
    fill(&message, type, seen);
    message.query_message = (struct tap_bytes){wire, (uint32_t)len};
    tap_emit(lane, &message);
}

void observe_response(struct tap_lane *lane, enum tap_type type, const struct observed *seen,
                      const uint8_t *wire, size_t len)
{
    if (!lane)
        return;
    struct tap_message message;
    fill(&message, type, seen);
    message.response_time = seen->response_time;
    message.response_message = (struct tap_bytes){wire, (uint32_t)len};
    tap_emit(lane, &message);
}

void observe_cache(struct tap_lane *lane, const struct cache_entry *entry, enum cache_reason reason,
                   time_t now)
{
    if (!lane)
        return;
    const struct tap_event event = {
        .type = reason == CACHE_EXPIRED ? TAP_CACHE_EXPIRY : TAP_CACHE_PURGE,
        .time = observe_now(),
        .name = {entry->key.octets, entry->key.name_len},
        .rrtype = entry->key.type,
        .rrclass = entry->key.class,
        .ttl = entry->ttl,
        .age = (uint32_t)(now - entry->stored),
        .hits = entry->hits,
        .octets = entry->octets,
    };
    tap_emit_event(lane, &event);
}
