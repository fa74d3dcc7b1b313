/* format=nmsg: one container of one payload for each message, header included, as nmsgtool reads
 * from files and from Kafka. */
#include <stdlib.h>

#include "../nmsg/payload.h"
#include "../scan/event.h"
#include "encoder.h"

struct encoder {
    struct nmsg_maker maker;
    struct nmsg_writer *writer;
    bool events; /* are written; other tools take them for broken */
};

static const struct option_spec nmsg_options[] = {
    NMSG_PAYLOAD_OPTIONS,
    {.name = "zlib",
     .type = OPTION_FLAG,
     .meaning = "compress containers that become smaller by it"},
    {0},
};

static void nmsg_free(struct encoder *encoder)
{
    nmsg_maker_free(&encoder->maker);
    nmsg_writer_free(encoder->writer);
    free(encoder);
}

static struct encoder *nmsg_new(const struct options *options, struct error *error)
{
    struct encoder *encoder = calloc(1, sizeof *encoder);
    struct nmsg_writer_config config = {.zlib = options && options_flag(options, "zlib")};
    if (encoder) {
        nmsg_maker_init(&encoder->maker, options);
        encoder->events = options && options_flag(options, "events");
        encoder->writer = nmsg_writer_new(&config);
        if (encoder->writer)
            return encoder;
        nmsg_free(encoder);
    }
    error_set(error, "out of memory for the encoder");
    return NULL;
}

static bool take(void *arg, struct octets datagram, bool last)
{
    (void)last;
    struct buffer *out = arg;
    buffer_put(out, datagram.data, datagram.len);
    return !out->failed;
}

static enum encode_result nmsg_message(struct encoder *encoder, struct frame message,
                                       struct buffer *out)
{
    struct nmsg_payload payload;
    size_t before = out->len;
    if (!encoder->events && frame_is_event(message))
        return ENCODE_FILTERED;
    enum encode_result result = nmsg_make(&encoder->maker, message, &payload);

    if (result != ENCODE_OK)
        return result;
    if (nmsg_writer_put(encoder->writer, &payload) && nmsg_writer_seal(encoder->writer, take, out))
        return ENCODE_OK;
    out->len = before;
    return ENCODE_FAILED;
}

const struct encoder_ops nmsg_encoder = {
    .name = "nmsg",
    .summary = "one NMSG container, header included, per message; docs/nmsg.md",
    .options = nmsg_options,
    .new = nmsg_new,
    .message = nmsg_message,
    .free = nmsg_free,
};
