/* How much of everything the status server holds at once, and what memory that comes to. */
#ifndef BRIDGE_STATUS_BOUNDS_H
#define BRIDGE_STATUS_BOUNDS_H

#include "config.h"
#include "ledger_copy.h"

enum {
    STATUS_CLIENTS = 64,          /* connections at once */
    STATUS_CLIENTS_CROWDED = 48,  /* from here on the oldest makes room for a new one */
    STATUS_CLIENT_MEMORY = 16384, /* octets for a request and its headers */
    STATUS_ANSWERS = 3,           /* ledgers and metrics that are being read at once */

    /* What one answer of /metrics, the longer of both, has at most: lines, and octets of a line. */
    STATUS_ROUTE_LINES = 40,
    STATUS_LINK_LINES = 14,
    STATUS_HOP_LINES = 9,
    STATUS_LINE_OCTETS = 256,
};

static inline uint64_t status_memory(const struct config *config)
{
    uint64_t routes = (uint64_t)config->source_count * config->sink_count, links = 0;
    for (unsigned i = 0; i < config->source_count; i++)
        links += config->sources[i]->adapter->source->has_links;
    uint64_t lines = routes * STATUS_ROUTE_LINES + links * (UPSTREAM_LINKS * STATUS_LINK_LINES + UPSTREAM_HOPS * STATUS_HOP_LINES);
    uint64_t copy = routes * sizeof(struct route_copy) + links * upstream_memory();
    /* the one that is being written stands in two buffers, and beside a copy of the ledger */
    return (STATUS_ANSWERS + 2) * lines * STATUS_LINE_OCTETS + copy + STATUS_CLIENTS * STATUS_CLIENT_MEMORY;
}

#endif
