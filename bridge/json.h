/* The little JSON that the ledger needs: fields appended to a buffer, commas put where they belong.
 * Text becomes valid JSON whatever octets it holds: what is not UTF-8 is replaced by U+FFFD. */
#ifndef BRIDGE_JSON_H
#define BRIDGE_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "buffer.h"

/* Each takes the field's name, or NULL inside an array. */
void json_open(struct buffer *out, const char *name, char bracket); /* '{' or '[' */
void json_close(struct buffer *out, char bracket);                  /* '}' or ']' */
void json_member(struct buffer *out, const char *name); /* the value is what is opened next, without a name */
void json_text(struct buffer *out, const char *name, const char *text);
void json_number(struct buffer *out, const char *name, uint64_t number);
void json_bool(struct buffer *out, const char *name, bool value);

#endif
