/* What a dnstap message is as a payload of NMSG: base:dnstap, the message as it is; base:dnsqr, the
 * query and response as IP packets; base:dnsobs, a passive observation of a response. docs/nmsg.md
 * says what is filtered. */
#ifndef BRIDGE_NMSG_PAYLOAD_H
#define BRIDGE_NMSG_PAYLOAD_H

#include "../encode/encoder.h"
#include "../scan/dnstap.h"
#include "container.h"

struct nmsg_maker {
    enum encode_result (*make)(const struct dnstap_view *view, struct buffer *out);
    uint32_t type;
    uint32_t source, operator, group;
    struct buffer made;
};

/* The options that name a payload: type, source-id, operator, group; without the table's end. */
#define NMSG_PAYLOAD_OPTIONS                                      \
    {.name = "type",                                              \
     .type = OPTION_CHOICE,                                       \
     .fallback = "dnstap",                                        \
     .choices = "dnstap|dnsqr|dnsobs",                            \
     .meaning = "what a message is made into"},                   \
        {.name = "source-id",                                     \
         .type = OPTION_COUNT,                                    \
         .max = UINT32_MAX,                                       \
         .meaning = "the payloads' source number"},               \
        {.name = "operator",                                      \
         .type = OPTION_COUNT,                                    \
         .max = UINT32_MAX,                                       \
         .meaning = "the payloads' operator number"},             \
    {                                                             \
        .name = "group", .type = OPTION_COUNT, .max = UINT32_MAX, \
        .meaning = "the payloads' group number"                   \
    }

void nmsg_maker_init(struct nmsg_maker *maker, const struct options *options);
void nmsg_maker_free(struct nmsg_maker *maker);

/* The payload of one message; its octets are borrowed from the message or from the maker, until the
 * next. */
enum encode_result nmsg_make(struct nmsg_maker *maker, struct frame message,
                             struct nmsg_payload *payload);

/* Appends a base:dnsqr or base:dnsobs message. */
enum encode_result dnsqr_make(const struct dnstap_view *view, struct buffer *out);
enum encode_result dnsobs_make(const struct dnstap_view *view, struct buffer *out);

#endif
