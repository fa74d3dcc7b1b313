/* Why a DNS message is broken, in the words of miekg/dns 1.1.50. For messages that dns_check.h
 * refused: it walks them once more. Any thread; no allocation. */
#ifndef BRIDGE_SCAN_DNS_REASON_H
#define BRIDGE_SCAN_DNS_REASON_H

#include "dns.h"

/* A text that lives for ever, without miekg's "dns: " before it. Names and numbers are told apart
 * as miekg does; of RDATA made of parts (EDNS options, service parameters, address prefixes,
 * bitmaps, HIP) it is only said that they are bad, by a text that is not miekg's. */
const char *dns_reason(struct octets message);

/* The same of a name alone, at the start of `wire`. NULL where it is sound. */
const char *dns_name_reason(struct octets wire);

#endif
