#include "../json_string.h"
#include "event_names.h"
#include "flat.h"
#include "names.h"
#include "put.h"

/* The plain numbers of an event, in the order of the schema. */
static const struct {
    enum event_field field;
    const char *key;
} numbers[] = {
    {EVENT_PEER_PORT, "peer_port"},
    {EVENT_PEER_PREFIX, "peer_prefix"},
    {EVENT_RRL_LIMIT, "rrl_limit"},
    {EVENT_RRL_DROPPED, "rrl_dropped"},
    {EVENT_RRL_TRUNCATED, "rrl_truncated"},
    {EVENT_SERIAL_BEFORE, "serial_before"},
    {EVENT_SERIAL, "serial"},
    {EVENT_DURATION_USEC, "duration_usec"},
    {EVENT_MESSAGES, "messages"},
    {EVENT_RECORDS, "records"},
    {EVENT_OCTETS, "octets"},
    {EVENT_TTL, "ttl"},
    {EVENT_AGE, "age"},
    {EVENT_HITS, "hits"},
    {EVENT_ENTRIES, "entries"},
};

static void put_enum(const char *key, const struct event_view *event, enum event_field field,
                     const char *name, struct buffer *out)
{
    if (!event_has(event, field))
        return;
    buffer_put_string(out, key);
    flat_enum_put(name, (int32_t)event->number[field], out);
}

static void put_what(const struct event_view *event, struct buffer *out)
{
    if (event_has(event, EVENT_ID)) {
        FLAT_PUT(out, ",\"id\":");
        put_unsigned(event->number[EVENT_ID], out);
    }
    if (event_has(event, EVENT_NAME)) {
        FLAT_PUT(out, ",\"name\":");
        flat_name_put((struct dns_name){event->name.data, 0, event->name.len}, out);
    }
    if (event_has(event, EVENT_RRCLASS)) {
        FLAT_PUT(out, ",\"rrclass\":");
        flat_class_put((uint16_t)event->number[EVENT_RRCLASS], out);
    }
    if (event_has(event, EVENT_RRTYPE)) {
        FLAT_PUT(out, ",\"rrtype\":");
        flat_type_put((uint16_t)event->number[EVENT_RRTYPE], out);
    }
}

static void put_peer(const struct event_view *event, struct buffer *out)
{
    put_enum(",\"family\":", event, EVENT_SOCKET_FAMILY,
             dnstap_family_name((int32_t)event->number[EVENT_SOCKET_FAMILY]), out);
    put_enum(",\"protocol\":", event, EVENT_SOCKET_PROTOCOL,
             dnstap_protocol_name((int32_t)event->number[EVENT_SOCKET_PROTOCOL]), out);
    if (event_has(event, EVENT_PEER_ADDRESS)) {
        FLAT_PUT(out, ",\"peer_address\":");
        flat_address_put(event->peer_address, out);
    }
}

static void put_event(const struct event_view *event, struct buffer *out)
{
    FLAT_PUT(out, ",\"event\":{\"type\":");
    flat_enum_put(event_type_name(event->number[EVENT_TYPE]), (int32_t)event->number[EVENT_TYPE],
                  out);
    put_what(event, out);
    put_peer(event, out);
    put_enum(",\"rrl_category\":", event, EVENT_RRL_CATEGORY,
             event_category_name(event->number[EVENT_RRL_CATEGORY]), out);
    put_enum(",\"outcome\":", event, EVENT_OUTCOME,
             event_outcome_name(event->number[EVENT_OUTCOME]), out);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (!event_has(event, numbers[i].field))
            continue;
        FLAT_PUT(out, ",\"");
        buffer_put_string(out, numbers[i].key);
        FLAT_PUT(out, "\":");
        put_unsigned(event->number[numbers[i].field], out);
    }
    buffer_put_char(out, '}');
}

void flat_event_put(struct flat *flat, const struct dnstap_view *view,
                    const struct event_view *event, struct buffer *out)
{
    buffer_put_char(out, '{');
    if (event_has(event, EVENT_TIME_SEC) &&
        FLAT_TIME(flat, "\"time\":\"", event->number[EVENT_TIME_SEC],
                  (uint32_t)event->number[EVENT_TIME_NSEC], out))
        buffer_put_char(out, ',');
    FLAT_PUT(out, "\"type\":\"EVENT\"");
    flat_sender_put(view, out);
    put_event(event, out);
    FLAT_PUT(out, "}\n");
}
