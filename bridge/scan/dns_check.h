/* Whether a DNS message is sound to its last record: what a strict parser would say of it.
 *
 * The judgement is that of miekg/dns 1.1.50, `Msg.Unpack`: dns.h says what it allows around the
 * records, and RDATA is checked field by field against its type's shape (dns_type.h). RDATA may be
 * empty, whatever its type, and may end after any field but one whose length was announced. Any
 * thread; no allocation. */
#ifndef BRIDGE_SCAN_DNS_CHECK_H
#define BRIDGE_SCAN_DNS_CHECK_H

#include "dns.h"

/* Whether the RDATA of a record that a walk yielded is sound. */
bool dns_rdata_ok(struct octets message, const struct dns_record *record);

/* Walks to the end, and says whether all that it met is sound. What the walk has passed already was
 * judged but for its RDATA. */
bool dns_walk_ok(struct dns_walk *walk);

/* Whether the whole message is sound. */
bool dns_message_ok(struct octets message);

#endif
