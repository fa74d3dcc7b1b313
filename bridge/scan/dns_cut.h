/* Taking RDATA and EDNS options that dns_check.h found sound apart, field by field: a reader over
 * the record's part of the message. Views are borrowed. Any thread; no allocation. */
#ifndef BRIDGE_SCAN_DNS_CUT_H
#define BRIDGE_SCAN_DNS_CUT_H

#include "../reader.h"
#include "dns.h"

/* A reader over the RDATA of a record that a walk yielded. */
static inline struct reader dns_rdata_reader(struct octets message, const struct dns_record *record)
{
    return reader_over(message.data + record->rdata, record->rdata_len);
}

static inline struct octets reader_octets(struct reader *r, size_t len)
{
    const uint8_t *data = reader_take(r, len);
    return (struct octets){.data = data, .len = data ? (uint32_t)len : 0};
}

/* The rest. */
static inline struct octets reader_rest(struct reader *r)
{
    return reader_octets(r, reader_left(r));
}

/* One `code, length, value`, of EDNS options and service parameters. False at the end. */
static inline bool dns_coded_next(struct reader *r, uint16_t *code, struct octets *value)
{
    if (reader_left(r) == 0)
        return false;
    *code = reader_be16(r);
    *value = reader_octets(r, reader_be16(r));
    return !r->bad;
}

/* The name at the reader, which moves behind it. Broken: an empty view (message NULL), and r->bad.
 */
static inline struct dns_name dns_name_take(struct octets message, struct reader *r)
{
    uint32_t at = (uint32_t)(r->at - message.data);
    uint32_t limit = (uint32_t)(r->end - message.data);
    struct dns_name name = {message.data, at, limit};
    if (r->bad || !dns_name_pass(message.data, limit, &at)) {
        r->bad = true;
        return (struct dns_name){0};
    }
    r->at = message.data + at;
    return name;
}

#endif
