/* JSON strings of any octets whatever: what is not UTF-8 is replaced by U+FFFD, an octet at a time.
 * For all that write JSON. Any thread. */
#ifndef BRIDGE_JSON_STRING_H
#define BRIDGE_JSON_STRING_H

#include "buffer.h"
#include "scan/octets.h"

enum json_string_manner {
    JSON_STRING_PLAIN,
    JSON_STRING_GO, /* as Go's encoding/json 1.19 writes it: also fit to stand in HTML */
};

/* Appends the string with its quotes. */
void json_string_put(struct octets text, enum json_string_manner manner, struct buffer *out);

/* Appends a quote, having escaped what was appended since `from`, which is ASCII without control
 * characters: for text that was written in place behind the opening quote. */
void json_string_seal(struct buffer *out, size_t from);

/* The length of the UTF-8 sequence that `text` begins with, 0 where there is none; its character.
 */
uint32_t utf8_take(struct octets text, uint32_t *character);

#endif
