/* `dnstap-bridge receipts ...`: keys, and what receipts say. Main thread. */
#ifndef RECEIPT_COMMAND_H
#define RECEIPT_COMMAND_H

/* `argv[0]` is "receipts". The exit status. */
int receipt_command(int argc, char **argv);

#endif
