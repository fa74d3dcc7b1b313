#include "protobuf.h"

uint64_t protobuf_long_varint(struct reader *r)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        uint8_t octet = reader_u8(r);
        if (shift == 63 && octet > 1)
            break;
        value |= (uint64_t)(octet & 0x7f) << shift;
        if (octet < 0x80)
            return r->bad ? 0 : value;
    }
    r->bad = true;
    return 0;
}

static void skip_octets(struct reader *r)
{
    uint64_t len = protobuf_varint(r);
    if (len > reader_left(r))
        r->bad = true;
    else
        reader_take(r, (size_t)len);
}

/* Steps over a value that is no group. */
static void skip_plain(struct reader *r, uint32_t wire)
{
    switch (wire) {
    case PROTOBUF_VARINT:
        protobuf_varint(r);
        break;
    case PROTOBUF_FIXED64:
        reader_take(r, 8);
        break;
    case PROTOBUF_OCTETS:
        skip_octets(r);
        break;
    case PROTOBUF_FIXED32:
        reader_take(r, 4);
        break;
    default:
        r->bad = true; /* the end of a group that never began, or a wire type that does not exist */
    }
}

/* Steps over a group, which ends with a tag of its own number; groups may hold groups. */
static void skip_group(struct reader *r, uint32_t number)
{
    uint32_t open[PROTOBUF_GROUP_DEPTH] = {number};
    size_t depth = 1;
    while (depth > 0 && !r->bad) {
        uint32_t tag = protobuf_tag(r);
        if ((tag & 7) == PROTOBUF_GROUP) {
            if (depth == PROTOBUF_GROUP_DEPTH)
                r->bad = true;
            else
                open[depth++] = tag >> 3;
        } else if ((tag & 7) == PROTOBUF_GROUP_END) {
            if (open[--depth] != tag >> 3)
                r->bad = true;
        } else {
            skip_plain(r, tag & 7);
        }
    }
}

void protobuf_skip(struct reader *r, uint32_t tag)
{
    if ((tag & 7) == PROTOBUF_GROUP)
        skip_group(r, tag >> 3);
    else
        skip_plain(r, tag & 7);
}
