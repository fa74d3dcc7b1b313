/* Who is at the other end: fingerprints of certificates, and their names in one line. Any thread.
 */
#ifndef ADAPTERS_TLS_PEER_H
#define ADAPTERS_TLS_PEER_H

#include <openssl/x509.h>

#include "options.h"

enum { FINGERPRINT_OCTETS = 32, FINGERPRINTS_MAX = 4096, PEER_TEXT = 320 };

/* What fingerprint= names. */
struct fingerprints {
    uint8_t (*list)[FINGERPRINT_OCTETS]; /* owned, ascending */
    unsigned count;                      /* 0: none is asked for */
};

/* Reads the option: SHA-256 in hexadecimal, with colons or without. False with the error. Free in
 * either case. */
bool fingerprints_read(struct fingerprints *fingerprints, const struct options *options,
                       struct error *error);
void fingerprints_free(struct fingerprints *fingerprints);

/* Is the certificate one of them? */
bool fingerprints_hold(const struct fingerprints *fingerprints, const X509 *certificate);

/* "certificate CN=..., SHA-256 ...": the subject by RFC 2253, printable whatever it holds. */
void peer_print(const X509 *certificate, char out[PEER_TEXT]);

#endif
