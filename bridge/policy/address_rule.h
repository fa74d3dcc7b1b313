/* What becomes of addresses: one rule for those of clients, one for those of servers. */
#ifndef BRIDGE_POLICY_ADDRESS_RULE_H
#define BRIDGE_POLICY_ADDRESS_RULE_H

#include "../error.h"
#include "../options.h"
#include "../scan/octets.h"
#include "crypto_pan.h"

/* What the options `client` and `server` take. */
#define ADDRESS_MODES "keep|prefix|crypto-pan|pseudonym|remove"

enum address_mode {
    ADDRESS_KEEP,
    ADDRESS_PREFIX,
    ADDRESS_CRYPTO_PAN,
    ADDRESS_PSEUDONYM,
    ADDRESS_REMOVE
};

struct address_rule {
    enum address_mode mode;
    unsigned ipv4, ipv6;    /* bits that a prefix keeps */
    struct crypto_pan *pan; /* owned; NULL where no key is needed */
    uint8_t out[16];        /* the address made last */
};

/* The rule of the option `name`, with the options ipv4, ipv6 and key. False with the error. Free in
 * either case. */
bool address_rule_init(struct address_rule *rule, const struct options *options, const char *name,
                       struct error *error);
void address_rule_free(struct address_rule *rule);

/* Puts what the rule makes of the address in its place, borrowed from the rule until the next call.
 * False: it is to be left out. An address that is neither of 4 nor of 16 octets is left out, unless
 * all are kept. */
bool address_rule_apply(struct address_rule *rule, struct octets *address);

#endif
