#include "http_tls.h"

#include <stdlib.h>
#include <string.h>

#include "pem.h"
#include "secret.h"
#include "tls.h"

/* False with the error. NULL where the option is not given. */
static bool read_text(const struct options *options, const char *name, char **out,
                      struct error *error)
{
    const char *path = options_string(options, name);
    *out = path ? pem_read(name, path, error) : NULL;
    return *out || !path;
}

static void drop_texts(struct http_tls *tls)
{
    pem_free(tls->ca);
    pem_free(tls->cert);
    pem_free(tls->key);
    secret_free(tls->password);
    tls->ca = tls->cert = tls->key = tls->password = NULL;
}

static bool read_texts(struct http_tls *tls, struct error *error)
{
    const struct options *options = tls->options;
    return tls_files_sound(options, error) && pem_password(options, &tls->password, error) &&
           (options_is(options, "ca", TLS_SYSTEM) || read_text(options, "ca", &tls->ca, error)) &&
           read_text(options, "cert", &tls->cert, error) &&
           read_text(options, "key", &tls->key, error);
}

bool http_tls_init(struct http_tls *tls, const struct options *options, struct error *error)
{
    *tls = (struct http_tls){.options = options};
    pthread_mutex_init(&tls->lock, NULL);
    return read_texts(tls, error);
}

void http_tls_free(struct http_tls *tls)
{
    if (!tls->options)
        return;
    drop_texts(tls);
    pthread_mutex_destroy(&tls->lock);
}

bool http_tls_renew(struct http_tls *tls, struct error *error)
{
    struct http_tls fresh = {.options = tls->options};
    if (!read_texts(&fresh, error)) {
        drop_texts(&fresh);
        return false;
    }
    pthread_mutex_lock(&tls->lock);
    drop_texts(tls);
    tls->ca = fresh.ca;
    tls->cert = fresh.cert;
    tls->key = fresh.key;
    tls->password = fresh.password;
    pthread_mutex_unlock(&tls->lock);
    tls->version++;
    return true;
}

static void give(CURL *easy, CURLoption option, char *text)
{
    struct curl_blob blob = {.data = text, .len = text ? strlen(text) : 0, .flags = CURL_BLOB_COPY};
    if (text)
        curl_easy_setopt(easy, option, &blob);
}

void http_tls_apply(struct http_tls *tls, CURL *easy)
{
    pthread_mutex_lock(&tls->lock);
    if (tls->ca)
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL); /* the system's are not trusted beside them */
    give(easy, CURLOPT_CAINFO_BLOB, tls->ca);
    give(easy, CURLOPT_SSLCERT_BLOB, tls->cert);
    give(easy, CURLOPT_SSLKEY_BLOB, tls->key);
    if (tls->password)
        curl_easy_setopt(easy, CURLOPT_KEYPASSWD, tls->password);
    pthread_mutex_unlock(&tls->lock);
}
