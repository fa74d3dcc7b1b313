/* The certificates of an HTTP client, kept as read, so that a file with a mistake cannot take their
 * place. */
#ifndef ADAPTERS_HTTP_TLS_H
#define ADAPTERS_HTTP_TLS_H

#include <curl/curl.h>
#include <pthread.h>

#include "options.h"

struct http_tls {
    const struct options *options;
    pthread_mutex_t lock;             /* over the texts: the main thread may read them anew */
    char *ca, *cert, *key, *password; /* NULL: not asked for */
    _Atomic unsigned version;         /* goes up when they have changed */
};

/* Reads what ca=, cert=, key= and key-password= name. False with the error. Free in either case. */
bool http_tls_init(struct http_tls *tls, const struct options *options, struct error *error);
void http_tls_free(struct http_tls *tls);

/* Reads them anew. False with the error: all stays as it was. Any thread. */
bool http_tls_renew(struct http_tls *tls, struct error *error);

/* Gives them to a handle that has no request under way. A connection that was made with others is
 * not used for its next request. */
void http_tls_apply(struct http_tls *tls, CURL *easy);

#endif
