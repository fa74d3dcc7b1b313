/* The entries of a list in a policy: one a line of an option's text; `file:PATH` stands for the
 * lines of that file, of which empty ones and what stands behind a '#' do not count. Main thread.
 */
#ifndef BRIDGE_POLICY_ENTRIES_H
#define BRIDGE_POLICY_ENTRIES_H

#include "../error.h"

/* Gives every entry to `add`. False with the error, which names list, file and line. */
bool entries_read(const char *list, const char *text,
                  bool (*add)(void *arg, const char *entry, struct error *error), void *arg,
                  struct error *error);

#endif
