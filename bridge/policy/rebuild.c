#include "rebuild.h"

#include <string.h>

#include "../scan/protobuf.h"

static void put_varint(struct buffer *out, uint64_t value)
{
    uint8_t octets[10];
    size_t len = 0;
    for (; value >= 0x80; value >>= 7)
        octets[len++] = (uint8_t)(value | 0x80);
    octets[len++] = (uint8_t)value;
    buffer_put(out, octets, len);
}

static void put_number(struct buffer *out, uint32_t field, uint64_t value)
{
    put_varint(out, field << 3 | PROTOBUF_VARINT);
    put_varint(out, value);
}

/* An enum: a negative one has ten octets. */
static void put_enum(struct buffer *out, uint32_t field, int32_t value)
{
    put_number(out, field, (uint64_t)(int64_t)value);
}

static void put_fixed32(struct buffer *out, uint32_t field, uint32_t value)
{
    uint8_t octets[4] = {(uint8_t)value, (uint8_t)(value >> 8), (uint8_t)(value >> 16),
                         (uint8_t)(value >> 24)};
    put_varint(out, field << 3 | PROTOBUF_FIXED32);
    buffer_put(out, octets, sizeof octets);
}

static void put_octets(struct buffer *out, uint32_t field, struct octets value)
{
    put_varint(out, field << 3 | PROTOBUF_OCTETS);
    put_varint(out, value.len);
    buffer_put(out, value.data, value.len);
}

/* An embedded message: its length is known when it is written. Room for five octets is left, and
 * closed up. */
enum { LENGTH_ROOM = 5 };

static size_t open_part(struct buffer *out, uint32_t field)
{
    static const uint8_t room[LENGTH_ROOM];
    put_varint(out, field << 3 | PROTOBUF_OCTETS);
    buffer_put(out, room, LENGTH_ROOM);
    return out->len;
}

static void close_part(struct buffer *out, size_t start)
{
    if (out->failed)
        return;
    size_t len = out->len - start;
    out->len = start - LENGTH_ROOM;
    put_varint(out, len);
    memmove(out->data + out->len, out->data + start, len);
    out->len += len;
}

static void put_policy(const struct dnstap_view *v, struct buffer *out)
{
    size_t start = open_part(out, 15);
    if (dnstap_has(v, DNSTAP_HAS_POLICY_TYPE))
        put_octets(out, 1, v->policy_type);
    if (dnstap_has(v, DNSTAP_HAS_POLICY_RULE))
        put_octets(out, 2, v->policy_rule);
    if (dnstap_has(v, DNSTAP_HAS_POLICY_ACTION))
        put_enum(out, 3, v->policy_action);
    if (dnstap_has(v, DNSTAP_HAS_POLICY_MATCH))
        put_enum(out, 4, v->policy_match);
    if (dnstap_has(v, DNSTAP_HAS_POLICY_VALUE))
        put_octets(out, 5, v->policy_value);
    close_part(out, start);
}

static void put_who(const struct dnstap_view *v, struct buffer *out)
{
    put_enum(out, 1, v->message_type);
    if (dnstap_has(v, DNSTAP_HAS_SOCKET_FAMILY))
        put_enum(out, 2, v->socket_family);
    if (dnstap_has(v, DNSTAP_HAS_SOCKET_PROTOCOL))
        put_enum(out, 3, v->socket_protocol);
    if (dnstap_has(v, DNSTAP_HAS_QUERY_ADDRESS))
        put_octets(out, 4, v->query_address);
    if (dnstap_has(v, DNSTAP_HAS_RESPONSE_ADDRESS))
        put_octets(out, 5, v->response_address);
    if (dnstap_has(v, DNSTAP_HAS_QUERY_PORT))
        put_number(out, 6, v->query_port);
    if (dnstap_has(v, DNSTAP_HAS_RESPONSE_PORT))
        put_number(out, 7, v->response_port);
}

static void put_what(const struct dnstap_view *v, struct buffer *out)
{
    if (dnstap_has(v, DNSTAP_HAS_QUERY_TIME_SEC))
        put_number(out, 8, v->query_time_sec);
    if (dnstap_has(v, DNSTAP_HAS_QUERY_TIME_NSEC))
        put_fixed32(out, 9, v->query_time_nsec);
    if (dnstap_has(v, DNSTAP_HAS_QUERY_MESSAGE))
        put_octets(out, 10, v->query_message);
    if (dnstap_has(v, DNSTAP_HAS_QUERY_ZONE))
        put_octets(out, 11, v->query_zone);
    if (dnstap_has(v, DNSTAP_HAS_RESPONSE_TIME_SEC))
        put_number(out, 12, v->response_time_sec);
    if (dnstap_has(v, DNSTAP_HAS_RESPONSE_TIME_NSEC))
        put_fixed32(out, 13, v->response_time_nsec);
    if (dnstap_has(v, DNSTAP_HAS_RESPONSE_MESSAGE))
        put_octets(out, 14, v->response_message);
    if (dnstap_has(v, DNSTAP_HAS_POLICY))
        put_policy(v, out);
    if (dnstap_has(v, DNSTAP_HAS_HTTP_PROTOCOL))
        put_enum(out, 16, v->http_protocol);
}

void dnstap_rebuild(const struct dnstap_view *v, struct buffer *out)
{
    if (dnstap_has(v, DNSTAP_HAS_IDENTITY))
        put_octets(out, 1, v->identity);
    if (dnstap_has(v, DNSTAP_HAS_VERSION))
        put_octets(out, 2, v->version);
    if (dnstap_has(v, DNSTAP_HAS_EXTRA))
        put_octets(out, 3, v->extra);
    if (dnstap_has(v, DNSTAP_HAS_MESSAGE)) {
        size_t start = open_part(out, 14);
        put_who(v, out);
        put_what(v, out);
        close_part(out, start);
    }
    put_enum(out, 15, v->type);
    if (dnstap_has(v, DNSTAP_HAS_EVENT))
        put_octets(out, 1000, v->event);
    if (dnstap_has(v, DNSTAP_HAS_REPEATS))
        put_number(out, 1001, v->repeats);
    if (dnstap_has(v, DNSTAP_HAS_REJECTED))
        put_octets(out, 1002, v->rejected);
}

void event_rebuild(const struct event_view *v, struct buffer *out)
{
    for (uint32_t field = 1; field < EVENT_FIELDS; field++) {
        if (!event_has(v, (enum event_field)field))
            continue;
        if (field == EVENT_NAME)
            put_octets(out, field, v->name);
        else if (field == EVENT_PEER_ADDRESS)
            put_octets(out, field, v->peer_address);
        else if (field == EVENT_TIME_NSEC)
            put_fixed32(out, field, (uint32_t)v->number[field]);
        else
            put_number(out, field, v->number[field]);
    }
}
