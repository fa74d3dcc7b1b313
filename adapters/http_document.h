/* What Elasticsearch wants to know of a JSON document: its time, and the index that it goes to. */
#ifndef ADAPTERS_HTTP_DOCUMENT_H
#define ADAPTERS_HTTP_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buffer.h"
#include "error.h"

enum { DOCUMENT_TIME_MAX = 40, DOCUMENT_INDEX_MAX = 128 };

struct document_time {
    char text[DOCUMENT_TIME_MAX]; /* RFC 3339; "": the document has none */
    int64_t second;               /* since 1970 */
};

/* The time that stands in a record of format=json, in either shape, or format=cof. */
struct document_time document_time_of(const uint8_t *record, size_t len);

/* Is the text the name of an index, perhaps with %Y, %m, %d, %H and %%? False with the error. */
bool document_check_index(const char *pattern, struct error *error);

/* Appends the name for a second, in UTC; no longer than DOCUMENT_INDEX_MAX. */
void document_put_index(const char *pattern, int64_t second, struct buffer *out);

#endif
