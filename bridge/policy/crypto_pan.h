/* Keyed changes of addresses: prefix-preserving (Crypto-PAn: Xu, Fan, Ammar, Moon,
 * "Prefix-Preserving IP Address Anonymization", 2002, with AES-128; IPv6 by the same construction
 * over 128 bits, as its other implementations do it), and a pseudonym, which keeps nothing of the
 * address, and gives no two addresses the same. Made on any thread, used by one. */
#ifndef BRIDGE_POLICY_CRYPTO_PAN_H
#define BRIDGE_POLICY_CRYPTO_PAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CRYPTO_PAN_KEY = 32 };

struct crypto_pan;

/* The key's first half keys AES, its second half is the padding's. NULL when memory runs out, or
 * AES is not to be had. */
struct crypto_pan *crypto_pan_new(const uint8_t key[CRYPTO_PAN_KEY]);
void crypto_pan_free(struct crypto_pan *pan);

/* An address of 4 or 16 octets, in place. False: the library failed, and the address is not to be
 * used. */
bool crypto_pan_map(struct crypto_pan *pan, uint8_t *address, size_t len);
bool crypto_pan_pseudonym(struct crypto_pan *pan, uint8_t *address, size_t len);

#endif
