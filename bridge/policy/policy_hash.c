/* What a policy means, boiled down: for receipts, and to see whether it changed. */
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "../hex.h"
#include "../secret.h"
#include "canonical.h"
#include "policy.h"

static bool hash_secret(EVP_MD_CTX *sum, const char *text, struct error *error)
{
    char *secret = secret_read(text, error);
    if (!secret)
        return false;
    EVP_DigestUpdate(sum, secret, strlen(secret) + 1);
    secret_free(secret);
    return true;
}

/* An option by what it means: 10s and 10000ms are the same. */
static void put_option(const struct option_spec *spec, const char *text, uint64_t number,
                       struct buffer *out)
{
    const char *shown = spec->secret ? secret_shown(text) : text;
    buffer_put(out, spec->name, strlen(spec->name) + 1);
    if (spec->type == OPTION_STRING || spec->type == OPTION_CHOICE)
        buffer_put(out, shown, strlen(shown) + 1);
    else
        canonical_put_number(number, out);
}

static bool hash_step(EVP_MD_CTX *sum, const struct policy *policy, unsigned nth,
                      struct error *error)
{
    const struct plan_step *step = &policy_plan(policy)->steps[nth];
    const struct options *options = &step->options;
    struct buffer meaning = {0};
    buffer_put(&meaning, step->ops->name, strlen(step->ops->name) + 1);
    for (unsigned i = 0; i < options->count; i++) {
        if (options->texts[i] && !options->specs[i]->repeats)
            put_option(options->specs[i], options->texts[i], options->numbers[i], &meaning);
    }
    policy_put_canonical(policy, nth, &meaning);
    const size_t len = meaning.len;
    canonical_put_number(len, &meaning); /* no step is taken for the end of another */
    bool ok = !meaning.failed && EVP_DigestUpdate(sum, meaning.data, meaning.len) == 1;
    buffer_free(&meaning);
    return ok || error_set(error, "out of memory");
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

bool policy_hash(const struct policy *policy, char hash[PLAN_HASH], char state[PLAN_HASH],
                 struct error *error)
{
    const struct plan *plan = policy_plan(policy);
    EVP_MD_CTX *sum = EVP_MD_CTX_new();
    bool ok = sum && EVP_DigestInit_ex(sum, EVP_sha256(), NULL) == 1;
    if (!ok)
        error_set(error, "out of memory");
    for (unsigned i = 0; ok && i < plan->count; i++)
        ok = hash_step(sum, policy, i, error);
    ok = ok && tell(sum, hash, error);
    for (unsigned i = 0; ok && i < plan->count; i++)
        ok = hash_secrets(sum, &plan->steps[i], error);
    ok = ok && tell(sum, state, error);
    EVP_MD_CTX_free(sum);
    return ok;
}
