/* The bus format, as docs/bus-format.md describes it octet by octet. One message on the bus is
 *
 *     topic NUL | envelope length (4 octets, big endian) | envelope | data frames
 *
 * where the topic is "dnstap/" and a channel's name. Any thread. */
#ifndef BRIDGE_BUS_H
#define BRIDGE_BUS_H

#include "envelope.h"
#include "error.h"

#define BUS_TOPIC_PREFIX "dnstap/"
#define BUS_CHANNEL_ANY  "*"

enum { BUS_CHANNEL_MAX = 64 };

/* A bus message taken apart; all views are borrowed from its octets. */
struct bus_message {
    const char *channel; /* ends with NUL */
    const uint8_t *envelope;
    uint32_t envelope_len;
    const uint8_t *frames;
    uint32_t frames_len;
};

/* Appends all that stands before the data frames. A failure marks the buffer. */
void bus_write_head(const char *channel, const struct envelope *envelope, struct buffer *out);

/* False, with the reason, where the octets are no bus message. The frames are not looked at. */
bool bus_read(const uint8_t *data, size_t len, struct bus_message *message, struct error *error);

/* Counts the frames; false, with the reason, where the run is torn or one is longer than `frame_max`. */
bool bus_check_frames(const struct bus_message *message, uint32_t frame_max, uint32_t *count,
                      struct error *error);

#endif
