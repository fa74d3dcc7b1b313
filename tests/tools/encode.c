/* encode FORMAT[,OPTIONS] FILE: the messages of a Frame Streams file on standard output, in one of the
 * formats. How many were malformed, and the processor time that the encoding took, go to standard
 * error. */
#include <stdio.h>
#include <time.h>

#include "encode/encoder.h"
#include "capture.h"

enum { FLUSH = 1 << 16 };

static void flush(struct buffer *out)
{
    fwrite(out->data, 1, out->len, stdout);
    buffer_clear(out);
}

static void encode(const struct encoder_ops *ops, struct encoder *encoder, struct buffer *stream)
{
    struct reader r = reader_over(stream->data, stream->len);
    struct buffer out = {0};
    struct frame frame;
    unsigned long messages = 0, filtered = 0, malformed = 0;
    clock_t begin = clock();

    while (capture_next(&r, &frame)) {
        messages++;
        enum encode_result result = ops->message(encoder, frame, &out);
        filtered += result == ENCODE_FILTERED;
        malformed += result == ENCODE_MALFORMED || result == ENCODE_FAILED;
        if (out.len >= FLUSH)
            flush(&out);
    }
    flush(&out);
    fprintf(stderr, "messages=%lu filtered=%lu malformed=%lu seconds=%.6f\n", messages, filtered, malformed,
            (double)(clock() - begin) / CLOCKS_PER_SEC);
    buffer_free(&out);
}

int main(int argc, char **argv)
{
    char *format = argc == 3 ? argv[1] : argv[0];
    char *text = strchr(format, ',');
    if (text)
        *text++ = '\0';
    const struct encoder_ops *ops = encoder_find(format);
    const struct option_spec *const tables[OPTION_TABLES] = {ops ? ops->options : NULL};
    struct options options;
    struct error error = {{0}};
    if (!options_parse(&options, tables, text, &error)) {
        fprintf(stderr, "%s\n", error.text);
        return 2;
    }
    if (!ops) {
        fprintf(stderr, "usage: encode FORMAT[,OPTIONS] FILE\n");
        return 2;
    }
    struct buffer stream = {0};
    struct encoder *encoder = ops->new(&options, &error);
    bool loaded = encoder && capture_load(argv[2], &stream);
    if (loaded)
        encode(ops, encoder, &stream);
    if (encoder)
        ops->free(encoder);
    buffer_free(&stream);
    options_free(&options);
    return loaded ? 0 : 1;
}
