/* A strict reading of JSON for tests: is it one value, and is all of it UTF-8? */
#ifndef TESTS_JSON_READER_H
#define TESTS_JSON_READER_H

#include <stdbool.h>
#include <stddef.h>

#include "buffer.h"

/* The whole buffer is one JSON value as RFC 8259 has it. */
bool json_is_valid(const struct buffer *json);

#endif
