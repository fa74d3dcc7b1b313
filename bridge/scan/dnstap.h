/* A dnstap message taken apart, in one pass and without a copy.
 *
 * The scan accepts what a decoder of the proto2 schema accepts: fields in any order; of a field
 * that comes twice the last; a Message or Policy that comes in pieces is merged; fields that the
 * schema does not know, and known numbers with the wrong wire type, are stepped over, groups too
 * (to a depth of PROTOBUF_GROUP_DEPTH). It refuses what is torn, varints beyond 64 bits, a
 * Dnstap or a Message without its `type`, and a Dnstap that is neither a MESSAGE nor an EVENT. Other numbers
 * that an enum does not name are kept as they are,
 * for a newer schema to name them; a number wider than its field keeps its low bits.
 *
 * Views are borrowed from the message and live as long as it does. Any thread; no allocation. */
#ifndef BRIDGE_SCAN_DNSTAP_H
#define BRIDGE_SCAN_DNSTAP_H

#include "../frame.h"
#include "octets.h"

/* Dnstap.Type: the published one, and that of this project's events. */
enum { DNSTAP_TYPE_MESSAGE = 1, DNSTAP_TYPE_EVENT = 1000 };

/* Message.Type: odd is a query, even a response. */
enum dnstap_message_type {
    DNSTAP_AUTH_QUERY = 1,
    DNSTAP_AUTH_RESPONSE,
    DNSTAP_RESOLVER_QUERY,
    DNSTAP_RESOLVER_RESPONSE,
    DNSTAP_CLIENT_QUERY,
    DNSTAP_CLIENT_RESPONSE,
    DNSTAP_FORWARDER_QUERY,
    DNSTAP_FORWARDER_RESPONSE,
    DNSTAP_STUB_QUERY,
    DNSTAP_STUB_RESPONSE,
    DNSTAP_TOOL_QUERY,
    DNSTAP_TOOL_RESPONSE,
    DNSTAP_UPDATE_QUERY,
    DNSTAP_UPDATE_RESPONSE,
};

/* Which fields a message has: bits of `dnstap_view.has`. */
enum dnstap_field {
    DNSTAP_HAS_IDENTITY = 1u << 0,
    DNSTAP_HAS_VERSION = 1u << 1,
    DNSTAP_HAS_EXTRA = 1u << 2,
    DNSTAP_HAS_MESSAGE = 1u << 3,      /* without it, nothing below is there */
    DNSTAP_HAS_TYPE = 1u << 4,         /* always, after a scan that succeeded */
    DNSTAP_HAS_MESSAGE_TYPE = 1u << 5, /* always where there is a message */
    DNSTAP_HAS_SOCKET_FAMILY = 1u << 6,
    DNSTAP_HAS_SOCKET_PROTOCOL = 1u << 7,
    DNSTAP_HAS_QUERY_ADDRESS = 1u << 8,
    DNSTAP_HAS_RESPONSE_ADDRESS = 1u << 9,
    DNSTAP_HAS_QUERY_PORT = 1u << 10,
    DNSTAP_HAS_RESPONSE_PORT = 1u << 11,
    DNSTAP_HAS_QUERY_TIME_SEC = 1u << 12,
    DNSTAP_HAS_QUERY_TIME_NSEC = 1u << 13,
    DNSTAP_HAS_QUERY_MESSAGE = 1u << 14,
    DNSTAP_HAS_QUERY_ZONE = 1u << 15,
    DNSTAP_HAS_RESPONSE_TIME_SEC = 1u << 16,
    DNSTAP_HAS_RESPONSE_TIME_NSEC = 1u << 17,
    DNSTAP_HAS_RESPONSE_MESSAGE = 1u << 18,
    DNSTAP_HAS_POLICY = 1u << 19,
    DNSTAP_HAS_HTTP_PROTOCOL = 1u << 20,
    DNSTAP_HAS_POLICY_TYPE = 1u << 21,
    DNSTAP_HAS_POLICY_RULE = 1u << 22,
    DNSTAP_HAS_POLICY_ACTION = 1u << 23,
    DNSTAP_HAS_POLICY_MATCH = 1u << 24,
    DNSTAP_HAS_POLICY_VALUE = 1u << 25,
    DNSTAP_HAS_EVENT = 1u << 26,
    DNSTAP_HAS_REPEATS = 1u << 27,
    DNSTAP_HAS_REJECTED = 1u << 28,
};

/* Fields that are absent are zero; an empty field and an absent one differ in `has` alone. */
struct dnstap_view {
    uint32_t has; /* of enum dnstap_field */
    int32_t type; /* of the Dnstap */
    struct octets identity;
    struct octets version;
    struct octets extra;
    struct octets event; /* encoded, the last one; not looked into: event.h */
    uint64_t repeats;    /* more messages like this one, which it stands for */
    struct octets rejected; /* text: why a policy sent it elsewhere */

    int32_t message_type; /* enum dnstap_message_type, or a number that it does not name */
    int32_t socket_family;
    int32_t socket_protocol;
    int32_t http_protocol;
    struct octets query_address; /* 4 or 16 octets, if the sender keeps to the schema; address.h */
    struct octets response_address;
    uint32_t query_port;
    uint32_t response_port;
    uint64_t query_time_sec;
    uint64_t response_time_sec;
    uint32_t query_time_nsec;
    uint32_t response_time_nsec;
    struct octets query_message; /* wire-format DNS; not looked into */
    struct octets response_message;
    struct octets query_zone; /* wire-format name; not looked into */

    struct octets policy_type; /* text, by the schema UTF-8; not looked into */
    struct octets policy_rule;
    struct octets policy_value;
    int32_t policy_action;
    int32_t policy_match;
};

/* Takes `message` apart. False where it is malformed; then `view` holds nothing to rely on. */
bool dnstap_scan(struct frame message, struct dnstap_view *view);

static inline bool dnstap_has(const struct dnstap_view *view, enum dnstap_field field)
{
    return (view->has & (uint32_t)field) != 0;
}

#endif
