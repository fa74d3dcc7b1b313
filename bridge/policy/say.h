/* Options of a step in words, for --check. */
#ifndef BRIDGE_POLICY_SAY_H
#define BRIDGE_POLICY_SAY_H

#include <stdio.h>

#include "../options.h"

/* " with type A or B and qname C", of the lists of the table that are given. */
void say_lists(const struct options *options, const struct option_spec *table, FILE *out);

#endif
