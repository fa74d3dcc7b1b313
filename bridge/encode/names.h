/* What numbers of dnstap and of DNS are called, for every encoder. Constant tables; NULL where a
 * number has no name. */
#ifndef BRIDGE_ENCODE_NAMES_H
#define BRIDGE_ENCODE_NAMES_H

#include <stdint.h>

const char *dnstap_message_name(int32_t type);      /* CLIENT_QUERY */
const char *dnstap_family_name(int32_t family);     /* INET */
const char *dnstap_protocol_name(int32_t protocol); /* UDP */
const char *dnstap_http_name(int32_t protocol);     /* HTTP2 */
const char *dnstap_action_name(int32_t action);     /* NXDOMAIN */
const char *dnstap_match_name(int32_t match);       /* QNAME */

const char *dns_opcode_name(unsigned opcode); /* QUERY */
const char *dns_rcode_name(unsigned rcode);   /* NXDOMAIN; 16 is BADVERS */
const char *dns_option_name(uint16_t code);   /* NSID: EDNS options as IANA names them */
const char *dns_error_name(uint16_t code);    /* "Stale Answer": extended errors */

/* Flags of the header, ending with a NULL name. */
struct dns_flag {
    uint16_t bit;
    const char *name;
};
extern const struct dns_flag dns_flags[];

#endif
