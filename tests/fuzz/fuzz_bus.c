/* Any octets as a message on the bus: its head, its envelope, its frames. */
#include "bus.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct envelope envelope;
    struct bus_message message;
    struct error error;
    uint32_t count;
    if (!bus_read(data, size, &message, &error))
        return 0;
    must(strlen(message.channel) < BUS_CHANNEL_MAX);
    must(message.frames + message.frames_len == data + size);
    envelope_read(&envelope, message.envelope, message.envelope_len);
    bus_check_frames(&message, 1 << 20, &count, &error);
    return 0;
}
