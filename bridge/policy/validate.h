/* The reasons that the step `validate` gives (Dnstap.rejected). */
#ifndef BRIDGE_POLICY_VALIDATE_H
#define BRIDGE_POLICY_VALIDATE_H

#include <stdbool.h>

#include "../scan/octets.h"

/* Is the text one of them, which tell nothing but that? Any thread. */
bool is_validate_reason(struct octets text);

#endif
