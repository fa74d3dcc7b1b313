/* Files of certificates and keys, and the options that name them alike wherever TLS is spoken. Any thread. */
#ifndef ADAPTERS_PEM_H
#define ADAPTERS_PEM_H

#include "options.h"

/* Our own certificate. `of` says which schemes they are of: "tls: ", or "". End no table. */
#define CERTIFICATE_OPTIONS(of)                                                                        \
    {.name = "cert", .type = OPTION_STRING, .meaning = of "our certificate, in PEM"},                  \
    {.name = "key", .type = OPTION_STRING, .meaning = of "its key, in PEM"},                           \
    {.name = "key-password", .type = OPTION_STRING, .secret = true,                                    \
     .meaning = of "and the key's password: file:PATH, env:NAME, or itself"}

/* And what a listener's certificate must bear. */
#define SERVER_NAME_OPTION(of)                                                                         \
    {.name = "server-name", .type = OPTION_STRING,                                                     \
     .meaning = of "where we dial: the name that the listener's certificate must bear (default: HOST)"}

/* Do they fit together? False with the error. */
bool pem_options_fit(const struct options *options, struct error *error);

/* What key-password= says, read now; the caller frees it by secret_free. NULL where it is not given. False with the
 * error. */
bool pem_password(const struct options *options, char **password, struct error *error);

/* The whole file as text; the caller gives it back by pem_free. NULL with the error, which names the option. */
char *pem_read(const char *option, const char *path, struct error *error);

/* Wipes it, for it may be a key. */
void pem_free(char *text);

#endif
