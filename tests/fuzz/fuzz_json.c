/* Any octets as a Dnstap through every format. JSON is parsed back by jansson, which also refuses
 * what is no UTF-8 and keys that come twice; each record is one line. */
#include <jansson.h>

#include "encode/encoder.h"
#include "fuzz.h"

static const struct {
    const char *format, *options;
} forms[] = {
    {"json", "raw"}, {"json", "sections=question"}, {"json", "shape=golang"}, {"yaml", ""},
    {"text", ""}, {"cof", "memory=1MiB"},
};
enum { FORMS = sizeof forms / sizeof forms[0] };

static struct encoder *open_form(size_t i, const struct encoder_ops *ops)
{
    static struct options options[FORMS];
    const struct option_spec *const tables[OPTION_TABLES] = {ops->options};
    struct error error;
    must(options_parse(&options[i], tables, forms[i].options, &error));
    struct encoder *encoder = ops->new (&options[i], &error);
    must(encoder != NULL);
    return encoder;
}

static void parse_back(const struct buffer *out)
{
    json_error_t error;
    must(out->data[out->len - 1] == '\n' && !memchr(out->data, '\n', out->len - 1));
    json_t *value = json_loadb((const char *)out->data, out->len,
                               JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    /* jansson's integers end at 2^63, those of events at 2^64 */
    must(json_is_object(value) || strstr(error.text, "too big") != NULL);
    json_decref(value);
}

/* What an encoder gathered comes out, and it is empty again. */
static void give_out(const struct encoder_ops *ops, struct encoder *encoder, struct buffer *out)
{
    unsigned records = 0;
    must(ops->due(encoder) >= 0);
    for (buffer_clear(out); ops->next(encoder, out); buffer_clear(out), records++)
        parse_back(out);
    must(records > 0 && ops->due(encoder) < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct encoder *encoders[FORMS];
    static struct buffer out;

    for (size_t i = 0; i < FORMS; i++) {
        const struct encoder_ops *ops = encoder_find(forms[i].format);
        if (!encoders[i])
            encoders[i] = open_form(i, ops);
        buffer_clear(&out);
        enum encode_result result =
            ops->message(encoders[i], (struct frame){data, (uint32_t)size}, &out);
        must((result == ENCODE_OK) == (out.len > 0));
        if (result == ENCODE_OK && ops == &json_encoder)
            parse_back(&out);
        if (result == ENCODE_HELD)
            give_out(ops, encoders[i], &out);
    }
    return 0;
}
