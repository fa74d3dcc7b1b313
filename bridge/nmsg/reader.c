#include "../reader.h"
#include "container.h"
#include "crc32c.h"
#include "../scan/protobuf_put.h"

bool nmsg_datagram_read(struct octets datagram, struct nmsg_datagram *into)
{
    const uint8_t *at = datagram.data;
    if (datagram.len < NMSG_HEADER || memcmp(at, "NMSG", 4) != 0 || at[5] != 2)
        return false;
    into->flags = at[4];
    into->body = (struct octets){at + NMSG_HEADER, datagram.len - NMSG_HEADER};
    return load_be32(at + 6) == into->body.len &&
           into->flags <= (NMSG_FLAG_ZLIB | NMSG_FLAG_FRAGMENT);
}

static uint32_t tag_of(unsigned field, enum protobuf_wire wire)
{
    return field << 3 | (uint32_t)wire;
}

bool nmsg_fragment_read(struct octets body, struct nmsg_fragment *into)
{
    struct reader r = reader_over(body.data, body.len);
    unsigned seen = 0;
    *into = (struct nmsg_fragment){0};
    while (reader_left(&r) > 0 && !r.bad) {
        uint32_t tag = protobuf_tag(&r);
        uint32_t *numbers[] = {NULL, &into->id, &into->current, &into->last, NULL, &into->crc};
        unsigned field = tag >> 3;
        if (tag == tag_of(4, PROTOBUF_OCTETS)) {
            into->piece = protobuf_octets(&r);
        } else if (field < 6 && numbers[field] && (tag & 7) == PROTOBUF_VARINT) {
            *numbers[field] = (uint32_t)protobuf_varint(&r);
        } else {
            protobuf_skip(&r, tag);
            continue;
        }
        seen |= 1u << field;
    }
    into->has_crc = seen >> 5 & 1;
    return !r.bad && (seen & 0x1e) == 0x1e && into->current <= into->last;
}

bool nmsg_unpack(uint8_t flags, struct octets body, struct buffer *scratch, struct octets *nmsg)
{
    if (!(flags & NMSG_FLAG_ZLIB)) {
        *nmsg = body;
        return body.len <= NMSG_CONTAINER_MAX;
    }
    if (body.len < 4)
        return false;
    uint32_t whole = load_be32(body.data);
    buffer_clear(scratch);
    if (whole > NMSG_CONTAINER_MAX || !buffer_reserve(scratch, whole + 1))
        return false;
    uLongf len = whole + 1;
    if (uncompress(scratch->data, &len, body.data + 4, body.len - 4) != Z_OK || len != whole)
        return false;
    *nmsg = (struct octets){scratch->data, whole};
    return true;
}

static bool read_payload(struct octets octets, struct nmsg_payload *p)
{
    struct reader r = reader_over(octets.data, octets.len);
    unsigned seen = 0;
    *p = (struct nmsg_payload){0};
    while (reader_left(&r) > 0 && !r.bad) {
        uint32_t tag = protobuf_tag(&r);
        unsigned field = tag >> 3;
        uint32_t *numbers[] = {NULL, &p->vendor, &p->type, NULL, NULL, NULL, NULL, &p->source,
                               &p->operator, & p->group };
        if (tag == tag_of(3, PROTOBUF_VARINT)) {
            p->second = (int64_t)protobuf_varint(&r);
        } else if (tag == tag_of(4, PROTOBUF_FIXED32)) {
            p->nanosecond = protobuf_fixed32(&r);
        } else if (tag == tag_of(5, PROTOBUF_OCTETS)) {
            p->octets = protobuf_octets(&r);
        } else if (field < 10 && numbers[field] && (tag & 7) == PROTOBUF_VARINT) {
            *numbers[field] = (uint32_t)protobuf_varint(&r);
        } else {
            protobuf_skip(&r, tag);
            continue;
        }
        seen |= 1u << field;
    }
    return !r.bad && (seen & 0x1e) == 0x1e;
}

