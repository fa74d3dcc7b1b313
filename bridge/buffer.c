#include "buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

uint8_t *buffer_reserve(struct buffer *b, size_t more)
{
    if (b->failed)
        return NULL;
    if (b->cap - b->len >= more)
        return b->data + b->len;
    size_t cap = b->cap ? b->cap : 4096;
    while (cap - b->len < more)
        cap *= 2;
    uint8_t *data = realloc(b->data, cap);
    if (!data) {
        b->failed = true;
        return NULL;
    }
    b->data = data;
    b->cap = cap;
    return b->data + b->len;
}

void buffer_free(struct buffer *b)
{
    free(b->data);
    *b = (struct buffer){0};
}

void buffer_printf(struct buffer *b, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    char *at = len < 0 ? NULL : (char *)buffer_reserve(b, (size_t)len + 1);
    if (at) {
        vsnprintf(at, (size_t)len + 1, format, again);
        b->len += (size_t)len;
    }
    va_end(again);
    va_end(args);
}
