/* What the files of a hop (hop.c, hop_part.c, hop_reload.c, hop_view.c) share. The main thread alone changes
 * it, under the lock where others read it. The lock is held to change pointers and to copy numbers: nothing is opened,
 * closed, freed, looked up or printed under it. */
#ifndef BRIDGE_HOP_INSIDE_H
#define BRIDGE_HOP_INSIDE_H

#include <pthread.h>

#include "hop.h"

enum {
    HOP_PLACES = INTAKE_ROUTES, /* sources, and sinks, at once */
    HOP_AWAITED = 2 * HOP_PLACES,
    HOP_PAST_ROUTES = 256, /* what has stopped keeps its rows in the ledger; further ones are summed up in one */
    HOP_PAST_SOURCES = 64,
    EXIT_DIVERSIONS = 4 * PLAN_STEPS,
};

struct feed { /* a source at work */
    struct hop *hop;
    struct endpoint *endpoint;
    struct named name;
    struct source *source; /* NULL once it is being closed */
    struct intake *intake;
    pthread_t thread;
    bool started;
    bool retired;      /* no longer in the configuration */
    bool routes_ended; /* nothing comes from it any more */
    int64_t deadline;  /* of a retired one, ms */
    uint64_t turned_away; /* by those of this name before it */
    struct closer *closer; /* closes the source */
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
    bool retired, closed;
    _Atomic bool gone; /* what it wrote to went away for good */
    int64_t deadline;  /* of a retired one, ms */
};

struct awaited { /* to be opened when who has its place has stopped */
    struct endpoint *endpoint;
    enum direction direction;
    bool diverted;
};

/* Closes a source or sink on a thread of its own: libraries take their time for it, and some never come back. */
struct closer {
    struct closer *next;
    pthread_t thread;
    enum direction direction;
    char *url; /* of what is closed: whatever comes to the same place has to wait */
    void (*work)(void *arg);
    void *arg;
    struct bell *changed;
    _Atomic bool done;
};

/* A source that is no longer there: whatever comes in its place goes on with its numbers. */
struct past_source {
    char *url;
    unsigned nth;
    struct upstream *upstream;
    uint64_t turned_away;
};

struct hop {
    char name[64];
    uint64_t drain_ms;
    struct bell *changed;
    pthread_mutex_t lock;
    struct feed *feeds[HOP_PLACES];
    struct exit *exits[HOP_PLACES];
    unsigned feed_count;
    unsigned exit_count;
    struct awaited awaited[HOP_AWAITED];
    unsigned awaited_count;
    struct closer *closers;
    struct ledger_copy past; /* of routes that have ended */
    struct past_source past_sources[HOP_PAST_SOURCES];
    unsigned past_source_count;
    _Atomic uint64_t lost; /* before this hop, over all sources */
    bool live;             /* some source goes on without end */
    bool running;          /* threads are started */
    bool closing;
    struct timespec started;
};

/* Opens one more, connects it to all others, and starts it where the hop is running. Takes over the
 * endpoint, whatever comes of it. False with the error, and what was begun is retired. */
bool hop_add_source(struct hop *hop, struct endpoint *endpoint, struct error *error);
bool hop_add_sink(struct hop *hop, struct endpoint *endpoint, struct exit_role role,
                  struct error *error);

/* It stops as at the end of a run, and then goes. */
void hop_retire_feed(struct hop *hop, struct feed *feed);
void hop_retire_exit(struct hop *hop, struct exit *exit);

/* Leads what policies take out to the sinks that bear the names now. False: out of memory. */
bool hop_lead_diversions(struct hop *hop, struct error *error);

/* Sources that wait for room wait while a sink is being replaced, and so do policies' rejects of their messages. */
void hop_hold_sources(struct hop *hop);

/* Puts the endpoint's policy to work at the exit, with diversions of its own. False: out of memory.
 */
bool hop_set_policy(struct exit *exit, struct endpoint *endpoint, struct error *error);

/* hop_part.c: one source, one sink. */
struct feed *feed_open(struct hop *hop, struct endpoint *endpoint, struct error *error);
bool feed_start(struct feed *feed, struct error *error);
void feed_free(struct feed *feed);
struct exit *exit_open(struct hop *hop, struct endpoint *endpoint, struct exit_role role, struct error *error);
void exit_free(struct exit *exit);

/* hop_close.c: those that have stopped give back what they held; their accounts stay. */
void hop_progress_parts(struct hop *hop, int64_t now);

/* Is something closing at this address? */
bool hop_is_closing(const struct hop *hop, enum direction direction, const char *url);

/* Waits for all that is closing, however long it takes. */
void hop_join_closers(struct hop *hop);

#endif
