/* RDATA written anew with every name in it as the caller would have it, none of them compressed. */
#ifndef BRIDGE_SCAN_RDATA_REWRITE_H
#define BRIDGE_SCAN_RDATA_REWRITE_H

#include "../buffer.h"
#include "dns.h"

/* Appends one name; false where it is broken. */
typedef bool put_name(void *arg, struct dns_name name, struct buffer *out);

/* Appends the RDATA of a record that a walk yielded and dns_rdata_ok found sound. False: broken, or
 * of a type whose RDATA may hold names that nobody can find; then something may have been appended.
 */
bool rdata_rewrite(struct octets message, const struct dns_record *record, put_name *put, void *arg,
                   struct buffer *out);

/* The same with names in lower case: two records of one type are the same where this is. RDATA in
 * which no names can be found is taken over as it is. */
void rdata_put_lower(struct octets message, const struct dns_record *record, struct buffer *out);

/* A name in lower case, not compressed. False where it is broken. */
bool name_put_lower(struct dns_name name, struct buffer *out);

#endif
