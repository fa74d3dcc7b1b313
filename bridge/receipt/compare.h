/* Two files of receipts of one link, or several, side by side: which messages the sender says that
 * it sent, and what the receiver says of each. Windows of sequence numbers keep the memory bounded.
 * Main thread. */
#ifndef RECEIPT_COMPARE_H
#define RECEIPT_COMPARE_H

#include "receipt/reader.h"

enum receipt_finding_kind {
    FINDING_MISSING,    /* the receiver says that it never came */
    FINDING_REFUSED,    /* it came broken, the receiver says */
    FINDING_DIFFERS,    /* the digests of a block differ */
    FINDING_POLICY,     /* the two name different policies */
    FINDING_UNRECEIVED, /* the receiver says nothing of it */
    FINDING_UNSENT,     /* the sender says nothing of it */
    FINDING_UNCOMPARED, /* both have it, in blocks that are not the same */
    FINDING_KINDS,
};

struct receipt_finding {
    enum receipt_finding_kind kind;
    uint64_t first, last;
    uint64_t interval_first, interval_last; /* the sender's, or where it has none, the receiver's */
};

struct receipt_total { /* of one kind */
    uint64_t ranges, messages;
    uint64_t first, last, interval_first, interval_last; /* the hull of all */
};

enum { FINDINGS_MAX = 100 }; /* kept of a link; the rest is counted */

struct receipt_comparison {
    const char *link;
    uint64_t same;                   /* messages whose digests agree */
    uint64_t first, last, intervals; /* of the sender */
    uint64_t sent;
    uint64_t shared_sent, shared_received; /* where the sender spread its batches */
    uint64_t duplicates;
    uint64_t unwritten_sent, unwritten_received; /* lines of each file, of whichever link, that could not be written */
    struct receipt_total totals[FINDING_KINDS];
    struct receipt_finding findings[FINDINGS_MAX];
    unsigned finding_count;
    uint64_t more_findings;
};

struct receipt_links { /* of a file, in the order of their coming */
    char **names;
    unsigned count, room;
    void *tree;
    bool too_many;
};

/* The first pass over a file: judges it, and lists its links. False with the error. Free in either
 * case. */
bool receipt_links_read(struct receipt_links *links, struct receipt_reader *reader,
                        struct error *error);
bool receipt_links_have(const struct receipt_links *links, const char *name);
void receipt_links_free(struct receipt_links *links);

/* Compares one link after the first pass over both. False with the error, which names no file:
 * `*bad` is the reader whose file it is. */
bool receipt_compare(struct receipt_comparison *out, const char *link,
                     struct receipt_reader *sender, struct receipt_reader *receiver,
                     struct receipt_reader **bad, struct error *error);

#endif
