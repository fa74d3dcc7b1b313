#include "bus.h"

#include <string.h>

#include "frame.h"

void bus_write_head(const char *channel, const struct envelope *envelope, struct buffer *out)
{
    buffer_put_string(out, BUS_TOPIC_PREFIX);
    buffer_put(out, channel, strlen(channel) + 1);
    size_t length_at = out->len;
    uint8_t length[4] = {0};
    buffer_put(out, length, sizeof length);
    envelope_write(envelope, out);
    if (!out->failed)
        store_be32(out->data + length_at, (uint32_t)(out->len - length_at - sizeof length));
}

bool bus_read(const uint8_t *data, size_t len, struct bus_message *message, struct error *error)
{
    size_t prefix = strlen(BUS_TOPIC_PREFIX);
    size_t topic_room = len < prefix + BUS_CHANNEL_MAX ? len : prefix + BUS_CHANNEL_MAX;
    const uint8_t *nul = topic_room ? memchr(data, '\0', topic_room) : NULL;
    if (!nul || len < prefix || memcmp(data, BUS_TOPIC_PREFIX, prefix) != 0)
        return error_set(error, "no bus message: it does not begin with a topic \"%s...\"",
                         BUS_TOPIC_PREFIX);
    size_t topic_len = (size_t)(nul - data) + 1;
    struct reader r = reader_over(data + topic_len, len - topic_len);
    message->channel = (const char *)data + prefix;
    message->envelope_len = reader_be32(&r);
    message->envelope = reader_take(&r, message->envelope_len);
    if (r.bad)
        return error_set(error, "no bus message: its envelope is cut short");
    message->frames = r.at;
    message->frames_len = (uint32_t)reader_left(&r);
    return true;
}

bool bus_check_frames(const struct bus_message *message, uint32_t frame_max, uint32_t *count,
                      struct error *error)
{
    struct reader r = reader_over(message->frames, message->frames_len);
    struct frame frame;
    uint32_t n = 0;
    while (frame_next(&r, &frame)) {
        if (frame.len > frame_max)
            return error_set(error, "frame of %u octets is longer than max-frame=%u", frame.len,
                             frame_max);
        n++;
    }
    *count = n;
    return !r.bad || error_set(error, "its data frames are torn after %u messages", n);
}
