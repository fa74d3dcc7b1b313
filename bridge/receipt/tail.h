/* The end of a receipt file, where the next line goes. Main thread. */
#ifndef RECEIPT_TAIL_H
#define RECEIPT_TAIL_H

#include "receipt/line.h"

struct receipt_tail {
    int fd;
    uint64_t size; /* of the whole lines */
    struct receipt_chain chain;
    bool sender;
    bool fresh;               /* nothing stands in it */
    bool clean;               /* its last line closes it, or names a key */
    char key[SHA256_HEX + 1]; /* of whom the next line has to be */
    uint64_t torn;            /* octets of a line that a crash left unfinished, now cut off */
};

/* Opens the file, made where `create` says so, for us alone, and finds its end. False with the
 * error. */
bool receipt_tail_open(struct receipt_tail *tail, const char *path, bool create,
                       struct error *error);

/* Appends a line whole or not at all. False with errno. */
bool receipt_tail_append(struct receipt_tail *tail, const struct buffer *line);

void receipt_tail_close(struct receipt_tail *tail);

#endif
