/* The flat shape of format=json: docs/json.md. Its parts, each appending fields that begin with a
 * comma. Any thread; no allocation but the buffer's growth. */
#ifndef BRIDGE_ENCODE_FLAT_H
#define BRIDGE_ENCODE_FLAT_H

#include "../scan/dns.h"
#include "../scan/dnstap.h"
#include "../scan/event.h"
#include "moment.h"

/* A key or any other text that is constant. */
#define FLAT_PUT(out, text) buffer_put((out), (text), sizeof(text) - 1)

/* The last identity and version as they came and as they are written: one sender's never change. */
enum { FLAT_SENDER_MAX = 256 };
struct flat_sender {
    uint8_t identity[64], version[64];
    uint32_t identity_len, version_len;
    uint32_t has; /* of DNSTAP_HAS_IDENTITY and _VERSION */
    uint32_t len; /* of `text`; 0: nothing is kept */
    uint8_t text[FLAT_SENDER_MAX];
};

struct flat {
    bool question_only; /* sections=question */
    bool raw;           /* raw=yes */
    struct moment moment;
    struct flat_sender sender;
};

/* Appends `{...}` and a line end. */
void flat_message_put(struct flat *flat, const struct dnstap_view *view, struct buffer *out);
void flat_event_put(struct flat *flat, const struct dnstap_view *view,
                    const struct event_view *event, struct buffer *out);

/* The fields of the Dnstap that both kinds have: identity, version, extra. */
void flat_sender_put(struct flat *flat, const struct dnstap_view *view, struct buffer *out);

/* The fields of a DNS message, or parse_error. */
void flat_dns_put(const struct flat *flat, struct octets dns, struct buffer *out);

/* The field `edns` of an OPT record. */
void flat_edns_put(struct octets message, const struct dns_record *opt, struct buffer *out);

/* Single values, with their quotes. */
void flat_name_put(struct dns_name name, struct buffer *out);

/* Appends the quote behind a name, whose quotes and backslashes all have a backslash before them. */
void flat_name_seal(struct buffer *out, size_t from);
void flat_class_put(uint16_t class, struct buffer *out);
void flat_type_put(uint16_t type, struct buffer *out);
void flat_address_put(struct octets address, struct buffer *out);

/* A value of an enum: its name, or its number as a string. */
void flat_enum_put(const char *name, int64_t number, struct buffer *out);

/* A time; false, and nothing appended, where RFC 3339 has no way to write it. `key` is appended
 * first. */
bool flat_time_put(struct flat *flat, const char *key, uint64_t second, uint32_t nanosecond,
                   struct buffer *out);

#endif
