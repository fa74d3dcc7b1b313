/* A domain name as a person or a list writes it. */
#ifndef BRIDGE_POLICY_DOMAIN_NAME_H
#define BRIDGE_POLICY_DOMAIN_NAME_H

#include "../error.h"
#include "../scan/dns_question.h"

/* Reads presentation form: upper or lower case, with `\.` and `\DDD`, the last dot may be left out;
 * letters beyond ASCII (UTF-8) become A-labels. Other characters than letters, digits, '-', '_' and
 * '/' must be escaped, so that a line of another format is not taken for a name. Puts the wire form, in
 * lower case, and the number of labels. The length; 0 with the error. */
unsigned domain_name_read(const char *text, uint8_t wire[DNS_NAME_WIRE_MAX], unsigned *labels,
                          struct error *error);

#endif
