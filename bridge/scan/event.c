#include "event.h"

#include "protobuf.h"

enum {
    TAG_TYPE = 15 * 8 + PROTOBUF_VARINT, /* Dnstap.type */
    TYPE_EVENT = 1000,                   /* Dnstap.Type.EVENT */
};

bool frame_is_event(struct frame frame)
{
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
