#include "rebuild.h"

#include <string.h>

#include "../scan/protobuf_put.h"

/* An enum: a negative one has ten octets. */
static void put_enum(struct buffer *out, uint32_t field, int32_t value)
{
    wire_number(field, (uint64_t)(int64_t)value, out);
}

/* An embedded message: its length is known when it is written. Room for five octets is left, and
 * closed up. */
enum { LENGTH_ROOM = 5 };

static size_t open_part(struct buffer *out, uint32_t field)
{
    static const uint8_t room[LENGTH_ROOM];
    wire_varint(field << 3 | PROTOBUF_OCTETS, out);
    buffer_put(out, room, LENGTH_ROOM);
    return out->len;
}

static void close_part(struct buffer *out, size_t start)
{
    if (out->failed)
        return;
    size_t len = out->len - start;
    out->len = start - LENGTH_ROOM;
    wire_varint(len, out);
    memmove(out->data + out->len, out->data + start, len);
    out->len += len;
}

static void put_policy(const struct dnstap_view *v, struct buffer *out)
{
    size_t start = open_part(out, 15);
    if (dnstap_has(v, DNSTAP_HAS_POLICY_TYPE))
        wire_octets(1, v->policy_type, out);
    if (dnstap_has(v, DNSTAP_HAS_POLICY_RULE))
        wire_octets(2, v->policy_rule, out);
    if (dnstap_has(v, DNSTAP_HAS_POLICY_ACTION))
        put_enum(out, 3, v->policy_action);
    if (dnstap_has(v, DNSTAP_HAS_POLICY_MATCH))
        put_enum(out, 4, v->policy_match);
    if (dnstap_has(v, DNSTAP_HAS_POLICY_VALUE))
        wire_octets(5, v->policy_value, out);
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
        wire_octets(4, v->query_address, out);
    if (dnstap_has(v, DNSTAP_HAS_RESPONSE_ADDRESS))
        wire_octets(5, v->response_address, out);
    if (dnstap_has(v, DNSTAP_HAS_QUERY_PORT))
        wire_number(6, v->query_port, out);
    if (dnstap_has(v, DNSTAP_HAS_RESPONSE_PORT))
        wire_number(7, v->response_port, out);
}

static void put_what(const struct dnstap_view *v, struct buffer *out)
{
    if (dnstap_has(v, DNSTAP_HAS_QUERY_TIME_SEC))
        wire_number(8, v->query_time_sec, out);
    if (dnstap_has(v, DNSTAP_HAS_QUERY_TIME_NSEC))
        wire_fixed32(9, v->query_time_nsec, out);
    if (dnstap_has(v, DNSTAP_HAS_QUERY_MESSAGE))
        wire_octets(10, v->query_message, out);
    if (dnstap_has(v, DNSTAP_HAS_QUERY_ZONE))
        wire_octets(11, v->query_zone, out);
    if (dnstap_has(v, DNSTAP_HAS_RESPONSE_TIME_SEC))
        wire_number(12, v->response_time_sec, out);
    if (dnstap_has(v, DNSTAP_HAS_RESPONSE_TIME_NSEC))
        wire_fixed32(13, v->response_time_nsec, out);
    if (dnstap_has(v, DNSTAP_HAS_RESPONSE_MESSAGE))
        wire_octets(14, v->response_message, out);
    if (dnstap_has(v, DNSTAP_HAS_POLICY))
        put_policy(v, out);
    if (dnstap_has(v, DNSTAP_HAS_HTTP_PROTOCOL))
        put_enum(out, 16, v->http_protocol);
}

void dnstap_rebuild(const struct dnstap_view *v, struct buffer *out)
{
    if (dnstap_has(v, DNSTAP_HAS_IDENTITY))
        wire_octets(1, v->identity, out);
    if (dnstap_has(v, DNSTAP_HAS_VERSION))
        wire_octets(2, v->version, out);
    if (dnstap_has(v, DNSTAP_HAS_EXTRA))
        wire_octets(3, v->extra, out);
    if (dnstap_has(v, DNSTAP_HAS_MESSAGE)) {
        size_t start = open_part(out, 14);
        put_who(v, out);
        put_what(v, out);
        close_part(out, start);
    }
    put_enum(out, 15, v->type);
    if (dnstap_has(v, DNSTAP_HAS_EVENT))
        wire_octets(1000, v->event, out);
    if (dnstap_has(v, DNSTAP_HAS_REPEATS))
        wire_number(1001, v->repeats, out);
    if (dnstap_has(v, DNSTAP_HAS_REJECTED))
        wire_octets(1002, v->rejected, out);
}

void event_rebuild(const struct event_view *v, struct buffer *out)
{
    for (uint32_t field = 1; field < EVENT_FIELDS; field++) {
        if (!event_has(v, (enum event_field)field))
            continue;
        if (field == EVENT_NAME)
            wire_octets(field, v->name, out);
        else if (field == EVENT_PEER_ADDRESS)
            wire_octets(field, v->peer_address, out);
        else if (field == EVENT_TIME_NSEC)
            wire_fixed32(field, (uint32_t)v->number[field], out);
        else
            wire_number(field, v->number[field], out);
    }
}
