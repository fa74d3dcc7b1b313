/* A secret as an option names it: file:PATH (its first line), env:NAME, or the secret itself. What
 * is read is kept in memory of its own and wiped before that is given back. Any thread. */
#ifndef BRIDGE_SECRET_H
#define BRIDGE_SECRET_H

#include <stddef.h>

#include "error.h"

/* What may be shown of an option that holds a secret: where it is read from, or "***". Borrowed. */
const char *secret_shown(const char *text);

/* Reads it: the caller owns the result, and frees it by secret_free. NULL with the error, which
 * never holds the secret. An empty secret, or one with a control character, is an error. */
char *secret_read(const char *text, struct error *error);
void secret_free(char *secret);

/* Keeps the pages that `len` octets from `at` stand on out of core dumps, for as long as they are mapped: for keys, and what
 * they are made of. What else stands there is not dumped either, which harms nobody. */
void secret_hide(const void *at, size_t len);

#endif
