/* Where --ledger writes at the end of a run. Main thread. */
#ifndef BRIDGE_LEDGER_FILE_H
#define BRIDGE_LEDGER_FILE_H

#include "config.h"

/* Can the configuration's ledger be written, and is it no file that the run itself reads or writes? Touches nothing.
 * False with the error. */
bool ledger_file_check(const struct config *config, struct error *error);

/* Writes the text: `-` and devices as they are, and pipes that somebody reads; a regular file, also behind links, appears
 * whole or not at all. A pipe that stands still is given up after a few seconds. False with the error, and nothing is
 * left behind. */
bool ledger_file_write(const char *path, const struct buffer *text, struct error *error);

#endif
