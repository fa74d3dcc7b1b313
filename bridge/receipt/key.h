/* Ed25519 keys, in PEM as `openssl genpkey -algorithm ed25519` writes them. A key never changes;
 * any thread. */
#ifndef RECEIPT_KEY_H
#define RECEIPT_KEY_H

#include <stdbool.h>
#include <stddef.h>

#include "error.h"
#include "receipt/format.h"

enum { PUBLIC_OCTETS = 32, PUBLIC_HEX = 2 * PUBLIC_OCTETS };

struct receipt_key;

/* A private key, a public one, or a public one from its 32 octets. NULL with the error. */
struct receipt_key *receipt_key_read(const char *path, struct error *error);
struct receipt_key *receipt_key_read_public(const char *path, struct error *error);
struct receipt_key *receipt_key_of(const uint8_t octets[PUBLIC_OCTETS]);
void receipt_key_free(struct receipt_key *key);

/* Makes a key: PATH, which nobody else may read, and PATH.pub. A file that is there already is an
 * error. */
bool receipt_key_make(const char *path, struct error *error);

/* The public half, and what it is called in receipts: its SHA-256. Both in hex, borrowed. */
const char *receipt_key_public(const struct receipt_key *key);
const char *receipt_key_id(const struct receipt_key *key);

bool receipt_key_sign(const struct receipt_key *key, const void *data, size_t len,
                      uint8_t signature[SIGNATURE_OCTETS]);
bool receipt_key_verify(const struct receipt_key *key, const void *data, size_t len,
                        const uint8_t signature[SIGNATURE_OCTETS]);

#endif
