#include "tls_context.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "host_port.h"
#include "log.h"
#include "pem.h"
#include "secret.h"

enum {
    SECURITY_LEVEL = 2,     /* OpenSSL's: keys and digests as strong as RSA's 2048 bits, at least */
    CHAIN_MAX = 16 * 1024,  /* octets of the certificates that a peer may show, */
    CHAIN_CERTIFICATES = 8, /* and how many: they are kept as long as its connection */
    READ_AHEAD = 32 * 1024, /* octets, while a session has something to read */
    CONTEXT_MEMORY = 2 << 20, /* octets of OpenSSL's for a context, the library's share in it */
    SYSTEM_MEMORY = 4 << 20,  /* with the system's authorities */
};

static const char ciphers[] =
    "ECDHE+AESGCM:ECDHE+CHACHA20"; /* of TLS 1.2; all of 1.3 are of this kind */

bool tls_is_wanted(const struct place *place)
{
    return strcmp(place->scheme, "tls") == 0;
}

const char *tls_library_reason(void)
{
    unsigned long code = ERR_get_error();
    const char *text =
        ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code)) : ERR_reason_error_string(code);
    ERR_clear_error();
    return text ? text : "unknown error";
}

/* In place of OpenSSL's own look at the peer's certificates, which it prepared. 1: good. */
static int verify_peer(X509_STORE_CTX *store, void *arg)
{
    const struct tls_context *context = arg;
    const SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_session *session = tls_session_of(ssl);
    const X509 *certificate = X509_STORE_CTX_get0_cert(store);
    const char *verdict = NULL;
    if (sk_X509_num(X509_STORE_CTX_get0_untrusted(store)) > CHAIN_CERTIFICATES)
        verdict = "there are too many others with it";
    else if (context->by_authority && X509_verify_cert(store) <= 0)
        verdict = X509_verify_cert_error_string(X509_STORE_CTX_get_error(store));
    else if (context->fingerprints.count > 0 &&
             !fingerprints_hold(&context->fingerprints, certificate)) {
        verdict = "fingerprint= does not name it";
        X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
    }
    tls_session_judge(session, certificate, verdict);
    return verdict == NULL;
}

static int give_password(char *out, int room, int writing, void *arg)
{
    const char *password = arg; /* NULL: there is none, and nobody to ask */
    size_t len = password ? strlen(password) : 0;
    (void)writing;
    if (len == 0 || len > (size_t)room)
        return -1;
    memcpy(out, password, len);
    return (int)len;
}

static bool own_certificate(SSL_CTX *ssl, const struct options *options, struct error *error)
{
    const char *cert = options_string(options, "cert"), *key = options_string(options, "key");
    char *password;
    if (!pem_password(options, &password, error))
        return false;
    SSL_CTX_set_default_passwd_cb(ssl, give_password);
    SSL_CTX_set_default_passwd_cb_userdata(ssl, password);
    bool ok = true;
    if (SSL_CTX_use_certificate_chain_file(ssl, cert) != 1)
        ok =
            error_set(error, "option 'cert': %s is no certificate: %s", cert, tls_library_reason());
    else if (SSL_CTX_use_PrivateKey_file(ssl, key, SSL_FILETYPE_PEM) != 1)
        ok = error_set(error, "option 'key': %s is no key of %s: %s", key, cert,
                       tls_library_reason());
    SSL_CTX_set_default_passwd_cb_userdata(ssl, NULL);
    secret_free(password);
    return ok;
}

static bool trust(SSL_CTX *ssl, const struct tls_context *context, struct error *error)
{
    const char *ca = options_string(context->place->options, "ca");
    if (!context->by_authority)
        return true;
    if (strcmp(ca, TLS_SYSTEM) == 0)
        return SSL_CTX_set_default_verify_paths(ssl) == 1 ||
               error_set(error, "the system's certificates cannot be read: %s",
                         tls_library_reason());
    if (SSL_CTX_load_verify_file(ssl, ca) != 1)
        return error_set(error, "option 'ca': %s holds no certificates to trust: %s", ca,
                         tls_library_reason());
    if (context->listens)
        SSL_CTX_set_client_CA_list(ssl, SSL_load_client_CA_file(ca));
    /* one that is trusted need not be a root */
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ssl), X509_V_FLAG_PARTIAL_CHAIN);
    return true;
}

