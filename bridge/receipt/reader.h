/* Reads a receipt file line by line, and judges what can be judged of it alone: form, chain, keys,
 * signatures. The first pass looks at all; later passes look at the chain alone, which holds what
 * the first has seen. The memory is that of a line, whatever the file. Main thread. */
#ifndef RECEIPT_READER_H
#define RECEIPT_READER_H

#include <stdio.h>

#include "receipt/line.h"

struct receipt_reader;

/* What is known of the file once the first pass is at its end. */
struct receipt_facts {
    uint64_t lines;
    uint64_t unwritten; /* that the lines tell of */
    uint64_t crashes;   /* starts behind an end that was none */
    uint64_t keys;      /* in force, one after the other */
    bool sender;
    bool closed;              /* the last line closes it */
    bool torn;                /* behind the last line feed there is more */
    char key[SHA256_HEX + 1]; /* that signed last */
    char time[40];            /* that the file reaches to; "" where it does not say */
};

/* `trusted`, borrowed, has to be among the keys that signed; NULL: none is known. NULL with the
 * error. */
struct receipt_reader *receipt_reader_open(const char *path, const struct receipt_key *trusted,
                                           struct error *error);

/* Over a file that is open already; takes it over. */
struct receipt_reader *receipt_reader_over(FILE *file, const struct receipt_key *trusted,
                                           struct error *error);
void receipt_reader_free(struct receipt_reader *reader);

enum receipt_found { RECEIPT_FOUND, RECEIPT_AT_END, RECEIPT_BAD };

/* The next line; in later passes, of those that hold the text `with` (NULL: all). RECEIPT_BAD with
 * the error, which goes on behind the file's name: "was changed after it was signed: line 12". */
enum receipt_found receipt_reader_next(struct receipt_reader *reader, const struct buffer *with,
                                       struct receipt_line *line, struct error *error);

/* In a later pass: passes over the next line that holds the text `with`, without taking it apart. As receipt_reader_next. */
enum receipt_found receipt_reader_skip(struct receipt_reader *reader, const struct buffer *with, struct error *error);

/* Begins a further pass, over what the first one saw. */
bool receipt_reader_rewind(struct receipt_reader *reader, struct error *error);

const struct receipt_facts *receipt_reader_facts(const struct receipt_reader *reader);

#endif
