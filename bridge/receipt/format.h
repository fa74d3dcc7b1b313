/* What the parts of a receipt agree on; docs/receipts.md describes the format field by field. */
#ifndef RECEIPT_FORMAT_H
#define RECEIPT_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

#include "hex.h"

enum {
    RECEIPT_FORMAT = 1,
    SHA256_OCTETS = 32,
    SHA256_HEX = 2 * SHA256_OCTETS,
    SIGNATURE_OCTETS = 64,
    SIGNATURE_HEX = 2 * SIGNATURE_OCTETS,

    BLOCK_MESSAGES = 1024, /* a block ends before each multiple of this, and with its interval */
    BLOCKS_MAX = 512,      /* in a line: then the interval goes on in another */
    RECEIPT_LINE_MAX = 96 * 1024, /* octets; those that we write are below 80 KiB */
    LINK_NAME_MAX = 512,
};

/* A run of messages that came one behind the other, and the digest of their data frames. */
struct block {
    uint64_t first, last;
    uint8_t sha256[SHA256_OCTETS];
};


#endif
