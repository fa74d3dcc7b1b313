/* The OPT record as miekg/dns 1.1.50 prints it, beginning and ending with a line end. */
#ifndef BRIDGE_ENCODE_DIG_EDNS_H
#define BRIDGE_ENCODE_DIG_EDNS_H

#include "../scan/dns.h"

void dig_edns_put(struct octets message, const struct dns_record *opt, struct buffer *out);

#endif
