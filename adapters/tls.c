#include "tls.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "tls_context.h"

/* Messages of TLS itself, new keys and tickets, between two of the peer's words. */
enum { OWN_MESSAGES_MAX = 32 };

struct tls_session {
    SSL *ssl;
    bool established; /* the handshake is over */
    int own_messages; /* since the peer last said something */
    bool broken;      /* nothing can be said on it any more */
    bool more;        /* the last read ended for want of room */
    bool over;        /* what is read next is the end, or an error: */
    int over_errno;   /* 0: the end */
    bool refused;     /* for its certificate, or for want of one */
    char peer[PEER_TEXT];
    char reason[PEER_TEXT + 128];
};

struct tls_session *tls_session_of(const SSL *ssl)
{
    return SSL_get_app_data(ssl);
}

void tls_session_judge(struct tls_session *session, const X509 *certificate, const char *verdict)
{
    peer_print(certificate, session->peer);
    if (!verdict)
        return;
    session->refused = true;
    snprintf(session->reason, sizeof session->reason, "TLS: its %s, is refused: %s", session->peer,
             verdict);
}

/* A new session of what the context is now. */
static SSL *open_ssl(struct tls_context *context)
{
    pthread_mutex_lock(&context->lock);
    SSL *ssl = SSL_new(context->ssl);
    pthread_mutex_unlock(&context->lock);
    return ssl;
}

/* The name that is asked of the listener, and that its certificate must bear. */
static bool expect_name(SSL *ssl, const struct tls_context *context)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (context->name_is_address)
        return X509_VERIFY_PARAM_set1_ip_asc(param, context->name) == 1;
    return X509_VERIFY_PARAM_set1_host(param, context->name, 0) == 1 &&
           SSL_set_tlsext_host_name(ssl, context->name) == 1;
}

/* OpenSSL reads on behind its own messages for as long as some come: a peer that sends nothing else
 * is cut off, for it would keep us in one read. */
static void count_message(int sent, int version, int type, const void *data, size_t len, SSL *ssl,
                          void *arg)
{
    struct tls_session *session = arg;
    (void)version, (void)data, (void)len;
    if (sent || type != SSL3_RT_HANDSHAKE || !session->established ||
        ++session->own_messages != OWN_MESSAGES_MAX)
        return;
    snprintf(session->reason, sizeof session->reason, "TLS: it sends nothing but new keys; %s",
             session->peer);
    shutdown(SSL_get_fd(ssl), SHUT_RD);
}

struct tls_session *tls_session_new(struct tls_context *context, int fd)
{
    struct tls_session *session = calloc(1, sizeof *session);
    SSL *ssl = session ? open_ssl(context) : NULL;
    if (!ssl || SSL_set_fd(ssl, fd) != 1 || (!context->listens && !expect_name(ssl, context))) {
        SSL_free(ssl);
        free(session);
        return NULL;
    }
    session->ssl = ssl;
    SSL_set_app_data(ssl, session);
    SSL_set_msg_callback(ssl, count_message);
    SSL_set_msg_callback_arg(ssl, session);
    if (context->listens)
        SSL_set_accept_state(ssl);
    else
        SSL_set_connect_state(ssl);
    return session;
}

void tls_session_free(struct tls_session *session)
{
    if (!session)
        return;
    ERR_clear_error();
    if (!session->broken && SSL_is_init_finished(session->ssl))
        SSL_shutdown(session->ssl); /* says goodbye, if there is room for it, and does not wait */
    SSL_free(session->ssl);
    ERR_clear_error();
    free(session);
}

/* What operators see most often, in words that say what to look for. */
static const struct {
    int code;
    const char *words;
    bool refused;
} known_reasons[] = {
    {SSL_R_WRONG_VERSION_NUMBER, "it does not speak TLS", false},
    {SSL_R_HTTP_REQUEST, "it does not speak TLS (it speaks HTTP)", false},
    {SSL_R_HTTPS_PROXY_REQUEST, "it does not speak TLS (it speaks HTTP)", false},
    {SSL_R_PACKET_LENGTH_TOO_LONG, "it does not speak TLS", false},
    {SSL_R_UNSUPPORTED_PROTOCOL, "it speaks no TLS from 1.2 on", false},
    {SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, "it shows no certificate", true},
};

