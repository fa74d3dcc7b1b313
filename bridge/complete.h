/* What could stand where the cursor is: asked by the shells' completions (dist/completions),
 * answered from the tables that parsing and help come from. Main thread. */
#ifndef BRIDGE_COMPLETE_H
#define BRIDGE_COMPLETE_H

#include <stdio.h>

/* Prints, a line each, the words that begin with `word` and can stand behind `before`. None where
 * it is a file's name. */
void complete(const char *before, const char *word, FILE *out);

#endif
