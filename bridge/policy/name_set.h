/* A set of domain names: `www.example.org` is that name, `*.example.org` every name below
 * example.org, and not itself, `*` every name. However many there are, a look costs one probe for
 * each depth at which the set has a name. Filled on one thread, then only read. */
#ifndef BRIDGE_POLICY_NAME_SET_H
#define BRIDGE_POLICY_NAME_SET_H

#include "../error.h"
#include "subject.h"

struct name_set;

struct name_set *name_set_new(void);
void name_set_free(struct name_set *set);

/* As domain_name.h reads it. False with the error. */
bool name_set_add(struct name_set *set, const char *text, struct error *error);

/* Is the name of this question in the set? */
bool name_set_has(const struct name_set *set, const struct question *question);

/* Appends what is in it, in an order that is always the same. */
void name_set_put_sorted(const struct name_set *set, struct buffer *out);

uint64_t name_set_memory(const struct name_set *set);

#endif
