/* How a response was answered: the header's four bits, and EDNS's eight above them. */
#ifndef BRIDGE_SCAN_RCODE_H
#define BRIDGE_SCAN_RCODE_H

#include "dns.h"
#include "dns_type.h"

/* False where the message has no header. Where its records are broken, what the header says. */
static inline bool rcode_read(struct octets dns, unsigned *rcode)
{
    struct dns_walk walk;
    struct dns_record record;
    if (!dns_walk_begin(&walk, dns))
        return false;
    *rcode = walk.header.flags & 15;
    if (walk.header.count[DNS_ADDITIONAL] == 0)
        return true;
    while (dns_walk_record(&walk, &record)) {
        if (record.type == DNS_TYPE_OPT && record.section == DNS_ADDITIONAL)
            *rcode |= record.ttl >> 24 << 4;
    }
    return true;
}

#endif
