/* Inside the TLS of stream sockets: what contexts and sessions share. */
#ifndef ADAPTERS_TLS_CONTEXT_H
#define ADAPTERS_TLS_CONTEXT_H

#include <openssl/ssl.h>
#include <pthread.h>

#include "tls.h"
#include "tls_peer.h"

struct tls_context {
    const struct place *place;
    bool listens;
    bool by_authority; /* the peer's certificate needs one that signed it */
    struct fingerprints fingerprints;
    char name[256]; /* of a dialer: what the peer's certificate must bear */
    bool name_is_address;
    pthread_mutex_t lock; /* over `ssl`, which tls_context_reload exchanges */
    SSL_CTX *ssl;
};

/* The session that OpenSSL speaks of. */
struct tls_session *tls_session_of(const SSL *ssl);

/* What is thought of the peer's certificate: `verdict` is NULL for good, or why not. Borrowed. */
void tls_session_judge(struct tls_session *session, const X509 *certificate, const char *verdict);

/* What OpenSSL's queue of errors says went wrong first; it is empty then. */
const char *tls_library_reason(void);

#endif
