/* Names cut down to their registered domain, by the Public Suffix List (libpsl): www.example.co.uk
 * to example.co.uk. A name that is a public suffix itself, or above one, stays. */
#ifndef BRIDGE_POLICY_REGISTERED_H
#define BRIDGE_POLICY_REGISTERED_H

#include "../buffer.h"
#include "../error.h"
#include "subject.h"

struct registered;

/* NULL with the error: no list is installed. Made on any thread, used by one. */
struct registered *registered_new(struct error *error);
void registered_free(struct registered *registered);

/* Where in the lower-cased name, as in `struct question`, the part begins that stays. */
uint32_t registered_at(struct registered *registered, const struct question *name);

/* Appends the DNS message with every name in it cut so, none of them compressed. Records whose
 * RDATA may hold names that cannot be found are left out, and what stands behind the last record.
 * False, and nothing appended: it is broken. */
bool registered_cut(struct registered *registered, struct octets message, struct buffer *out);

/* Appends the cut name in wire form; false where it is broken. */
bool registered_put_name(struct registered *registered, struct dns_name name, struct buffer *out);

#endif
