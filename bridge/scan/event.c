#include "event.h"

#include "address.h"
#include "dnstap.h"
#include "protobuf.h"

enum {
    TAG_TYPE = 15 * 8 + PROTOBUF_VARINT, /* Dnstap.type */
    TYPE_EVENT = 1000,                   /* Dnstap.Type.EVENT */
};

/* uint64 are kept whole, all other numbers keep their low 32 bits. */
static bool is_wide(uint32_t number)
{
    static const uint32_t wide = 1u << EVENT_ID | 1u << EVENT_TIME_SEC | 1u << EVENT_RRL_DROPPED |
                                 1u << EVENT_RRL_TRUNCATED | 1u << EVENT_DURATION_USEC |
                                 1u << EVENT_MESSAGES | 1u << EVENT_RECORDS | 1u << EVENT_OCTETS |
                                 1u << EVENT_HITS | 1u << EVENT_ENTRIES;
    return wide >> number & 1;
}

static uint32_t wire_of(uint32_t number)
{
    if (number == EVENT_NAME || number == EVENT_PEER_ADDRESS)
        return PROTOBUF_OCTETS;
    return number == EVENT_TIME_NSEC ? PROTOBUF_FIXED32 : PROTOBUF_VARINT;
}

static void take_field(struct reader *r, uint32_t number, struct event_view *view)
{
    if (number == EVENT_TIME_NSEC) {
        view->number[number] = protobuf_fixed32(r);
    } else if (number == EVENT_NAME || number == EVENT_PEER_ADDRESS) {
        *(number == EVENT_NAME ? &view->name : &view->peer_address) = protobuf_octets(r);
    } else {
        uint64_t value = protobuf_varint(r);
        view->number[number] = is_wide(number) ? value : (uint32_t)value;
    }
    view->has |= 1u << number;
}

bool event_scan(struct octets event, struct event_view *view)
{
    struct reader r = reader_over(event.data, event.len);

    *view = (struct event_view){0};
    while (reader_left(&r) > 0 && !r.bad) {
        uint32_t tag = protobuf_tag(&r);
        uint32_t number = tag >> 3;
        if (number > 0 && number < EVENT_FIELDS && (tag & 7) == wire_of(number))
            take_field(&r, number, view);
        else
            protobuf_skip(&r, tag);
    }
    view->peer_address = address_normal(view->peer_address);
    return !r.bad && event_has(view, EVENT_TYPE);
}

/* What nearly every message looks like: octets (identity, version, extra, message), then the type MESSAGE at the
 * end; tags of one octet, lengths of one or two. */
static bool is_plain_message(struct frame frame)
{
    const uint8_t *at = frame.data;
    const uint8_t *end = frame.data + frame.len;
    while (end - at > 3 && (at[0] & 0x87) == PROTOBUF_OCTETS) {
        bool two = at[1] & 0x80;
        size_t len = two ? (size_t)(at[1] & 0x7f) | (size_t)at[2] << 7 : at[1];
        if ((two && at[2] & 0x80) || len > (size_t)(end - at) - 2 - two)
            return false;
        at += 2 + two + len;
    }
    return end - at == 2 && at[0] == TAG_TYPE && at[1] == DNSTAP_TYPE_MESSAGE;
}

bool frame_is_event(struct frame frame)
{
    if (is_plain_message(frame))
        return false;
    struct reader r = reader_over(frame.data, frame.len);
    bool event = false;
    while (reader_left(&r) > 0 && !r.bad) {
        uint32_t tag = protobuf_tag(&r);
        if (tag == TAG_TYPE)
            event = protobuf_varint(&r) == TYPE_EVENT; /* the last one counts, as in protobuf */
        else
            protobuf_skip(&r, tag);
    }
    return event && !r.bad;
}
