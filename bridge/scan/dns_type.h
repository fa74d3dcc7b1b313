/* What the numbers in a DNS message are called, and what the RDATA of each type is made of.
 * Constant tables: any thread. */
#ifndef BRIDGE_SCAN_DNS_TYPE_H
#define BRIDGE_SCAN_DNS_TYPE_H

#include "../buffer.h"

enum { DNS_TYPE_OPT = 41 };

/* The shape of RDATA, one character a field:
 *
 *     1 2 4 6 8  so many octets              n  a name, perhaps compressed
 *     a          an IPv4 address             N  names to the end
 *     q          an IPv6 address             s  a character-string
 *     =          as many octets as the       S  character-strings to the end
 *                number before says          t  a type bitmap (NSEC)
 *     h          the tag and key of HIP      o  EDNS options
 *     *          anything                    p  service parameters (SVCB)
 *                                            l  address prefixes (APL) */
struct dns_type {
    const char *name;  /* NULL where the type has none */
    const char *shape; /* NULL where the type's RDATA is not known: anything goes */
};

/* What is known about a type; never NULL. */
const struct dns_type *dns_type_find(uint16_t type);

/* Appends the name of a type or class; TYPE123 or CLASS123 where it has none. Class 255 is written
 * CLASS255, since ANY is a type, too. */
void dns_type_put(uint16_t type, struct buffer *out);
void dns_class_put(uint16_t class, struct buffer *out);

#endif
