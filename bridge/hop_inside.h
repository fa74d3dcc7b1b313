/* What the files of a hop (hop.c, hop_reload.c, hop_view.c) share. The main thread alone changes
 * it, under the lock where others read it. */
#ifndef BRIDGE_HOP_INSIDE_H
#define BRIDGE_HOP_INSIDE_H

#include <pthread.h>

#include "hop.h"

enum {
    HOP_PLACES = INTAKE_ROUTES, /* sources, and sinks, in a hop's life: what has stopped stays in
                                   the ledger */
    HOP_AWAITED = 2 * HOP_PLACES,
    EXIT_DIVERSIONS = 4 * PLAN_STEPS,
};

struct feed { /* a source at work */
    struct hop *hop;
    struct endpoint *endpoint;
    struct named name;
    struct source *source; /* NULL once it was freed */
    struct intake *intake;
    pthread_t thread;
    bool started;
    bool retired;     /* no longer in the configuration */
    int64_t deadline; /* of a retired one, ms */
    _Atomic bool ended;
};

/* Where one sink's policy sends what it takes out. */
struct diversion {
    char *to;              /* the other sink's name */
    bool used;             /* by the policy that is there now */
    struct intake *intake; /* the first sink's thread puts it there */
    struct exit *exit;     /* where it leads now; NULL: nowhere */
    const struct ring *ring;
};

struct exit_role {
    bool diverted;  /* it takes what others' policies take out, and nothing else */
    bool successor; /* of one at the same place */
};

struct exit { /* a sink at work, and what it may ask of us */
    struct hop *hop;
    struct endpoint *endpoint;
    struct named name;
    char *called;      /* what rejects: says for it; NULL: no name */
    char *rejects_url; /* what its diversions are called as a source */
    struct outlet *outlet;
    struct sink_host host;
    struct exit_role role;
    struct diversion diversions[EXIT_DIVERSIONS];
    unsigned diversion_count;
    bool retired, closed, emptied;
    int64_t deadline; /* of a retired one, ms */
};

struct awaited { /* to be opened when who has its place has stopped */
    struct endpoint *endpoint;
    enum direction direction;
    bool diverted;
};

struct hop {
    char name[64];
    uint64_t drain_ms;
    struct bell *changed;
    pthread_mutex_t lock;
    struct feed *feeds[HOP_PLACES]; /* opened so far */
    struct exit *exits[HOP_PLACES];
    unsigned feed_count;
    unsigned exit_count;
    struct awaited awaited[HOP_AWAITED];
    unsigned awaited_count;
    bool running; /* threads are started */
    bool closing;
    struct timespec started;
};

/* Opens one more, connects it to all others, and starts it where the hop is running. Takes over the
 * endpoint, whatever comes of it. False with the error. */
bool hop_add_source(struct hop *hop, struct endpoint *endpoint, struct error *error);
bool hop_add_sink(struct hop *hop, struct endpoint *endpoint, struct exit_role role,
                  struct error *error);

/* Leads what policies take out to the sinks that bear the names now. False: out of memory. */
bool hop_lead_diversions(struct hop *hop, struct error *error);

/* Puts the endpoint's policy to work at the exit, with diversions of its own. False: out of memory.
 */
bool hop_set_policy(struct exit *exit, struct endpoint *endpoint, struct error *error);

void exit_free(struct exit *exit);

/* Messages that never arrived, over all sources. Under the lock. */
uint64_t hop_lost(struct hop *hop);

#endif