static void explain(struct tls_session *session, int kind)
{
    unsigned long code = ERR_peek_error();
    session->broken = true;
    if (session->refused || session->own_messages >= OWN_MESSAGES_MAX)
        return; /* said already, better */
    const char *words = NULL;
    for (size_t i = 0; i < sizeof known_reasons / sizeof known_reasons[0]; i++) {
        if (ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == known_reasons[i].code) {
            words = known_reasons[i].words;
            session->refused = known_reasons[i].refused;
        }
    }
    if (!words && kind == SSL_ERROR_SSL)
        words = tls_library_reason();
    else if (!words)
        words = errno ? strerror(errno) : "it closed the connection";
    snprintf(session->reason, sizeof session->reason, "TLS: %s%s%s", words,
             session->peer[0] ? "; " : "", session->peer);
}

enum tls_result tls_handshake(struct tls_session *session)
{
    ERR_clear_error();
    errno = 0;
    int done = SSL_do_handshake(session->ssl);
    session->established = done == 1;
    if (done == 1)
        return TLS_DONE;
    int kind = SSL_get_error(session->ssl, done);
    if (kind == SSL_ERROR_WANT_READ)
        return TLS_WANTS_READ;
    if (kind == SSL_ERROR_WANT_WRITE)
        return TLS_WANTS_WRITE;
    explain(session, kind);
    ERR_clear_error();
    return TLS_FAILED;
}

/* What a read or write that gave nothing means, in the words of recv() and send(). */
static ssize_t nothing(struct tls_session *session)
{
    int kind = SSL_get_error(session->ssl, 0);
    if (kind == SSL_ERROR_ZERO_RETURN && session->own_messages < OWN_MESSAGES_MAX)
        return 0;
    if (kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE) {
        errno = EAGAIN;
        return -1;
    }
    explain(session, kind);
    ERR_clear_error();
    errno = kind == SSL_ERROR_SYSCALL && errno && errno != EAGAIN ? errno : EPROTO;
    return -1;
}

/* Says, now or once more, how it ended. */
static ssize_t end_of(const struct tls_session *session)
{
    errno = session->over_errno;
    return session->over_errno ? -1 : 0;
}

/* A record is 16 KiB at the most: as many as fit, so that who reads has no more to do than with
 * recv(). Where the end shows itself behind them, it is told at the next call: the socket may never
 * be readable again. */
ssize_t tls_read(struct tls_session *session, void *out, size_t room)
{
    uint8_t *at = out;
    size_t sum = 0, n;
    if (session->over)
        return end_of(session);
    ERR_clear_error();
    errno = 0;
    while (sum < room && SSL_read_ex(session->ssl, at + sum, room - sum, &n) == 1)
        sum += n;
    if (sum > 0)
        session->own_messages = 0;
    session->more = sum == room;
    if (session->more)
        return (ssize_t)sum;
    ssize_t result = nothing(session);
    session->over = result == 0 || errno != EAGAIN;
    session->over_errno = result == 0 ? 0 : errno;
    return sum > 0 ? (ssize_t)sum : result;
}

ssize_t tls_write(struct tls_session *session, const void *data, size_t len)
{
    size_t n;
    ERR_clear_error();
    errno = 0;
    if (SSL_write_ex(session->ssl, data, len, &n) == 1)
        return (ssize_t)n;
    int kind = SSL_get_error(session->ssl, 0);
    if (kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE)
        return nothing(session);
    /* what the peer said before it closed tells more than that it did */
    uint8_t octet;
    ERR_clear_error();
    if (kind == SSL_ERROR_SYSCALL && SSL_read_ex(session->ssl, &octet, 1, &n) != 1)
        kind = SSL_get_error(session->ssl, 0);
    explain(session, kind);
    ERR_clear_error();
    errno = EPROTO;
    return -1;
}

bool tls_pending(const struct tls_session *session)
{
    /* of what was read ahead, a torn record is no reason to try again */
    return session->over || (session->more && SSL_has_pending(session->ssl));
}

bool tls_peer_gone(struct tls_session *session)
{
    uint8_t octet;
    size_t n;
    ERR_clear_error();
    errno = 0;
    if (SSL_peek_ex(session->ssl, &octet, 1, &n) == 1)
        return false;
    return nothing(session) == 0 || errno != EAGAIN;
}

const char *tls_reason(const struct tls_session *session)
{
    return session->reason[0] ? session->reason : "TLS: it closed the connection";
}

bool tls_refused_peer(const struct tls_session *session)
{
    return session->refused;
}

const char *tls_peer(const struct tls_session *session)
{
    return session->peer;
}

bool tls_was_silent(const struct tls_session *session)
{
    return !session->established && BIO_number_read(SSL_get_rbio(session->ssl)) == 0;
}
