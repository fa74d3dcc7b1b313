/* Taking out of a DNS message what its EDNS options and transaction signatures say of a client. */
#ifndef BRIDGE_POLICY_EDNS_H
#define BRIDGE_POLICY_EDNS_H

#include "../buffer.h"
#include "../scan/dns.h"

enum edns_subnet { SUBNET_KEEP, SUBNET_PREFIX, SUBNET_REMOVE };

struct edns_rule {
    bool all;                /* keeps every option but these: */
    enum edns_subnet subnet; /* client subnet (RFC 7871) */
    bool cookies, padding;   /* kept? */
    bool signatures;         /* TSIG, SIG(0) and TKEY records kept? */
    unsigned ipv4, ipv6;     /* bits that a prefix keeps */
};

/* Does the rule keep everything? */
bool edns_rule_is_idle(const struct edns_rule *rule);

/* Appends the message with the options and signatures that the rule keeps. Nothing moves but the end of
 * a message: where records stand behind the options, padding fills the place. What stands behind the
 * last record is left out. The result is never longer than the message, and parses where the message
 * does. In a query (the dnstap field says so), options stay only as long as they cannot hold what a
 * client puts there.
 * False, and nothing is appended: the message is broken, or has options or signatures where none belong;
 * nobody can tell what it says. `out->failed` when memory runs out. */
bool edns_redact(const struct edns_rule *rule, struct octets message, bool query, struct buffer *out);

#endif
