#include "dnstap.h"

#include <stddef.h>

#include "address.h"
#include "protobuf.h"

/* What a field holds: how it is read, and how it is stored. */
enum kind {
    KIND_UNKNOWN,
    KIND_OCTETS,
    KIND_NUMBER32, /* uint32 or enum: both keep the low 32 bits */
    KIND_NUMBER64,
    KIND_FIXED32,
    KIND_MESSAGE, /* embedded messages, whose fields land in the same view */
    KIND_POLICY,
};

struct field {
    uint8_t kind;    /* enum kind */
    uint16_t offset; /* in struct dnstap_view */
    uint32_t has;    /* enum dnstap_field */
};

/* Fields stand at their tags, so that one of the wrong wire type is none that is known. */
#define OCTETS(number) ((number) << 3 | PROTOBUF_OCTETS)
#define VARINT(number) ((number) << 3 | PROTOBUF_VARINT)
#define FIXED32(number) ((number) << 3 | PROTOBUF_FIXED32)
#define VIEW(member) offsetof(struct dnstap_view, member)

enum { TAGS = 128 }; /* the tags of one octet; two fields have longer ones */

static const struct field policy_fields[TAGS] = {
    [OCTETS(1)] = {KIND_OCTETS, VIEW(policy_type), DNSTAP_HAS_POLICY_TYPE},
    [OCTETS(2)] = {KIND_OCTETS, VIEW(policy_rule), DNSTAP_HAS_POLICY_RULE},
    [VARINT(3)] = {KIND_NUMBER32, VIEW(policy_action), DNSTAP_HAS_POLICY_ACTION},
    [VARINT(4)] = {KIND_NUMBER32, VIEW(policy_match), DNSTAP_HAS_POLICY_MATCH},
    [OCTETS(5)] = {KIND_OCTETS, VIEW(policy_value), DNSTAP_HAS_POLICY_VALUE},
};

static const struct field message_fields[TAGS] = {
    [VARINT(1)] = {KIND_NUMBER32, VIEW(message_type), DNSTAP_HAS_MESSAGE_TYPE},
    [VARINT(2)] = {KIND_NUMBER32, VIEW(socket_family), DNSTAP_HAS_SOCKET_FAMILY},
    [VARINT(3)] = {KIND_NUMBER32, VIEW(socket_protocol), DNSTAP_HAS_SOCKET_PROTOCOL},
    [OCTETS(4)] = {KIND_OCTETS, VIEW(query_address), DNSTAP_HAS_QUERY_ADDRESS},
    [OCTETS(5)] = {KIND_OCTETS, VIEW(response_address), DNSTAP_HAS_RESPONSE_ADDRESS},
    [VARINT(6)] = {KIND_NUMBER32, VIEW(query_port), DNSTAP_HAS_QUERY_PORT},
    [VARINT(7)] = {KIND_NUMBER32, VIEW(response_port), DNSTAP_HAS_RESPONSE_PORT},
    [VARINT(8)] = {KIND_NUMBER64, VIEW(query_time_sec), DNSTAP_HAS_QUERY_TIME_SEC},
    [FIXED32(9)] = {KIND_FIXED32, VIEW(query_time_nsec), DNSTAP_HAS_QUERY_TIME_NSEC},
    [OCTETS(10)] = {KIND_OCTETS, VIEW(query_message), DNSTAP_HAS_QUERY_MESSAGE},
    [OCTETS(11)] = {KIND_OCTETS, VIEW(query_zone), DNSTAP_HAS_QUERY_ZONE},
    [VARINT(12)] = {KIND_NUMBER64, VIEW(response_time_sec), DNSTAP_HAS_RESPONSE_TIME_SEC},
    [FIXED32(13)] = {KIND_FIXED32, VIEW(response_time_nsec), DNSTAP_HAS_RESPONSE_TIME_NSEC},
    [OCTETS(14)] = {KIND_OCTETS, VIEW(response_message), DNSTAP_HAS_RESPONSE_MESSAGE},
    [OCTETS(15)] = {KIND_POLICY, 0, DNSTAP_HAS_POLICY},
};
static const struct field http_field = {KIND_NUMBER32, VIEW(http_protocol), DNSTAP_HAS_HTTP_PROTOCOL};

static const struct field dnstap_fields[TAGS] = {
    [OCTETS(1)] = {KIND_OCTETS, VIEW(identity), DNSTAP_HAS_IDENTITY},
    [OCTETS(2)] = {KIND_OCTETS, VIEW(version), DNSTAP_HAS_VERSION},
    [OCTETS(3)] = {KIND_OCTETS, VIEW(extra), DNSTAP_HAS_EXTRA},
    [OCTETS(14)] = {KIND_MESSAGE, 0, DNSTAP_HAS_MESSAGE},
    [VARINT(15)] = {KIND_NUMBER32, VIEW(type), DNSTAP_HAS_TYPE},
};
static const struct field rejected_field = {KIND_OCTETS, VIEW(rejected), DNSTAP_HAS_REJECTED};
static const struct field repeats_field = {KIND_NUMBER64, VIEW(repeats), DNSTAP_HAS_REPEATS};
static const struct field event_field = {KIND_OCTETS, VIEW(event), DNSTAP_HAS_EVENT};

