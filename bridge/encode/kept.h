/* Text that comes again and again, kept by what it was made of, in tables of KEPT_SLOTS with one place for
 * each. It is copied whole, for a copy of known size is quicker than one of the right size. Zeroed is ready.
 * One thread's. */
#ifndef BRIDGE_ENCODE_KEPT_H
#define BRIDGE_ENCODE_KEPT_H

#include "../buffer.h"

enum { KEPT_MAX = 80, KEPT_SLOTS = 32 };

struct kept {
    uint32_t key;
    uint8_t len; /* of `text`; 0: nothing is kept */
    uint8_t text[KEPT_MAX];
};

/* Where the text of a class and a type is kept, and under which key. */
static inline struct kept *kept_of(struct kept *table, uint16_t class, uint16_t type, uint32_t *key)
{
    *key = (uint32_t)class << 16 | type;
    return &table[(type ^ (uint32_t)class << 2) % KEPT_SLOTS];
}

/* Appends what is kept under the key. False: something else is, or nothing. */
static inline bool kept_put(const struct kept *kept, uint32_t key, struct buffer *out)
{
    if (kept->len == 0 || kept->key != key)
        return false;
    uint8_t *to = buffer_room(out, sizeof kept->text);
    if (!to)
        return true;
    memcpy(to, kept->text, sizeof kept->text);
    out->len += kept->len;
    return true;
}

/* Keeps what was appended since `from`, if it fits. */
static inline void kept_keep(struct kept *kept, uint32_t key, const struct buffer *out, size_t from)
{
    size_t len = out->len - from;
    kept->len = 0;
    if (out->failed || len > sizeof kept->text)
        return;
    memcpy(kept->text, out->data + from, len);
    kept->key = key;
    kept->len = (uint8_t)len;
}

#endif
