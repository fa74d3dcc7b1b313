/* One line of a receipt file:
 *
 *     {"receipt":1,"line":17,"previous":SHA-256,"key":ID,"as":"sender", ... ,"signature":"..."}
 *
 * `previous` is the digest of the line before with its line feed (zeros in the first), so that
 * lines make a chain. The signature is over all octets from the brace to before `,"signature":`.
 * Any thread. */
#ifndef RECEIPT_LINE_H
#define RECEIPT_LINE_H

#include "buffer.h"
#include "gaps.h"
#include "receipt/key.h"

enum receipt_kind { RECEIPT_OPEN, RECEIPT_INTERVAL, RECEIPT_KEY, RECEIPT_CLOSE };

/* Where a file stands: what the next line of its chain says of those before it. */
struct receipt_chain {
    uint64_t line; /* its number; the first is 1 */
    uint8_t previous[SHA256_OCTETS];
};

/* Appends a whole signed line made of `fields`, and its line feed. Marks the buffer where it cannot
 * be signed. */
void receipt_line_write(const struct receipt_chain *chain, const struct receipt_key *key,
                        const struct buffer *fields, struct buffer *out);

/* The chain behind a line (`len` octets with the line feed). */
void receipt_chain_step(struct receipt_chain *chain, const void *line, size_t len);

/* A line taken apart. */
struct receipt_line {
    uint64_t number;
    uint8_t previous[SHA256_OCTETS];
    char key[SHA256_HEX + 1];
    enum receipt_kind kind;
    bool sender;   /* else the receiver */
    char time[40]; /* when it was written, or of an interval, when its last batch was; "" without
                      one */
    uint64_t unwritten; /* lines before this one that could not be written */

    uint8_t public_key[PUBLIC_OCTETS]; /* of an open or a key line */
    bool unclean;                      /* an open line: what ran before did not close the file */

    char link[LINK_NAME_MAX]; /* and the rest: of an interval */
    uint64_t interval;
    uint32_t part;
    uint64_t first, last, messages, duplicates;
    bool shared;
    bool
        silent; /* closed for silence: if the interval goes on, the next line has all of it again */
    char policy[SHA256_HEX + 1];
    struct gaps missing, refused;
    struct block blocks[BLOCKS_MAX];
    unsigned block_count;

    size_t signed_len; /* of the octets that the signature is over */
    uint8_t signature[SIGNATURE_OCTETS];
};

/* Reads a line without its line feed. Judges its form, not its place or its signature. False with
 * the reason. */
bool receipt_line_read(struct receipt_line *line, const char *text, size_t len,
                       struct error *error);

bool receipt_line_signed_by(const struct receipt_line *line, const char *text,
                            const struct receipt_key *key);

#endif
