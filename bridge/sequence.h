/* What one receiver can say of one sender's numbered messages: from where it follows them, which
 * numbers never came, which came twice. Owned by one thread, or under its owner's lock. */
#ifndef BRIDGE_SEQUENCE_H
#define BRIDGE_SEQUENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "gaps.h"

struct sequence {
    bool joined;
    uint32_t epoch;
    uint64_t joined_at; /* the first number seen: nothing before it is judged */
    uint64_t next;      /* one past the highest number seen */
    uint64_t received;
    uint64_t lost;
    uint64_t duplicates;
    struct gaps gaps; /* that a late batch may still fill; forgotten ones stay lost */
};

/* Messages first .. first+count-1 arrived (count may be 0: "I have sent all before `first`"). Where
 * the sender spreads its batches (`shared`), or began or ceased to (`epoch`), gaps are not judged.
 * Returns how many messages this arrival showed to be lost. */
uint64_t sequence_note(struct sequence *sequence, uint64_t first, uint32_t count, bool shared,
                       uint32_t epoch);

#endif
