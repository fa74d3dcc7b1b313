#include "dnstap.h"

#include <stddef.h>

#include "protobuf.h"

/* What a field holds, which decides its wire type and how it is stored. */
enum kind {
    KIND_UNKNOWN,
    KIND_OCTETS,
    KIND_NUMBER32, /* uint32 or enum: both keep the low 32 bits */
    KIND_NUMBER64,
    KIND_FIXED32,
    KIND_MESSAGE, /* an embedded message, whose fields land in the same view */
};

static const uint8_t kind_wire[] = {
    [KIND_OCTETS] = PROTOBUF_OCTETS,   [KIND_NUMBER32] = PROTOBUF_VARINT,
    [KIND_NUMBER64] = PROTOBUF_VARINT, [KIND_FIXED32] = PROTOBUF_FIXED32,
    [KIND_MESSAGE] = PROTOBUF_OCTETS,
};

enum { FIELDS = 17 }; /* the schema's field numbers are below this */

struct field {
    enum kind kind;
    enum dnstap_field has;
    size_t offset;              /* in struct dnstap_view */
    const struct field *fields; /* of an embedded message */
};

#define VIEW(member) offsetof(struct dnstap_view, member)

static const struct field policy_fields[FIELDS] = {
    [1] = {KIND_OCTETS, DNSTAP_HAS_POLICY_TYPE, VIEW(policy_type), NULL},
    [2] = {KIND_OCTETS, DNSTAP_HAS_POLICY_RULE, VIEW(policy_rule), NULL},
    [3] = {KIND_NUMBER32, DNSTAP_HAS_POLICY_ACTION, VIEW(policy_action), NULL},
    [4] = {KIND_NUMBER32, DNSTAP_HAS_POLICY_MATCH, VIEW(policy_match), NULL},
    [5] = {KIND_OCTETS, DNSTAP_HAS_POLICY_VALUE, VIEW(policy_value), NULL},
};

static const struct field message_fields[FIELDS] = {
    [1] = {KIND_NUMBER32, DNSTAP_HAS_MESSAGE_TYPE, VIEW(message_type), NULL},
    [2] = {KIND_NUMBER32, DNSTAP_HAS_SOCKET_FAMILY, VIEW(socket_family), NULL},
    [3] = {KIND_NUMBER32, DNSTAP_HAS_SOCKET_PROTOCOL, VIEW(socket_protocol), NULL},
    [4] = {KIND_OCTETS, DNSTAP_HAS_QUERY_ADDRESS, VIEW(query_address), NULL},
    [5] = {KIND_OCTETS, DNSTAP_HAS_RESPONSE_ADDRESS, VIEW(response_address), NULL},
    [6] = {KIND_NUMBER32, DNSTAP_HAS_QUERY_PORT, VIEW(query_port), NULL},
    [7] = {KIND_NUMBER32, DNSTAP_HAS_RESPONSE_PORT, VIEW(response_port), NULL},
    [8] = {KIND_NUMBER64, DNSTAP_HAS_QUERY_TIME_SEC, VIEW(query_time_sec), NULL},
    [9] = {KIND_FIXED32, DNSTAP_HAS_QUERY_TIME_NSEC, VIEW(query_time_nsec), NULL},
    [10] = {KIND_OCTETS, DNSTAP_HAS_QUERY_MESSAGE, VIEW(query_message), NULL},
    [11] = {KIND_OCTETS, DNSTAP_HAS_QUERY_ZONE, VIEW(query_zone), NULL},
    [12] = {KIND_NUMBER64, DNSTAP_HAS_RESPONSE_TIME_SEC, VIEW(response_time_sec), NULL},
    [13] = {KIND_FIXED32, DNSTAP_HAS_RESPONSE_TIME_NSEC, VIEW(response_time_nsec), NULL},
    [14] = {KIND_OCTETS, DNSTAP_HAS_RESPONSE_MESSAGE, VIEW(response_message), NULL},
    [15] = {KIND_MESSAGE, DNSTAP_HAS_POLICY, 0, policy_fields},
    [16] = {KIND_NUMBER32, DNSTAP_HAS_HTTP_PROTOCOL, VIEW(http_protocol), NULL},
};

static const struct field dnstap_fields[FIELDS] = {
    [1] = {KIND_OCTETS, DNSTAP_HAS_IDENTITY, VIEW(identity), NULL},
    [2] = {KIND_OCTETS, DNSTAP_HAS_VERSION, VIEW(version), NULL},
    [3] = {KIND_OCTETS, DNSTAP_HAS_EXTRA, VIEW(extra), NULL},
    [14] = {KIND_MESSAGE, DNSTAP_HAS_MESSAGE, 0, message_fields},
    [15] = {KIND_NUMBER32, DNSTAP_HAS_TYPE, VIEW(type), NULL},
};

/* The one field whose number is far beyond the rest. */
enum { EVENT_NUMBER = 1000 };
static const struct field event_field = {KIND_OCTETS, DNSTAP_HAS_EVENT, VIEW(event), NULL};


static bool scan_fields(struct reader r, const struct field *fields, struct dnstap_view *view);

/* Reads the value of a known field into its place. */
static inline void take_value(struct reader *r, const struct field *field, struct dnstap_view *view)
{
    void *place = (char *)view + field->offset;
    struct octets part;

    switch (field->kind) {
    case KIND_OCTETS:
        *(struct octets *)place = protobuf_octets(r);
        break;
    case KIND_NUMBER32:
        *(uint32_t *)place = (uint32_t)protobuf_varint(r);
        break;
    case KIND_NUMBER64:
        *(uint64_t *)place = protobuf_varint(r);
        break;
    case KIND_FIXED32:
        *(uint32_t *)place = protobuf_fixed32(r);
        break;
    case KIND_MESSAGE:
        part = protobuf_octets(r);
        if (!r->bad && !scan_fields(reader_over(part.data, part.len), field->fields, view))
            r->bad = true;
        break;
    case KIND_UNKNOWN:
        break;
    }
    view->has |= (uint32_t)field->has;
}

/* The depth is that of the schema: Dnstap, Message, Policy. */
static bool scan_fields(struct reader r, const struct field *fields, struct dnstap_view *view)
{
    while (reader_left(&r) > 0 && !r.bad) {
        uint32_t tag = protobuf_tag(&r);
        uint32_t number = tag >> 3;
        const struct field *field = &fields[number < FIELDS ? number : 0];
        if (number == EVENT_NUMBER && fields == dnstap_fields)
            field = &event_field;
        if (field->kind != KIND_UNKNOWN && kind_wire[field->kind] == (tag & 7))
            take_value(&r, field, view);
        else
            protobuf_skip(&r, tag);
    }
    return !r.bad;
}

bool dnstap_scan(struct frame message, struct dnstap_view *view)
{
    *view = (struct dnstap_view){0};
    if (!scan_fields(reader_over(message.data, message.len), dnstap_fields, view))
        return false;
    if (!dnstap_has(view, DNSTAP_HAS_TYPE))
        return false;
    return !dnstap_has(view, DNSTAP_HAS_MESSAGE) || dnstap_has(view, DNSTAP_HAS_MESSAGE_TYPE);
}