static bool read_field(struct reader *r, uint32_t tag, struct nmsg_container *c)
{
    struct nmsg_payload payload;
    if (tag == tag_of(1, PROTOBUF_OCTETS)) {
        struct octets octets = protobuf_octets(r);
        c->count++;
        return !r->bad && read_payload(octets, &payload);
    }
    if (tag == tag_of(3, PROTOBUF_VARINT)) {
        c->sequence = (uint32_t)protobuf_varint(r);
        c->has_sequence = true;
    } else if (tag == tag_of(4, PROTOBUF_VARINT)) {
        c->sequence_id = protobuf_varint(r);
    } else {
        protobuf_skip(r, tag);
    }
    return !r->bad;
}

bool nmsg_container_read(struct octets nmsg, struct nmsg_container *into)
{
    struct reader r = reader_over(nmsg.data, nmsg.len);
    *into = (struct nmsg_container){.body = nmsg};
    while (reader_left(&r) > 0) {
        uint32_t tag = protobuf_tag(&r);
        if (r.bad || !read_field(&r, tag, into))
            return false;
    }
    return true;
}

/* The next field of a number, from `*at` on; its tag, 0 at the end. */
static uint32_t find_field(const struct nmsg_container *c, const uint8_t **at, unsigned field,
                           struct reader *r)
{
    const uint8_t *end = c->body.data + c->body.len;
    *r = reader_over(*at, (size_t)(end - *at));
    while (reader_left(r) > 0 && !r->bad) {
        uint32_t tag = protobuf_tag(r);
        if (tag >> 3 == field)
            return tag;
        protobuf_skip(r, tag);
    }
    return 0;
}

/* CRCs stand one field each, or packed into one; false where there are no more. */
static bool next_crc(const struct nmsg_container *c, struct nmsg_cursor *cursor, uint32_t *crc)
{
    while (cursor->packed_at == cursor->packed_end) {
        struct reader r;
        uint32_t tag = find_field(c, &cursor->crc_at, 2, &r);
        if (tag == 0) {
            cursor->crc_at = c->body.data + c->body.len; /* the next search is over at once */
            return false;
        }
        if (tag == tag_of(2, PROTOBUF_OCTETS)) {
            struct octets packed = protobuf_octets(&r);
            cursor->packed_at = packed.data;
            cursor->packed_end = packed.len > 0 ? packed.data + packed.len : packed.data;
        } else if (tag == tag_of(2, PROTOBUF_VARINT)) {
            *crc = (uint32_t)protobuf_varint(&r);
            cursor->crc_at = r.at;
            return !r.bad;
        } else {
            protobuf_skip(&r, tag);
        }
        if (r.bad)
            return false;
        cursor->crc_at = r.at;
    }
    struct reader r =
        reader_over(cursor->packed_at, (size_t)(cursor->packed_end - cursor->packed_at));
    *crc = (uint32_t)protobuf_varint(&r);
    cursor->packed_at = r.bad ? cursor->packed_end : r.at;
    return !r.bad;
}

enum nmsg_next nmsg_payload_next(const struct nmsg_container *c, struct nmsg_cursor *cursor,
                                 struct nmsg_payload *payload)
{
    struct reader r;
    uint32_t tag, crc;
    if (!cursor->payload_at)
        cursor->payload_at = cursor->crc_at = c->body.data;
    while ((tag = find_field(c, &cursor->payload_at, 1, &r)) != 0 &&
           tag != tag_of(1, PROTOBUF_OCTETS)) {
        protobuf_skip(&r, tag);
        cursor->payload_at = r.at;
    }
    if (tag == 0)
        return NMSG_END;
    struct octets octets = protobuf_octets(&r);
    cursor->payload_at = r.at;
    if (r.bad || !read_payload(octets, payload))
        return NMSG_END;
    bool checked = next_crc(c, cursor, &crc);
    return checked && crc != nmsg_crc(payload->octets) ? NMSG_BAD_CRC : NMSG_PAYLOAD;
}
