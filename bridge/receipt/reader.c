#include "receipt/reader.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

struct receipt_reader {
    FILE *file;
    const struct receipt_key *trusted;
    bool trusted_signed;
    struct receipt_key *key; /* in force */
    struct receipt_chain chain;
    struct receipt_facts facts;
    bool again;                 /* the first pass is over: */
    uint8_t end[SHA256_OCTETS]; /* this is where its chain ended */
    bool running;               /* a start was, and no end */
    size_t len;
    char text[RECEIPT_LINE_MAX + 1];
};

struct receipt_reader *receipt_reader_over(FILE *file, const struct receipt_key *trusted,
                                           struct error *error)
{
    struct receipt_reader *r = calloc(1, sizeof *r);
    if (!r) {
        fclose(file);
        error_set(error, "cannot be read: out of memory");
        return NULL;
    }
    r->file = file;
    r->trusted = trusted;
    r->chain.line = 1;
    return r;
}

struct receipt_reader *receipt_reader_open(const char *path, const struct receipt_key *trusted,
                                           struct error *error)
{
    FILE *file = fopen(path, "re");
    if (file)
        return receipt_reader_over(file, trusted, error);
    error_set(error, "cannot be read: %s", strerror(errno));
    return NULL;
}

void receipt_reader_free(struct receipt_reader *r)
{
    if (!r)
        return;
    fclose(r->file);
    receipt_key_free(r->key);
    free(r);
}

/* A line with its line feed into `text`. False at the end, or with `len` too large where it has
 * none. */
static bool take_text(struct receipt_reader *r)
{
    int c = EOF;
    for (r->len = 0; r->len < sizeof r->text && (c = getc_unlocked(r->file)) != EOF;) {
        r->text[r->len++] = (char)c;
        if (c == '\n')
            return true;
    }
    r->facts.torn = c == EOF && r->len > 0;
    return c != EOF;
}

static bool check_key(struct receipt_reader *r, const struct receipt_line *line,
                      struct error *error)
{
    if (!r->key && line->kind != RECEIPT_OPEN)
        return error_set(error, "does not begin with its first line: lines are missing");
    if (!r->key)
        r->key = receipt_key_of(line->public_key);
    if (!r->key)
        return error_set(error, "cannot be read at line %" PRIu64 ": it holds no key",
                         r->chain.line);
    if (r->facts.keys == 0)
        r->facts.keys = 1;
    if (!receipt_line_signed_by(line, r->text, r->key)) {
        if (strcmp(line->key, receipt_key_id(r->key)) != 0)
            return error_set(error,
                             "is not signed by its key: line %" PRIu64
                             " names %.16s..., and %.16s... was in force",
                             r->chain.line, line->key, receipt_key_id(r->key));
        return error_set(error, "was changed after it was signed: line %" PRIu64, r->chain.line);
    }
    r->trusted_signed = r->trusted_signed || (r->trusted && strcmp(receipt_key_id(r->trusted),
                                                                   receipt_key_id(r->key)) == 0);
    return true;
}

static bool check_place(const struct receipt_reader *r, const struct receipt_line *line,
                        struct error *error)
{
    if (line->number != r->chain.line)
        return error_set(error,
                         "has lines that are missing, or in another order: line %" PRIu64
                         " says that it is line %" PRIu64,
                         r->chain.line, line->number);
    if (memcmp(line->previous, r->chain.previous, SHA256_OCTETS) != 0)
        return error_set(error,
                         "has a line that was replaced: line %" PRIu64
                         " follows another than the one before it",
                         r->chain.line);
    if (r->facts.lines > 0 && line->sender != r->facts.sender)
        return error_set(error, "contradicts itself: line %" PRIu64 " is of the other end",
                         r->chain.line);
    return true;
}

static bool turn_key(struct receipt_reader *r, const struct receipt_line *line, struct error *error)
{
    struct receipt_key *next = receipt_key_of(line->public_key);
    if (!next)
        return error_set(error, "cannot be read at line %" PRIu64 ": it holds no key",
                         r->chain.line);
    receipt_key_free(r->key);
    r->key = next;
    r->facts.keys++;
    return true;
}

static void learn(struct receipt_reader *r, const struct receipt_line *line)
{
    struct receipt_facts *f = &r->facts;
    f->lines++;
    f->unwritten += line->unwritten;
    f->sender = line->sender;
    f->crashes += line->kind == RECEIPT_OPEN && r->running;
    memcpy(f->key, line->key, sizeof f->key);
    if (line->time[0])
        memcpy(f->time, line->time, sizeof f->time);
    if (line->kind == RECEIPT_OPEN || line->kind == RECEIPT_CLOSE)
        r->running = line->kind == RECEIPT_OPEN;
    f->closed = !r->running;
}

/* All that the first pass asks of a line. */
static bool judge(struct receipt_reader *r, const struct receipt_line *line, struct error *error)
{
    if (!check_key(r, line, error) || !check_place(r, line, error))
        return false;
    if (line->kind == RECEIPT_OPEN && memcmp(line->key, receipt_key_id(r->key), SHA256_HEX) != 0)
        return error_set(error, "contradicts itself: line %" PRIu64 " names another key",
                         r->chain.line);
    learn(r, line);
    return line->kind != RECEIPT_KEY || turn_key(r, line, error);
}

static enum receipt_found at_end(struct receipt_reader *r, struct error *error)
{
    bool same = !r->again || memcmp(r->end, r->chain.previous, SHA256_OCTETS) == 0;
    if (ferror(r->file))
        error_set(error, "cannot be read: %s", strerror(errno));
    else if (r->facts.lines == 0)
        error_set(error, "holds no receipts");
    else if (r->trusted && !r->trusted_signed)
        error_set(error, "is not signed by the key given");
    else if (!same)
        error_set(error, "was changed while it was read");
    else {
        memcpy(r->end, r->chain.previous, SHA256_OCTETS);
        r->again = true;
        return RECEIPT_AT_END;
    }
    return RECEIPT_BAD;
}

enum receipt_found receipt_reader_next(struct receipt_reader *r, const struct buffer *with,
                                       struct receipt_line *line, struct error *error)
{
    struct error why;
    for (;;) {
        /* a file that is written to meanwhile ends where the first pass ended */
        if ((r->again && r->chain.line > r->facts.lines) || !take_text(r))
            return at_end(r, error);
        bool wanted = !r->again || !with || memmem(r->text, r->len, with->data, with->len);
        if (wanted && !receipt_line_read(line, r->text, r->len - 1, &why)) {
            error_set(error, "cannot be read at line %" PRIu64 ": %s", r->chain.line, why.text);
            return RECEIPT_BAD;
        }
        if (!r->again && !judge(r, line, error))
            return RECEIPT_BAD;
        receipt_chain_step(&r->chain, r->text, r->len);
        if (wanted)
            return RECEIPT_FOUND;
    }
}

enum receipt_found receipt_reader_skip(struct receipt_reader *r, const struct buffer *with, struct error *error)
{
    for (;;) {
        if (r->chain.line > r->facts.lines || !take_text(r))
            return at_end(r, error);
        receipt_chain_step(&r->chain, r->text, r->len);
        if (memmem(r->text, r->len, with->data, with->len))
            return RECEIPT_FOUND;
    }
}

bool receipt_reader_rewind(struct receipt_reader *r, struct error *error)
{
    r->chain = (struct receipt_chain){.line = 1};
    return fseeko(r->file, 0, SEEK_SET) == 0 ||
           error_set(error, "cannot be read again: %s", strerror(errno));
}

const struct receipt_facts *receipt_reader_facts(const struct receipt_reader *r)
{
    return &r->facts;
}
