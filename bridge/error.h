/* Why something could not be done, in a sentence for the person who asked for it: what failed, on
 * what, and what to do. Filled in once, by the first failure; a plain value, no ownership. */
#ifndef BRIDGE_ERROR_H
#define BRIDGE_ERROR_H

#include <stdbool.h>

struct error {
    char text[512];
};

/* Writes the sentence; always returns false, so that a failing function can end with it. */
bool error_set(struct error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Adds to what is there already, behind a semicolon; as much as there is room for. Returns false. */
bool error_add(struct error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts a prefix ("SINK: ") before the sentence; returns false. */
bool error_prefix(struct error *error, const char *prefix);

#endif