/* What holds whatever the options say. */
static bool set_rules(SSL_CTX *ssl, const struct tls_context *context)
{
    bool asks = !context->listens || context->by_authority || context->fingerprints.count > 0;
    SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_IGNORE_UNEXPECTED_EOF);
    if (SSL_CTX_get_security_level(ssl) < SECURITY_LEVEL)
        SSL_CTX_set_security_level(ssl, SECURITY_LEVEL);
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
    /* a message of TLS's own, with nothing read ahead behind it, ends a read */
    SSL_CTX_clear_mode(ssl, SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_read_ahead(ssl, 1); /* many small records by one read() */
    SSL_CTX_set_default_read_buffer_len(ssl, READ_AHEAD);
    SSL_CTX_set_max_cert_list(ssl, CHAIN_MAX);
    SSL_CTX_set_verify(
        ssl, asks ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT : SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_cert_verify_callback(ssl, verify_peer, (void *)context);
    return SSL_CTX_set_num_tickets(ssl, 0) == 1 &&
           SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_cipher_list(ssl, ciphers) == 1;
}

static SSL_CTX *make_ssl(const struct tls_context *context, struct error *error)
{
    const struct options *options = context->place->options;
    SSL_CTX *ssl = SSL_CTX_new(context->listens ? TLS_server_method() : TLS_client_method());
    ERR_clear_error();
    if (!ssl || !set_rules(ssl, context))
        error_set(error, "cannot set up TLS: %s", tls_library_reason());
    else if ((!options_string(options, "cert") || own_certificate(ssl, options, error)) &&
             trust(ssl, context, error))
        return ssl;
    SSL_CTX_free(ssl);
    return NULL;
}

/* The name to look for in the listener's certificate: as said, or the HOST of HOST:PORT. */
static bool find_name(struct tls_context *context, struct error *error)
{
    const char *said = options_string(context->place->options, "server-name");
    const char *address = context->place->address;
    struct host_port at = {0};
    if (!said && !host_port_read(address, strlen(address), &at, error))
        return false;
    const char *host = said ? said : at.host;
    size_t len = strlen(host);
    if (len == 0 || len >= sizeof context->name)
        return error_set(
            error,
            "there is no name to look for in the listener's certificate: server-name= gives it");
    memcpy(context->name, host, len);
    context->name[len] = '\0';
    unsigned char octets[sizeof(struct in6_addr)];
    context->name_is_address = inet_pton(AF_INET, context->name, octets) == 1 ||
                               inet_pton(AF_INET6, context->name, octets) == 1;
    return true;
}

static bool read_options(struct tls_context *context, struct error *error)
{
    const struct options *options = context->place->options;
    bool ca = options_string(options, "ca") != NULL;
    if (!pem_options_fit(options, error))
        return false;
    if (context->listens && !options_string(options, "cert"))
        return error_set(error, "a listener of tls: needs cert= and key=");
    if (!fingerprints_read(&context->fingerprints, options, error))
        return false;
    if (!context->listens && !ca && context->fingerprints.count == 0)
        return error_set(error,
                         "a sender to tls: needs ca=, the certificates to trust, or fingerprint=");
    context->by_authority = ca;
    return context->listens || find_name(context, error);
}

struct tls_context *tls_context_new(const struct place *place, bool listens, struct error *error)
{
    struct tls_context *context = calloc(1, sizeof *context);
    if (!context) {
        error_set(error, "out of memory");
        return NULL;
    }
    context->place = place;
    context->listens = listens;
    pthread_mutex_init(&context->lock, NULL);
    if (read_options(context, error) && (context->ssl = make_ssl(context, error)))
        return context;
    tls_context_free(context);
    return NULL;
}

void tls_context_free(struct tls_context *context)
{
    if (!context)
        return;
    SSL_CTX_free(context->ssl);
    fingerprints_free(&context->fingerprints);
    pthread_mutex_destroy(&context->lock);
    free(context);
}

/* False with the error: all stays as it was. */
static bool renew(struct tls_context *context, struct error *error)
{
    SSL_CTX *fresh = make_ssl(context, error);
    if (!fresh)
        return false;
    pthread_mutex_lock(&context->lock);
    SSL_CTX *old = context->ssl;
    context->ssl = fresh;
    pthread_mutex_unlock(&context->lock);
    SSL_CTX_free(old); /* sessions hold their own */
    return true;
}

void tls_log_reload(const char *what, const char *url, const char *mistake)
{
    if (!mistake)
        log_line(LOG_INFO, "%s %s: certificates read again: they hold for new connections", what,
                 url);
    else
        log_line(LOG_ERROR, "%s %s: certificates stay as they were: %s", what, url, mistake);
}

void tls_context_reload(struct tls_context *context, const char *what)
{
    struct error error;
    tls_log_reload(what, context->place->url, renew(context, &error) ? NULL : error.text);
}

bool tls_files_sound(const struct options *options, struct error *error)
{
    const struct place place = {.options = options};
    struct tls_context context = {.place = &place,
                                  .by_authority = options_string(options, "ca") != NULL};
    if (!pem_options_fit(options, error))
        return false;
    SSL_CTX *ssl = make_ssl(&context, error);
    SSL_CTX_free(ssl);
    return ssl != NULL;
}

uint64_t tls_context_memory(const struct options *options)
{
    uint64_t one = options_is(options, "ca", TLS_SYSTEM) ? SYSTEM_MEMORY : CONTEXT_MEMORY;
    return 2 * one + (uint64_t)FINGERPRINTS_MAX * FINGERPRINT_OCTETS;
}

bool tls_check(const struct place *place, bool listens, struct error *error)
{
    static const char *const names[] = {"ca",           "cert",        "key",
                                        "key-password", "fingerprint", "server-name"};
    for (size_t i = 0; !tls_is_wanted(place) && i < sizeof names / sizeof names[0]; i++) {
        if (options_string(place->options, names[i]))
            return error_set(error, "option '%s' is for tls:", names[i]);
    }
    if (!tls_is_wanted(place))
        return true;
    struct tls_context *context = tls_context_new(place, listens, error);
    tls_context_free(context);
    return context != NULL;
}
