/* TLS for the scheme nng+tls: the options ca=, cert=, key= and the like, and what nng makes of them. Main thread. */
#ifndef ADAPTERS_NNG_TLS_H
#define ADAPTERS_NNG_TLS_H

#include <nng/nng.h>

#include <nng/supplemental/tls/tls.h>

#include "adapter.h"
#include "pem.h"

#define NNG_TLS_OPTIONS                                                                                \
    {.name = "ca", .type = OPTION_STRING,                                                              \
     .meaning = "nng+tls: certificates to trust, in PEM; a listener with it takes peers with a certificate alone (no fingerprint=: libnng shows none)"}, \
    CERTIFICATE_OPTIONS("nng+tls: "), SERVER_NAME_OPTION("nng+tls: ")

/* Is the place one of this scheme? */
bool nng_is_tls(const struct place *place);

/* The configuration for one end, read from the files now; the caller gives it back by nng_tls_config_free.
 * NULL with the error. */
nng_tls_config *nng_tls_config_for(const struct place *place, bool listens, struct error *error);

/* Judges the options, for other schemes too: they take none of these. */
bool nng_tls_check(const struct place *place, bool listens, struct error *error);

#endif
