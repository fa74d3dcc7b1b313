#include "ledger_copy.h"

#include <stdlib.h>
#include <string.h>

/* Room for one more in an array; NULL: out of memory. */
static void *grow(void *array, unsigned count, unsigned *room, size_t size)
{
    if (count < *room)
        return array;
    unsigned more = *room ? 2 * *room : 8;
    void *grown = reallocarray(array, more, size);
    if (grown)
        *room = more;
    return grown;
}

static bool same_name(struct named a, struct named b)
{
    return a.nth == b.nth && strcmp(a.url, b.url) == 0;
}

static struct route_copy *find_route(const struct ledger_copy *copy, const struct route_copy *like)
{
    for (unsigned i = 0; i < copy->route_count; i++) {
        struct route_copy *route = &copy->routes[i];
        if (same_name(route->source, like->source) && same_name(route->sink, like->sink))
            return route;
    }
    return NULL;
}

static void add_to(struct route_copy *route, const struct route_copy *more)
{
    tally_add(&route->tally, &more->tally);
    route->ring += more->ring;
    route->ring_capacity = more->ring_capacity ? more->ring_capacity : route->ring_capacity;
    pace_add(&route->pace, &more->pace);
}

bool ledger_copy_add_route(struct ledger_copy *copy, const struct route_copy *route)
{
    tally_add(&copy->sum, &route->tally);
    struct route_copy *before = find_route(copy, route);
    if (before) {
        add_to(before, route);
        return true;
    }
    struct route_copy *routes = grow(copy->routes, copy->route_count, &copy->route_room, sizeof *routes);
    if (routes) {
        copy->routes = routes;
        struct route_copy *to = &routes[copy->route_count];
        *to = *route;
        to->source.url = strdup(route->source.url);
        to->sink.url = strdup(route->sink.url);
        to->name = route->name ? strdup(route->name) : NULL;
        copy->route_count++; /* frees what was copied, too, where something was not */
        if (to->source.url && to->sink.url && (to->name || !route->name))
            return true;
    }
    copy->failed = true;
    return false;
}

struct source_copy *ledger_copy_add_source(struct ledger_copy *copy, struct named name)
{
    struct source_copy *sources = grow(copy->sources, copy->source_count, &copy->source_room, sizeof *sources);
    char *url = strdup(name.url);
    if (sources)
        copy->sources = sources;
    if (!sources || !url) {
        free(url);
        copy->failed = true;
        return NULL;
    }
    struct source_copy *source = &sources[copy->source_count++];
    *source = (struct source_copy){.name = {.url = url, .nth = name.nth}};
    return source;
}

static void name_free(struct named *name)
{
    free((char *)(uintptr_t)name->url);
}

void ledger_copy_free(struct ledger_copy *copy)
{
    for (unsigned i = 0; i < copy->route_count; i++) {
        name_free(&copy->routes[i].source);
        name_free(&copy->routes[i].sink);
        free(copy->routes[i].name);
    }
    for (unsigned i = 0; i < copy->source_count; i++) {
        name_free(&copy->sources[i].name);
        link_copies_free(copy->sources[i].links, copy->sources[i].link_count);
    }
    free(copy->routes);
    free(copy->sources);
    *copy = (struct ledger_copy){0};
}
