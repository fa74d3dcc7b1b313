/* Does a DNS message ask for the name of an address, as PTR questions do? */
#ifndef BRIDGE_POLICY_OWN_NAME_H
#define BRIDGE_POLICY_OWN_NAME_H

#include <stdbool.h>

#include "../scan/octets.h"

/* Is one of its questions the reverse name of the address (77.2.0.192.in-addr.arpa, or under ip6.arpa),
 * or below it? No for an address that has neither 4 nor 16 octets. */
bool own_name_asked(struct octets dns, struct octets address);

#endif
