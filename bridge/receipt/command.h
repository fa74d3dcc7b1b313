/* `dnstap-bridge receipts ...`: keys, and what receipts say. Main thread. */
#ifndef RECEIPT_COMMAND_H
#define RECEIPT_COMMAND_H

#include <stdio.h>

/* `argv[0]` is "receipts". The exit status. */
int receipt_command(int argc, char **argv);

/* What it understands. */
void receipt_help(FILE *out);

/* The i-th word that may follow `receipts`, NULL: there are no more. */
const char *receipt_word(unsigned i);

#endif
