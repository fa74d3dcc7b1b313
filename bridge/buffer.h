/* Octets that grow: what encoders write into. Owned by one thread at a time; reused from message to
 * message, so that after the first few nothing is allocated. When memory runs out the buffer is
 * marked `failed` and takes no more; the writer need not check each call, the owner checks once. */
#ifndef BRIDGE_BUFFER_H
#define BRIDGE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct buffer {
    uint8_t *data;
    size_t len;
    size_t cap;
    bool failed;
};

/* Makes room for `more` octets behind `len`; the first of them, or NULL (then `failed` is set). */
uint8_t *buffer_reserve(struct buffer *b, size_t more);

/* Frees the memory; the buffer is empty and may be used again. */
void buffer_free(struct buffer *b);

static inline void buffer_clear(struct buffer *b)
{
    b->len = 0;
    b->failed = false;
}

/* The same, quicker where there is room already. Who has written to it says so with buffer_grow_to. */
static inline uint8_t *buffer_room(struct buffer *b, size_t more)
{
    return b->cap - b->len < more ? buffer_reserve(b, more) : b->data + b->len;
}

/* What was written in the room ends before `end`. */
static inline void buffer_grow_to(struct buffer *b, const uint8_t *end)
{
    b->len = (size_t)(end - b->data);
}

static inline void buffer_put(struct buffer *b, const void *data, size_t len)
{
    if (b->cap - b->len < len && !buffer_reserve(b, len))
        return;
    if (len > 0)
        memcpy(b->data + b->len, data, len);
    b->len += len;
}

static inline void buffer_put_char(struct buffer *b, char c)
{
    buffer_put(b, &c, 1);
}

static inline void buffer_put_string(struct buffer *b, const char *s)
{
    buffer_put(b, s, strlen(s));
}

/* Appends formatted text. */
void buffer_printf(struct buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
