/* What all requests of a sink have in common: the URL, headers, credentials, certificates, limits.
 * Owned by the sink; read by its thread. */
#ifndef ADAPTERS_HTTP_CLIENT_H
#define ADAPTERS_HTTP_CLIENT_H

#include <curl/curl.h>

#include "adapter.h"
#include "http_body.h"
#include "http_tls.h"

enum { HTTP_SECRETS_MAX = 32 };

struct http_client {
    const struct options *options;
    struct http_tls tls;
    char *url; /* without a user's name or password */
    struct curl_slist *headers;
    char *user; /* NULL: no basic authentication */
    char *password;
    char *secrets[HTTP_SECRETS_MAX]; /* to be kept out of whatever is printed */
    unsigned secret_count;
};

/* Reads what the options name: files must be there. False with the error. Free in either case. */
bool http_client_init(struct http_client *client, const struct place *place,
                      const struct body_kind *kind, struct error *error);
void http_client_free(struct http_client *client);

/* A handle for requests, all set but for certificates (http_tls_apply) and what they carry. NULL: out of memory. The caller cleans it
 * up. */
CURL *http_client_handle(const struct http_client *client);

/* Copies the start of what a server said, in one printable line, without our secrets. */
void http_client_excerpt(const struct http_client *client, const void *text, size_t len, char *out,
                         size_t room);

#endif