static const struct field *field_of(const struct field *fields, uint32_t tag)
{
    if (tag < TAGS)
        return &fields[tag];
    if (tag == VARINT(16) && fields == message_fields)
        return &http_field;
    if (tag == OCTETS(1000) && fields == dnstap_fields)
        return &event_field;
    if (tag == VARINT(1001) && fields == dnstap_fields)
        return &repeats_field;
    if (tag == OCTETS(1002) && fields == dnstap_fields)
        return &rejected_field;
    return &fields[0]; /* no field has that tag */
}

static bool scan_fields(const uint8_t *at, size_t len, const struct field *fields,
                        struct dnstap_view *view);

/* An embedded message of the kind. */
static bool scan_part(uint8_t kind, struct octets part, struct dnstap_view *view)
{
    return scan_fields(part.data, part.len, kind == KIND_POLICY ? policy_fields : message_fields, view);
}

/* A varint that ends in nine octets, all of which are there; where it ends, or NULL. */
static inline const uint8_t *usual_varint(const uint8_t *at, uint64_t *value)
{
    *value = *at & 0x7f;
    for (unsigned shift = 7; *at++ >= 0x80; shift += 7) {
        if (shift == 63)
            return NULL;
        *value |= (uint64_t)(*at & 0x7f) << shift;
    }
    return at;
}

/* A known field whose tag has one octet, as nearly all there are, with USUAL octets there: where it ends.
 * NULL for what is not so plain, and that includes all that is wrong: the reader judges it. */
enum { USUAL = 10 };
static inline const uint8_t *take_usual(const uint8_t *at, const uint8_t *end,
                                        const struct field *field, struct dnstap_view *view)
{
    void *place = (char *)view + field->offset;
    uint64_t value;

    if (field->kind == KIND_FIXED32) {
        *(uint32_t *)place = (uint32_t)at[4] << 24 | (uint32_t)at[3] << 16 | (uint32_t)at[2] << 8 | at[1];
        return at + 5;
    }
    const uint8_t *next = usual_varint(at + 1, &value);
    if (!next)
        return NULL;
    if (field->kind == KIND_NUMBER32) {
        *(uint32_t *)place = (uint32_t)value;
        return next;
    }
    if (field->kind == KIND_NUMBER64) {
        *(uint64_t *)place = value;
        return next;
    }
    if (value > (size_t)(end - next))
        return NULL;
    struct octets part = {next, (uint32_t)value};
    if (field->kind == KIND_OCTETS)
        *(struct octets *)place = part;
    else if (!scan_part(field->kind, part, view))
        return NULL;
    return next + value;
}

/* Any field. False: broken. */
static bool take_any(struct reader *r, const struct field *fields, struct dnstap_view *view)
{
    uint32_t tag = protobuf_tag(r);
    const struct field *field = field_of(fields, tag);
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
    case KIND_POLICY:
        part = protobuf_octets(r);
        if (r->bad || !scan_part(field->kind, part, view))
            return false;
        break;
    default:
        protobuf_skip(r, tag);
    }
    view->has |= field->has;
    return !r->bad;
}

/* The depth is that of the schema: Dnstap, Message, Policy. */
static bool scan_fields(const uint8_t *at, size_t len, const struct field *fields,
                        struct dnstap_view *view)
{
    struct reader all = reader_over(at, len);
    const uint8_t *end = all.end;
    uint32_t has = 0; /* not in the view, where each field would wait for the one before */

    while (at < end) {
        const struct field *field = *at < TAGS ? &fields[*at] : &fields[0];
        const uint8_t *next = NULL;
        if (end - at >= USUAL && field->kind != KIND_UNKNOWN)
            next = take_usual(at, end, field, view);
        if (next) {
            has |= field->has;
            at = next;
            continue;
        }
        struct reader r = {.at = at, .end = end};
        if (!take_any(&r, fields, view))
            return false;
        at = r.at;
    }
    view->has |= has;
    return true;
}

bool dnstap_scan(struct frame message, struct dnstap_view *view)
{
    *view = (struct dnstap_view){0};
    if (!scan_fields(message.data, message.len, dnstap_fields, view))
        return false;
    if (view->type != DNSTAP_TYPE_MESSAGE && view->type != DNSTAP_TYPE_EVENT)
        return false;
    view->query_address = address_normal(view->query_address);
    view->response_address = address_normal(view->response_address);
    return !dnstap_has(view, DNSTAP_HAS_MESSAGE) || dnstap_has(view, DNSTAP_HAS_MESSAGE_TYPE);
}
