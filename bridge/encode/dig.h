/* A DNS message as miekg/dns 1.1.50 prints it (`Msg.String`), which looks like dig's output. It may
 * hold any octets whatever (the data of NULL records, extra text of errors). Any thread. */
#ifndef BRIDGE_ENCODE_DIG_H
#define BRIDGE_ENCODE_DIG_H

#include "../buffer.h"
#include "../scan/octets.h"

/* Appends the message, which ends with a line end. False, and nothing appended, where it is broken.
 */
bool dig_put(struct octets message, struct buffer *out);

#endif
