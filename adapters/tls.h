/* TLS over stream sockets: one context for a source or a sink, made from its options, and one session for
 * each connection. Sessions never block.
 *
 *     context = tls_context_new(place, listens, &error)
 *     session = tls_session_new(context, fd)
 *     tls_handshake(session)                 until it is TLS_DONE
 *     tls_read, tls_write
 *     tls_session_free(session)              says goodbye
 *
 * TLS 1.2 (RFC 5246) with forward secrecy and authenticated ciphers, or 1.3 (RFC 8446). No renegotiation,
 * no resumption, no compression: every connection proves itself by its certificate. By OpenSSL.
 *
 * A session belongs to one thread. Of a context, tls_context_reload may be called by any thread, the rest
 * by the one that has the sessions. */
#ifndef ADAPTERS_TLS_H
#define ADAPTERS_TLS_H

#include <sys/types.h>

#include "adapter.h"
#include "pem.h"

struct tls_context;
struct tls_session;

/* What ca= says for the authorities that the system trusts. */
#define TLS_SYSTEM "system"

/* The options of either end, that a table takes in; ends no table. */
#define TLS_OPTIONS                                                                                    \
    {.name = "ca", .type = OPTION_STRING,                                                              \
     .meaning = "tls: certificates to trust, in PEM, or `system`; a listener with it takes peers with a certificate alone"}, \
    CERTIFICATE_OPTIONS("tls: "),                                                                      \
    {.name = "fingerprint", .type = OPTION_STRING, .repeats = true,                                    \
     .meaning = "tls: SHA-256 of a certificate; no other peer is let in, may be given again"}

/* What one session takes at the most: when it stands, and while its handshake runs. Octets. */
enum {
    TLS_SESSION_MEMORY = 128 * 1024,
    TLS_HANDSHAKE_MEMORY = 512 * 1024,
};

/* Is the place one of the scheme tls? */
bool tls_is_wanted(const struct place *place);

/* Judges the options, of other schemes too: those take none of these. False with the error. */
bool tls_check(const struct place *place, bool listens, struct error *error);

/* Reads the files now. NULL with the error. */
struct tls_context *tls_context_new(const struct place *place, bool listens, struct error *error);
void tls_context_free(struct tls_context *context);

/* Reads the files again, for the sessions to come, and says in the log what came of it: files with a mistake
 * leave all as it was. `what` is "source" or "sink". */
void tls_context_reload(struct tls_context *context, const char *what);

/* The line for it, also of who speaks TLS by another library; `mistake` NULL: all went well. Any thread. */
void tls_log_reload(const char *what, const char *url, const char *mistake);

/* For those: can what ca=, cert=, key= and key-password= name be used? False with the error. Any thread. */
bool tls_files_sound(const struct options *options, struct error *error);

/* The octets that a context with these options takes. */
uint64_t tls_context_memory(const struct options *options);

/* For a connected socket, which stays the caller's. NULL: out of memory. */
struct tls_session *tls_session_new(struct tls_context *context, int fd);
void tls_session_free(struct tls_session *session);

enum tls_result {
    TLS_DONE,
    TLS_WANTS_READ, /* call again when the socket can be read, */
    TLS_WANTS_WRITE, /* or written */
    TLS_FAILED,     /* see tls_reason */
};

enum tls_result tls_handshake(struct tls_session *session);

/* As recv() and send() on a non-blocking socket: 0 is the end of what the peer sends, -1 an error, with
 * EAGAIN in errno when there is nothing now. Of what is to be sent, the kernel has as much as is returned. */
ssize_t tls_read(struct tls_session *session, void *out, size_t room);
ssize_t tls_write(struct tls_session *session, const void *data, size_t len);

/* There is something to read, octets or the end, that the socket does not know of any more. */
bool tls_pending(const struct tls_session *session);

/* Has the peer ended the connection? Where it waits for us to speak. */
bool tls_peer_gone(struct tls_session *session);

/* Why the last call failed, with the name of the peer's certificate where it showed one. Borrowed. */
const char *tls_reason(const struct tls_session *session);

/* Did it fail for the peer's certificate, or for want of one? */
bool tls_refused_peer(const struct tls_session *session);

/* Did the peer leave without having said anything? */
bool tls_was_silent(const struct tls_session *session);

/* The peer's certificate: "certificate CN=..., SHA-256 ..."; "" where it showed none. Borrowed. */
const char *tls_peer(const struct tls_session *session);

#endif
