/* What the two halves of the nng adapter share. */
#ifndef ADAPTERS_NNG_H
#define ADAPTERS_NNG_H

#include <nng/nng.h>

#include "adapter.h"
#include "host_port.h"

extern const struct source_ops nng_source_ops;
extern const struct sink_ops nng_sink_ops;

/* The HOST:PORT of nng+tcp: and nng+tls:. False with the error. */
bool nng_address(const struct place *place, struct host_port *at, struct error *error);

/* Judges the options of either end; `listens` as below. False with the error. */
bool nng_check(const struct place *place, bool listens, struct error *error);

/* What follows the scheme, with or without the slashes of a URL. Borrowed. */
const char *nng_address_text(const struct place *place);

/* Is it HOST:PORT: of nng+tcp: and nng+tls:? */
bool nng_is_by_port(const struct place *place);

/* Does an end listen: as the options say, otherwise as its kind of socket does (`listens`)? */
bool nng_is_listening(const struct options *options, bool listens);

#endif
