/* Files of certificates and keys, for libraries that take their text. Any thread. */
#ifndef ADAPTERS_PEM_H
#define ADAPTERS_PEM_H

#include "error.h"

/* The whole file as text; the caller gives it back by pem_free. NULL with the error, which names the option. */
char *pem_read(const char *option, const char *path, struct error *error);

/* Wipes it, for it may be a key. */
void pem_free(char *text);

#endif
