/* format=json: one object per line, in one of two shapes. */
#include <stdlib.h>

#include "encoder.h"
#include "flat.h"
#include "golang.h"

struct encoder {
    bool golang_shape;
    struct flat flat;
    struct golang golang;
};

static const struct option_spec json_options[] = {
    {.name = "shape",
     .type = OPTION_CHOICE,
     .fallback = "flat",
     .choices = "flat|golang",
     .meaning = "flat for pipelines, or what `dnstap -j` prints"},
    {.name = "sections",
     .type = OPTION_CHOICE,
     .fallback = "all",
     .choices = "all|question",
     .meaning = "flat: the records too, or the question alone"},
    {.name = "raw",
     .type = OPTION_FLAG,
     .meaning = "flat: add the DNS messages in wire form, base64"},
    {0},
};

static struct encoder *json_new(const struct options *options, struct error *error)
{
    struct encoder *encoder = calloc(1, sizeof *encoder);
    if (!encoder) {
        error_set(error, "out of memory for the encoder");
        return NULL;
    }
    if (!options)
        return encoder;
    encoder->golang_shape = options_is(options, "shape", "golang");
    encoder->flat.question_only = options_is(options, "sections", "question");
    encoder->flat.raw = options_flag(options, "raw");
    if (!encoder->golang_shape || (!encoder->flat.question_only && !encoder->flat.raw))
        return encoder;
    error_set(error, "sections=question and raw are for shape=flat; shape=golang has neither");
    free(encoder);
    return NULL;
}

static void json_free(struct encoder *encoder)
{
    golang_free(&encoder->golang);
    free(encoder);
}

static enum encode_result put_golang(struct encoder *encoder, struct frame message,
                                     struct buffer *out)
{
    struct dnstap_view view;
    enum encode_result result = golang_scan(message, true, &view);
    if (result == ENCODE_OK)
        golang_json_put(&encoder->golang, &view, out);
    return result;
}

static enum encode_result put_flat(struct encoder *encoder, struct frame message,
                                   struct buffer *out)
{
    struct dnstap_view view;
    struct event_view event;

    if (!dnstap_scan(message, &view))
        return ENCODE_MALFORMED;
    if (view.type == DNSTAP_TYPE_MESSAGE && dnstap_has(&view, DNSTAP_HAS_MESSAGE)) {
        flat_message_put(&encoder->flat, &view, out);
        return ENCODE_OK;
    }
    if (view.type != DNSTAP_TYPE_EVENT || !dnstap_has(&view, DNSTAP_HAS_EVENT) ||
        !event_scan(view.event, &event))
        return ENCODE_MALFORMED;
    flat_event_put(&encoder->flat, &view, &event, out);
    return ENCODE_OK;
}

static enum encode_result json_message(struct encoder *encoder, struct frame message,
                                       struct buffer *out)
{
    size_t before = out->len;
    enum encode_result result =
        encoder->golang_shape ? put_golang(encoder, message, out) : put_flat(encoder, message, out);
    if (!out->failed)
        return result;
    out->len = before;
    return ENCODE_FAILED;
}

const struct encoder_ops json_encoder = {
    .name = "json",
    .summary = "one object per line, flat or as `dnstap -j` prints it; docs/json.md",
    .options = json_options,
    .new = json_new,
    .message = json_message,
    .free = json_free,
};
