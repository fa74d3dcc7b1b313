/* encode FORMAT FILE: the messages of a Frame Streams file on standard output, in one of the
 * formats. How many were malformed, and the processor time that the encoding took, go to standard
 * error. */
#include <stdio.h>
#include <time.h>

#include "encode/encoder.h"
#include "capture.h"

enum { FLUSH = 1 << 16 };

static const struct encoder_ops *const formats[] = {&text_encoder};

static const struct encoder_ops *find_format(const char *name)
{
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        if (strcmp(formats[i]->name, name) == 0)
            return formats[i];
    return NULL;
}

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
    unsigned long messages = 0, malformed = 0;
    clock_t begin = clock();

    while (capture_next(&r, &frame)) {
        messages++;
        if (ops->message(encoder, frame, &out) != ENCODE_OK)
            malformed++;
        if (out.len >= FLUSH)
            flush(&out);
    }
    flush(&out);
    fprintf(stderr, "messages=%lu malformed=%lu seconds=%.6f\n", messages, malformed,
            (double)(clock() - begin) / CLOCKS_PER_SEC);
    buffer_free(&out);
}

int main(int argc, char **argv)
{
    const struct encoder_ops *ops = argc == 3 ? find_format(argv[1]) : NULL;
    if (!ops) {
        fprintf(stderr, "usage: encode FORMAT FILE\n");
        return 2;
    }
    struct buffer stream = {0};
    struct encoder *encoder = ops->new(NULL, NULL);
    bool loaded = encoder && capture_load(argv[2], &stream);
    if (loaded)
        encode(ops, encoder, &stream);
    if (encoder)
        ops->free(encoder);
    buffer_free(&stream);
    return loaded ? 0 : 1;
}
