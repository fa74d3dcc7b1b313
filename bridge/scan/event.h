/* An event (docs/events.md) taken apart: what stands in `Dnstap.event`. The rules are those of
 * dnstap.h: of a field that comes twice the last, unknown fields are stepped over, a torn message
 * is refused, and so is one without its `type`. Of an event that comes in pieces, dnstap_scan keeps
 * the last alone. Views are borrowed. Any thread; no allocation. */
#ifndef BRIDGE_SCAN_EVENT_H
#define BRIDGE_SCAN_EVENT_H

#include <stdbool.h>

#include "../frame.h"
#include "octets.h"

/* The fields by their numbers in dnstap.proto. */
enum event_field {
    EVENT_TYPE = 1,
    EVENT_ID,
    EVENT_TIME_SEC,
    EVENT_TIME_NSEC,
    EVENT_NAME,
    EVENT_RRTYPE,
    EVENT_RRCLASS,
    EVENT_SOCKET_FAMILY,
    EVENT_SOCKET_PROTOCOL,
    EVENT_PEER_ADDRESS,
    EVENT_PEER_PORT,
    EVENT_PEER_PREFIX,
    EVENT_RRL_CATEGORY,
    EVENT_RRL_LIMIT,
    EVENT_RRL_DROPPED,
    EVENT_RRL_TRUNCATED,
    EVENT_SERIAL_BEFORE,
    EVENT_SERIAL,
    EVENT_OUTCOME,
    EVENT_DURATION_USEC,
    EVENT_MESSAGES,
    EVENT_RECORDS,
    EVENT_OCTETS,
    EVENT_TTL,
    EVENT_AGE,
    EVENT_HITS,
    EVENT_ENTRIES,
    EVENT_FIELDS,
};

struct event_view {
    uint32_t has; /* bit N: field N */
    uint64_t number[EVENT_FIELDS];
    struct octets name; /* wire-format; not looked into */
    struct octets peer_address;
};

bool event_scan(struct octets event, struct event_view *view);

static inline bool event_has(const struct event_view *view, enum event_field field)
{
    return view->has >> field & 1;
}

/* Is this message one of the project's events, which a reader of the published schema takes for broken? Asked
 * of every message on its way to such a reader, so it looks at the tags of the outermost fields alone: three
 * or four steps. False also for what is no dnstap message at all. */
bool frame_is_event(struct frame frame);

#endif
