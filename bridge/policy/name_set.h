/* A set of domain names: `www.example.org` is that name, `*.example.org` every name below
 * example.org, and not itself, `*` every name. However many there are, a look costs one probe for
 * each depth at which the set has a name. Filled on one thread, then only read. */
#ifndef BRIDGE_POLICY_NAME_SET_H
#define BRIDGE_POLICY_NAME_SET_H

#include "subject.h"

struct name_set;

struct name_set *name_set_new(void);
void name_set_free(struct name_set *set);

/* Presentation form, upper or lower case, the last dot may be left out. False where it is no name;
 * *memory when memory ran out. */
bool name_set_add(struct name_set *set, const char *text, bool *memory);

/* Is the name of this question in the set? */
bool name_set_has(const struct name_set *set, const struct question *question);

uint64_t name_set_memory(const struct name_set *set);

#endif
