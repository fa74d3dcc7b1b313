#include "receipt/key.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct receipt_key {
    EVP_PKEY *pkey;
    char public[PUBLIC_HEX + 1];
    char id[SHA256_HEX + 1];
};

/* Takes over the EVP_PKEY. NULL: it is not an Ed25519 key, or there is no memory. */
static struct receipt_key *key_over(EVP_PKEY *pkey)
{
    uint8_t octets[PUBLIC_OCTETS], digest[SHA256_OCTETS];
    size_t len = sizeof octets;
    struct receipt_key *key = NULL;
    if (pkey && EVP_PKEY_id(pkey) == EVP_PKEY_ED25519 &&
        EVP_PKEY_get_raw_public_key(pkey, octets, &len) == 1 && len == sizeof octets)
        key = calloc(1, sizeof *key);
    if (!key) {
        EVP_PKEY_free(pkey);
        return NULL;
    }
    key->pkey = pkey;
    SHA256(octets, sizeof octets, digest);
    hex_write(octets, sizeof octets, key->public);
    hex_write(digest, sizeof digest, key->id);
    return key;
}

/* Without a passphrase nothing may be asked for on a terminal. */
static int no_passphrase(char *out, int room, int writing, void *arg)
{
    (void)out;
    (void)room;
    (void)writing;
    (void)arg;
    return 0;
}

static struct receipt_key *read_key(const char *path, bool private, struct error *error)
{
    FILE *file = fopen(path, "re");
    if (!file) {
        error_set(error, "cannot read the key %s: %s", path, strerror(errno));
        return NULL;
    }
    EVP_PKEY *pkey = private ? PEM_read_PrivateKey(file, NULL, no_passphrase, NULL)
                             : PEM_read_PUBKEY(file, NULL, no_passphrase, NULL);
    fclose(file);
    struct receipt_key *key = key_over(pkey);
    if (!key)
        error_set(
            error,
            "%s holds no %s Ed25519 key in PEM (without a passphrase); 'dnstap-bridge receipts "
            "--new-key FILE' makes a pair",
            path, private ? "private" : "public");
    return key;
}

struct receipt_key *receipt_key_read(const char *path, struct error *error)
{
    return read_key(path, true, error);
}

struct receipt_key *receipt_key_read_public(const char *path, struct error *error)
{
    return read_key(path, false, error);
}

struct receipt_key *receipt_key_of(const uint8_t octets[PUBLIC_OCTETS])
{
    return key_over(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, octets, PUBLIC_OCTETS));
}

void receipt_key_free(struct receipt_key *key)
{
    if (!key)
        return;
    EVP_PKEY_free(key->pkey);
    free(key);
}

/* A new file that only its owner may read, or, for the public half, that all may. */
static FILE *create(const char *path, mode_t mode, struct error *error)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (!file) {
        error_set(error, "cannot make %s: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
    }
    return file;
}

static bool save(EVP_PKEY *pkey, const char *path, bool private, struct error *error)
{
    FILE *file = create(path, private ? 0600 : 0644, error);
    if (!file)
        return false;
    bool ok = private ? PEM_write_PrivateKey(file, pkey, NULL, NULL, 0, NULL, NULL) == 1
                      : PEM_write_PUBKEY(file, pkey) == 1;
    ok = fclose(file) == 0 && ok;
    if (!ok)
        unlink(path);
    return ok || error_set(error, "cannot write %s: %s", path, strerror(errno));
}

bool receipt_key_make(const char *path, struct error *error)
{
    char public[4096];
    if (snprintf(public, sizeof public, "%s.pub", path) >= (int)sizeof public)
        return error_set(error, "the name %.100s... is too long", path);
    EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    if (!pkey)
        return error_set(error, "no Ed25519 key can be made: OpenSSL refuses");
    bool ok = save(pkey, path, true, error);
    if (ok && !save(pkey, public, false, error)) {
        unlink(path);
        ok = false;
    }
    EVP_PKEY_free(pkey);
    return ok;
}

const char *receipt_key_public(const struct receipt_key *key)
{
    return key->public;
}

const char *receipt_key_id(const struct receipt_key *key)
{
    return key->id;
}

bool receipt_key_sign(const struct receipt_key *key, const void *data, size_t len,
                      uint8_t signature[SIGNATURE_OCTETS])
{
    size_t room = SIGNATURE_OCTETS;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, key->pkey) == 1 &&
              EVP_DigestSign(ctx, signature, &room, data, len) == 1 && room == SIGNATURE_OCTETS;
    EVP_MD_CTX_free(ctx);
    return ok;
}

bool receipt_key_verify(const struct receipt_key *key, const void *data, size_t len,
                        const uint8_t signature[SIGNATURE_OCTETS])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key->pkey) == 1 &&
              EVP_DigestVerify(ctx, signature, SIGNATURE_OCTETS, data, len) == 1;
    EVP_MD_CTX_free(ctx);
    return ok;
}
