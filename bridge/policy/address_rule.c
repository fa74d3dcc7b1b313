#include "address_rule.h"

#include <string.h>

#include "../hex.h"
#include "../network.h"
#include "../secret.h"

static enum address_mode mode_of(const struct options *options, const char *name)
{
    static const char *const names[] = {
        [ADDRESS_KEEP] = "keep",
        [ADDRESS_PREFIX] = "prefix",
        [ADDRESS_CRYPTO_PAN] = "crypto-pan",
        [ADDRESS_PSEUDONYM] = "pseudonym",
        [ADDRESS_REMOVE] = "remove",
    };
    for (int i = 0; i <= ADDRESS_REMOVE; i++) {
        if (options_is(options, name, names[i]))
            return (enum address_mode)i;
    }
    return ADDRESS_KEEP;
}

static bool read_key(const char *text, uint8_t key[CRYPTO_PAN_KEY])
{
    if (strlen(text) != 2 * CRYPTO_PAN_KEY)
        return false;
    for (int i = 0; i < CRYPTO_PAN_KEY; i++) {
        int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        key[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static bool make_pan(struct address_rule *rule, const struct options *options, const char *name,
                     struct error *error)
{
    const char *text = options_string(options, "key");
    uint8_t key[CRYPTO_PAN_KEY];
    if (!text)
        return error_set(error,
                         "%s: %s needs a key:, as in key: file:/etc/dnstap-bridge/anonymise.key",
                         name, options_string(options, name));
    char *secret = secret_read(text, error);
    if (!secret)
        return error_prefix(error, "key");
    bool ok = read_key(secret, key);
    secret_free(secret);
    if (!ok)
        return error_set(error,
                         "key takes 64 hexadecimal digits, as `openssl rand -hex 32` makes them");
    rule->pan = crypto_pan_new(key);
    explicit_bzero(key, sizeof key);
    return rule->pan || error_set(error, "AES-128 is not to be had from the crypto library");
}

bool address_rule_init(struct address_rule *rule, const struct options *options, const char *name,
                       struct error *error)
{
    *rule = (struct address_rule){
        .mode = mode_of(options, name),
        .ipv4 = (unsigned)options_number(options, "ipv4"),
        .ipv6 = (unsigned)options_number(options, "ipv6"),
    };
    bool keyed = rule->mode == ADDRESS_CRYPTO_PAN || rule->mode == ADDRESS_PSEUDONYM;
    return !keyed || make_pan(rule, options, name, error);
}

void address_rule_free(struct address_rule *rule)
{
    crypto_pan_free(rule->pan);
}

bool address_rule_apply(struct address_rule *rule, struct octets *address)
{
    if (rule->mode == ADDRESS_KEEP)
        return true;
    if (rule->mode == ADDRESS_REMOVE || (address->len != 4 && address->len != 16))
        return false;
    memcpy(rule->out, address->data, address->len);
    address->data = rule->out;
    switch (rule->mode) {
    case ADDRESS_PREFIX:
        network_mask(rule->out, address->len,
                     network_prefix(rule->out, address->len, rule->ipv4, rule->ipv6));
        return true;
    case ADDRESS_CRYPTO_PAN:
        return crypto_pan_map(rule->pan, rule->out, address->len);
    case ADDRESS_PSEUDONYM:
        return crypto_pan_pseudonym(rule->pan, rule->out, address->len);
    case ADDRESS_KEEP:
    case ADDRESS_REMOVE:
        break;
    }
    return false;
}
