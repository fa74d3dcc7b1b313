#include "dns_reason.h"

#include "../reader.h"
#include "dns_check.h"
#include "dns_type.h"

static const char short_16[] = "overflow unpacking uint16";
static const char short_32[] = "overflow unpacking uint32";
static const char short_text[] = "overflow unpacking txt";
static const char torn[] = "buffer size too small";
static const char bad_length[] = "bad rdlength";

/* What the labels of a name run into. NULL where the name is sound, and `*at` behind it. */
static const char *name_reason(const uint8_t *message, uint32_t limit, uint32_t *at)
{
    struct dns_name name = {message, *at, limit};
    struct dns_labels labels = dns_labels_of(name);
    struct octets label;

    while (dns_labels_next(&labels, &label))
        ;
    if (labels.done) {
        *at = labels.after;
        return NULL;
    }
    if (labels.pointers > DNS_POINTERS_MAX)
        return "too many compression pointers";
    if (labels.octets >= DNS_NAME_WIRE_MAX)
        return "domain name exceeded 255 wire-format octets";
    if (labels.at < limit && (message[labels.at] & 0xc0) % 0xc0 != 0)
        return "bad rdata"; /* a reserved kind of label */
    return torn;
}

const char *dns_name_reason(struct octets wire)
{
    uint32_t at = 0;
    return name_reason(wire.data, wire.len, &at);
}

static const char *field_reason(char field)
{
    static const char *const reasons[128] = {
        ['1'] = "overflow unpacking uint8",
        ['2'] = short_16,
        ['4'] = short_32,
        ['6'] = "overflow unpacking uint64 as uint48",
        ['8'] = "overflow unpacking uint64",
        ['a'] = "overflow unpacking a",
        ['q'] = "overflow unpacking aaaa",
        ['s'] = short_text,
        ['S'] = short_text,
    };
    const char *reason = reasons[(unsigned char)field & 127];
    return reason ? reason : "bad field in rdata";
}

/* Whether the field at `*at` is whole; moves behind it. Of those made of parts only that they are
 * there. */
static bool pass_field(struct octets message, char field, uint32_t *at, uint32_t end)
{
    static const uint8_t widths[128] = {
        ['1'] = 1, ['2'] = 2, ['4'] = 4, ['6'] = 6, ['8'] = 8, ['a'] = 4, ['q'] = 16};
    uint32_t width = widths[(unsigned char)field & 127];

    if (width == 0 && (field == 's' || field == 'S'))
        width = message.data[*at] + 1u;
    if (width == 0 || end - *at < width)
        return false;
    *at += width;
    return true;
}

static const char *rdata_reason(struct octets message, const struct dns_record *record)
{
    const char *shape = dns_type_find(record->type)->shape;
    uint32_t at = record->rdata;
    uint32_t end = at + record->rdata_len;

    for (const char *field = shape; field && *field && at < end;) {
        if (*field == 'n' || *field == 'N') {
            const char *reason = name_reason(message.data, end, &at);
            if (reason)
                return reason;
        } else if (!pass_field(message, *field, &at, end)) {
            return field_reason(*field);
        }
        if (*field != 'S' && *field != 'N')
            field++;
    }
    return bad_length;
}

/* The record at which a walk stopped. */
static const char *header_reason(struct octets message, uint32_t at)
{
    const char *reason = name_reason(message.data, message.len, &at);
    if (reason)
        return reason;
    uint32_t left = message.len - at;
    if (left < 4)
        return short_16;
    if (left < 8)
        return short_32;
    return left < 10 ? short_16 : "overflowing header size";
}

const char *dns_reason(struct octets message)
{
    struct dns_walk walk;
    struct dns_question question;
    struct dns_record record;

    if (!dns_walk_begin(&walk, message))
        return short_16;
    uint32_t at = walk.at;
    while (dns_walk_question(&walk, &question))
        at = walk.at;
    if (walk.bad) {
        const char *reason = name_reason(message.data, message.len, &at);
        return reason ? reason : short_16;
    }
    for (; dns_walk_record(&walk, &record); at = walk.at) {
        if (!dns_rdata_ok(message, &record))
            return rdata_reason(message, &record);
    }
    return header_reason(message, at);
}
