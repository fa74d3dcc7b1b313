/* What a policy says, boiled down: for receipts, and to see whether it changed. */
#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "../hex.h"
#include "../secret.h"
#include "plan.h"

static bool hash_file(EVP_MD_CTX *sum, const char *path, struct error *error)
{
    uint8_t octets[16384];
    FILE *file = fopen(path, "re");
    if (!file)
        return error_set(error, "%s: cannot be read: %s", path, strerror(errno));
    size_t len;
    while ((len = fread(octets, 1, sizeof octets, file)) > 0)
        EVP_DigestUpdate(sum, octets, len);
    bool ok = !ferror(file) || error_set(error, "%s: cannot be read: %s", path, strerror(errno));
    fclose(file);
    return ok;
}

/* Each value with what stands in the file that it names. */
static bool hash_values(EVP_MD_CTX *sum, const char *text, struct error *error)
{
    bool ok = true;
    while (ok && *text) {
        size_t len = strcspn(text, "\n");
        char *value = strndup(text, len);
        if (!value)
            return error_set(error, "out of memory");
        EVP_DigestUpdate(sum, value, len + 1);
        if (strncmp(value, "file:", 5) == 0)
            ok = hash_file(sum, value + 5, error);
        free(value);
        text += len + (text[len] == '\n');
    }
    return ok;
}

static bool hash_secret(EVP_MD_CTX *sum, const char *text, struct error *error)
{
    char *secret = secret_read(text, error);
    if (!secret)
        return false;
    EVP_DigestUpdate(sum, secret, strlen(secret) + 1);
    secret_free(secret);
    return true;
}

static bool hash_step(EVP_MD_CTX *sum, const struct plan_step *step, struct error *error)
{
    bool ok = true;
    EVP_DigestUpdate(sum, step->ops->name, strlen(step->ops->name) + 1);
    for (unsigned i = 0; ok && i < step->options.count; i++) {
        const struct option_spec *spec = step->options.specs[i];
        const char *text = step->options.texts[i];
        if (!text)
            continue;
        EVP_DigestUpdate(sum, spec->name, strlen(spec->name) + 1);
        if (spec->secret)
            EVP_DigestUpdate(sum, secret_shown(text), strlen(secret_shown(text)) + 1);
        else
            ok = hash_values(sum, text, error);
    }
    return ok;
}

static bool hash_secrets(EVP_MD_CTX *sum, const struct plan_step *step, struct error *error)
{
    bool ok = true;
    for (unsigned i = 0; ok && i < step->options.count; i++) {
        if (step->options.specs[i]->secret && step->options.texts[i])
            ok = hash_secret(sum, step->options.texts[i], error);
    }
    return ok;
}

/* What the sum is so far; it can go on. */
static bool tell(const EVP_MD_CTX *sum, char hash[PLAN_HASH], struct error *error)
{
    uint8_t octets[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *copy = EVP_MD_CTX_new();
    bool ok =
        copy && EVP_MD_CTX_copy_ex(copy, sum) == 1 && EVP_DigestFinal_ex(copy, octets, NULL) == 1;
    EVP_MD_CTX_free(copy);
    if (!ok)
        return error_set(error, "SHA-256 is not to be had from the crypto library");
    hex_write(octets, (PLAN_HASH - 1) / 2, hash);
    return true;
}

bool plan_hash(const struct plan *plan, char hash[PLAN_HASH], char state[PLAN_HASH],
               struct error *error)
{
    EVP_MD_CTX *sum = EVP_MD_CTX_new();
    bool ok = sum && EVP_DigestInit_ex(sum, EVP_sha256(), NULL) == 1;
    if (!ok)
        error_set(error, "out of memory");
    for (unsigned i = 0; ok && i < plan->count; i++)
        ok = hash_step(sum, &plan->steps[i], error);
    ok = ok && tell(sum, hash, error);
    for (unsigned i = 0; ok && i < plan->count; i++)
        ok = hash_secrets(sum, &plan->steps[i], error);
    ok = ok && tell(sum, state, error);
    EVP_MD_CTX_free(sum);
    return ok;
}
