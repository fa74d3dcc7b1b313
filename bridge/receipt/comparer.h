/* What the two halves of a comparison share: compare.c loads a window of both files, compare_blocks.c judges it. */
#ifndef RECEIPT_COMPARER_H
#define RECEIPT_COMPARER_H

#include "receipt/compare.h"
#include "receipt/ranges.h"

struct piece { /* a block, with what its line says of all of it */
    struct block block;
    uint64_t interval;
    uint8_t policy[SHA256_OCTETS]; /* of the policy's name: equal where they are */
};

/* What a line tells of, so that later windows need not take it apart. */
struct span {
    uint64_t low, high; /* low > high: nothing */
    uint64_t behind;    /* one past its last message, 0: it has none */
};

struct spans {
    struct span *at;
    size_t count, room;
};

struct comparer {
    struct receipt_comparison *out;
    struct receipt_reader *sender, *receiver;
    struct buffer needle; /* what every line of the link holds */
    struct receipt_line line;

    struct spans sender_spans, receiver_spans; /* of the lines that hold `needle`, in their order */

    struct piece *blocks; /* the sender's, ascending */
    size_t block_count;
    uint64_t done;      /* of the sender's blocks, in windows before */
    bool last;          /* there are no more behind this window */
    uint64_t low, high; /* the numbers of the window */

    struct { /* the receiver's line before, if it was closed for silence */
        bool silent;
        uint64_t interval, shared, duplicates;
        uint32_t part;
    } before;

    struct piece *runs; /* the receiver's */
    size_t run_count, run_room;
    struct ranges missing, refused;
    struct ranges covered; /* all that the runs hold */
    struct ranges sent;    /* all that the sender's blocks hold */
    struct ranges shared;  /* of the sender's lines without blocks: what was spread over several receivers */
    uint64_t reached; /* one past the highest number of the receiver's lines so far */
};

/* Judges the window that is loaded: every number in it is found to be the same, or is in a finding. False: out of memory. */
bool comparer_judge(struct comparer *c);

#endif
