/* The flat shape of format=json: docs/json.md. Its parts, each appending fields that begin with a
 * comma. Any thread; no allocation but the buffer's growth. */
#ifndef BRIDGE_ENCODE_FLAT_H
#define BRIDGE_ENCODE_FLAT_H

#include "../scan/dns.h"
#include "../scan/dnstap.h"
#include "../scan/event.h"
#include "kept.h"
#include "moment.h"

/* A key or any other text that is constant. */
#define FLAT_PUT(out, text) buffer_put((out), (text), sizeof(text) - 1)

/* How a line begins behind its time: from `type` to `protocol`. One sender has few such beginnings. */
enum { FLAT_HEAD_MAX = 256, FLAT_HEADS = 32 };
struct flat_head {
    int32_t message_type, family, protocol;
    uint32_t has; /* which of the fields it was made of were there */
    uint32_t identity_len, version_len;
    uint32_t len; /* of `text`; 0: nothing is kept */
    uint8_t identity[64], version[64];
    uint8_t text[FLAT_HEAD_MAX];
};

struct flat {
    bool question_only; /* sections=question */
    bool raw;           /* raw=yes */
    struct moment moment;
    struct flat_head heads[FLAT_HEADS];
    struct kept flags[KEPT_SLOTS];     /* opcode and flags */
    struct kept questions[KEPT_SLOTS]; /* class and type of a question */
    struct kept records[KEPT_SLOTS];   /* class and type of a record */
    struct kept rcodes[KEPT_SLOTS];
};

/* Appends `{...}` and a line end. */
void flat_message_put(struct flat *flat, const struct dnstap_view *view, struct buffer *out);
void flat_event_put(struct flat *flat, const struct dnstap_view *view,
                    const struct event_view *event, struct buffer *out);

/* The fields of the Dnstap that both kinds have: identity, version, extra. */
void flat_sender_put(const struct dnstap_view *view, struct buffer *out);

/* The fields of a DNS message as far as it can be read, and parse_error where that is not all of it. */
void flat_dns_put(struct flat *flat, struct octets dns, struct buffer *out);

/* The field `edns` of an OPT record, with its options if they are `sound`. */
void flat_edns_put(struct octets message, const struct dns_record *opt, bool sound, struct buffer *out);

/* Single values, with their quotes. A broken name is empty, and false. */
bool flat_name_put(struct dns_name name, struct buffer *out);
void flat_class_put(uint16_t class, struct buffer *out);
void flat_type_put(uint16_t type, struct buffer *out);
void flat_address_put(struct octets address, struct buffer *out);

/* A value of an enum: its name, or its number as a string. */
void flat_enum_put(const char *name, int64_t number, struct buffer *out);

/* A time behind its opening quote; false, and nothing appended, where RFC 3339 has no way to write it. */
bool flat_time_put(struct flat *flat, uint64_t second, uint32_t nanosecond, struct buffer *out);

/* The same behind a constant key, which ends with the opening quote. */
#define FLAT_TIME(flat, key, second, nanosecond, out) \
    flat_time_ended((FLAT_PUT((out), (key)), flat_time_put((flat), (second), (nanosecond), (out))), \
                    sizeof(key) - 1, (out))

static inline bool flat_time_ended(bool put, size_t key_len, struct buffer *out)
{
    if (!put && !out->failed)
        out->len -= key_len;
    return put;
}

#endif
