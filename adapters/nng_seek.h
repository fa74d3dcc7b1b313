/* The thread of an nng end (nng_end.h), and what it asks of it. */
#ifndef ADAPTERS_NNG_SEEK_H
#define ADAPTERS_NNG_SEEK_H

#include "nng_end.h"

enum { NNG_URL_ROOM = HOST_ROOM + 32 };

/* False with the error. */
bool nng_seek_start(struct nng_end *end, struct error *error);

/* Makes and starts the dialer; an nng error number. Ends it, if there is one. */
int nng_dial_at(struct nng_end *end, const char *url);
void nng_dial_no_more(struct nng_end *end);

/* The URL of one address of the end's name. */
void nng_url_of(const struct nng_end *end, const struct address *address, char out[NNG_URL_ROOM]);

#endif
