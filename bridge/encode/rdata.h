/* The RDATA of a record in presentation form.
 *
 * Two manners. RDATA_GO is what miekg/dns 1.1.50 prints, octet for octet, oddities and all: what
 * was not in the RDATA is printed as zeros or nothing. RDATA_PLAIN is what a zone file takes: RFC
 * 3597's
 * `\# 4 0a000001` wherever the type has no presentation form or the RDATA ends early. Both print
 * the same of ordinary records; RDATA_PLAIN is ASCII without control characters. Any thread; no
 * allocation but the buffer's growth.
 *
 * The project prints RDATA itself, by one table of types, and not by a library: the Go manner has
 * to be met to the octet, and no library prints compressed RDATA in place without allocating. */
#ifndef BRIDGE_ENCODE_RDATA_H
#define BRIDGE_ENCODE_RDATA_H

#include "../scan/dns.h"

enum rdata_manner { RDATA_PLAIN, RDATA_GO };

/* Appends the RDATA of a record that dns_rdata_ok found sound. */
void rdata_put(struct octets message, const struct dns_record *record, enum rdata_manner manner,
               struct buffer *out);

/* Appends `\# LENGTH HEX`. */
void rdata_put_unknown(struct octets rdata, struct buffer *out);

/* Whether RDATA_PLAIN has a form of its own for the type, so that its number needs no TYPE123. */
bool rdata_known(uint16_t type);

#endif
