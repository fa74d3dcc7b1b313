/* The options by which the end of a bus link writes receipts, and what they come to. Main thread.
 */
#ifndef RECEIPT_OPTIONS_H
#define RECEIPT_OPTIONS_H

#include "adapters/adapter.h"
#include "receipt/file.h"

#define RECEIPT_OPTIONS                                                                            \
    {.name = "receipts",                                                                           \
     .type = OPTION_STRING,                                                                        \
     .meaning = "append signed receipts of what crossed the link to this file"},                   \
        {.name = "receipts-key",                                                                   \
         .type = OPTION_STRING,                                                                    \
         .meaning = "the Ed25519 key that signs them, in PEM ('dnstap-bridge receipts --new-key' " \
                    "makes one)"},                                                                 \
    {                                                                                              \
        .name = "receipts-every", .type = OPTION_DURATION, .fallback = "60s", .min = 100,          \
        .max = 86400000, .meaning = "the interval of a receipt; the sender's counts"               \
    }

/* Judges the options, and reads the key. */
bool receipt_check(const struct place *place, struct error *error);

/* Are receipts asked for? */
bool receipt_wanted(const struct options *options);

/* The file of this end. NULL with the error. */
struct receipt_file *receipt_open_file(const struct place *place, bool sender, struct error *error);

#endif
