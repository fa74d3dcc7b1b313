#include "crypto_pan.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "secret.h"

enum { BLOCK = 16, BITS_MAX = 128, ROUNDS = 8 };

struct crypto_pan {
    EVP_CIPHER_CTX *aes;
    uint8_t pad[BLOCK];
    uint8_t blocks[BITS_MAX * BLOCK]; /* one for each bit of the address, encrypted in one go */
};

static bool encrypt(struct crypto_pan *pan, uint8_t *octets, size_t len)
{
    int done = 0;
    return EVP_EncryptUpdate(pan->aes, octets, &done, octets, (int)len) == 1 && done == (int)len;
}

struct crypto_pan *crypto_pan_new(const uint8_t key[CRYPTO_PAN_KEY])
{
    struct crypto_pan *pan = calloc(1, sizeof *pan);
    if (!pan)
        return NULL;
    pan->aes = EVP_CIPHER_CTX_new();
    secret_hide(pan, sizeof *pan);
    memcpy(pan->pad, key + BLOCK, BLOCK);
    if (pan->aes && EVP_EncryptInit_ex(pan->aes, EVP_aes_128_ecb(), NULL, key, NULL) == 1 &&
        EVP_CIPHER_CTX_set_padding(pan->aes, 0) == 1 && encrypt(pan, pan->pad, BLOCK))
        return pan;
    crypto_pan_free(pan);
    return NULL;
}

void crypto_pan_free(struct crypto_pan *pan)
{
    if (!pan)
        return;
    EVP_CIPHER_CTX_free(pan->aes);
    explicit_bzero(pan, sizeof *pan);
    free(pan);
}

/* Bit i of the result is bit i of the address, and the first bit of the encrypted block that has
 * the address's first i bits, and the padding's behind them. */
bool crypto_pan_map(struct crypto_pan *pan, uint8_t *address, size_t len)
{
    unsigned bits = (unsigned)len * 8;
    uint8_t block[BLOCK];
    memcpy(block, pan->pad, BLOCK);
    for (unsigned i = 0; i < bits; i++) {
        memcpy(pan->blocks + i * BLOCK, block, BLOCK);
        uint8_t bit = (uint8_t)(0x80 >> i % 8);
        block[i / 8] = (uint8_t)((block[i / 8] & ~bit) | (address[i / 8] & bit));
    }
    if (!encrypt(pan, pan->blocks, (size_t)bits * BLOCK))
        return false;
    for (unsigned i = 0; i < bits; i++)
        address[i / 8] = (uint8_t)(address[i / 8] ^ (pan->blocks[i * BLOCK] >> 7) << (7 - i % 8));
    return true;
}

/* A Feistel network over the two halves: whatever its rounds do, no two addresses become one. */
static bool mix_halves(struct crypto_pan *pan, uint8_t *address, size_t len)
{
    size_t half = len / 2;
    for (int round = 0; round < ROUNDS; round++) {
        uint8_t *from = round % 2 ? address + half : address;
        uint8_t *to = round % 2 ? address : address + half;
        uint8_t block[BLOCK];
        memcpy(block, pan->pad, BLOCK);
        memcpy(block, from, half);
        block[half] = (uint8_t)(round + 1);
        block[half + 1] = (uint8_t)len;
        if (!encrypt(pan, block, BLOCK))
            return false;
        for (size_t i = 0; i < half; i++)
            to[i] = (uint8_t)(to[i] ^ block[i]);
    }
    return true;
}

bool crypto_pan_pseudonym(struct crypto_pan *pan, uint8_t *address, size_t len)
{
    return mix_halves(pan, address, len);
}
