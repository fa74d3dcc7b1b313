/* A line on the terminal that shows a running hop: rates and losses, renewed every second. Main thread. */
#ifndef BRIDGE_LIVE_H
#define BRIDGE_LIVE_H

#include "hop.h"

struct live {
    bool shown;
    int64_t drawn_ms; /* when it was drawn last; 0: not yet */
    struct tally before;
};

/* Shown where standard error is a terminal, nobody asked for quiet, and no sink writes to the same terminal. */
void live_start(struct live *live, const struct config *config);

/* Draws it where a second has gone by; the ms after which to call again, -1 where nothing is shown. */
int live_draw(struct live *live, struct hop *hop);

/* Takes it off the terminal for good. */
void live_end(struct live *live);

#endif
