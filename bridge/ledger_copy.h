/* A hop's ledger as it stood at one moment: routes, sources, and the links to the hops before. A copy, so that
 * printing, encoding and sending it happens outside every lock. Owned by one thread. */
#ifndef BRIDGE_LEDGER_COPY_H
#define BRIDGE_LEDGER_COPY_H

#include <stdbool.h>

#include "buffer.h"
#include "pace.h"
#include "upstream.h"

struct route_copy {
    struct named source, sink; /* owned, like `name` */
    char *name;                /* the sink's, NULL: it has none */
    struct tally tally;
    size_t ring; /* octets inside */
    size_t ring_capacity;
    struct pace pace;
};

struct source_copy {
    struct named name; /* owned */
    uint64_t lost;
    bool knows_connections;
    uint64_t connections;
    bool knows_turned_away;
    uint64_t turned_away;
    struct link_copy *links;
    unsigned link_count;
};

struct ledger_copy {
    char hop[HOP_NAME_MAX + 1];
    double seconds; /* since the start */
    struct route_copy *routes;
    unsigned route_count, route_room;
    struct source_copy *sources;
    unsigned source_count, source_room;
    struct tally sum; /* of all routes */
    uint64_t lost;    /* before this hop, over all sources */
    bool failed;      /* memory ran out: it is not whole */
};

/* Adds a route to the copy, or to the one that it continues: of the same source and sink. Copies the names. False: out of
 * memory, and the copy is marked. */
bool ledger_copy_add_route(struct ledger_copy *copy, const struct route_copy *route);

/* A new source, zeroed but for a copy of its name; NULL: out of memory, and the copy is marked. */
struct source_copy *ledger_copy_add_source(struct ledger_copy *copy, struct named name);

/* Frees what it holds. */
void ledger_copy_free(struct ledger_copy *copy);

/* Appends the table for people, or the JSON object and a line's end (docs/ledger.md describes its shape). */
void ledger_write_text(const struct ledger_copy *copy, struct buffer *out);
void ledger_write_json(const struct ledger_copy *copy, struct buffer *out);

/* Appends one object of the array `upstream`. */
void link_write_json(const char *source, const struct link_copy *link, struct buffer *out);

#endif
