/* The entries of a list in a policy: one a line of an option's text; `file:PATH` stands for the
 * lines of that file. Main thread.
 *
 * A file holds an entry a line. Empty lines do not count, nor does what stands behind a '#', or behind a
 * ';' that begins a line or a word; lines may end in CR LF, and the file may begin with a byte order mark.
 * A list of names also takes the lines of a hosts file: an address, and names. Any other line is refused
 * with its number, and so is a list without an entry: it would let through, or take out, everything. */
#ifndef BRIDGE_POLICY_ENTRIES_H
#define BRIDGE_POLICY_ENTRIES_H

#include "../error.h"

struct entry_list {
    const char *name; /* of the option */
    bool of_names;    /* takes lines of hosts files */
    bool (*add)(void *arg, const char *entry, struct error *error);
    void *arg;
};

/* Gives every entry to `add`. False with the error, which names list, file and line. */
bool entries_read(const struct entry_list *list, const char *text, struct error *error);

#endif
