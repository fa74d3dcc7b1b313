#include "capture.h"

#include <stdio.h>
#include <zlib.h>

enum { CHUNK = 1 << 16 };

bool capture_load(const char *path, struct buffer *into)
{
    gzFile file = gzopen(path, "rb");
    int got = -1;

    if (file) {
        while (buffer_reserve(into, CHUNK) &&
               (got = gzread(file, into->data + into->len, CHUNK)) > 0)
            into->len += (size_t)got;
        gzclose(file);
    }
    if (got != 0)
        fprintf(stderr, "%s: cannot read\n", path);
    return got == 0;
}

bool capture_next(struct reader *r, struct frame *frame)
{
    while (reader_left(r) > 0 && !r->bad) {
        frame->len = reader_be32(r);
        bool control = frame->len == 0;
        if (control)
            frame->len = reader_be32(r);
        frame->data = reader_take(r, frame->len);
        if (!control && !r->bad)
            return true;
    }
    return false;
}
