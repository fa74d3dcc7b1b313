/* Who sends NMSG containers to a source, by address and sequence id, and the numbers of the containers of each:
 * 32 bits on the wire, 64 here.
 *
 * Anybody can send a datagram, in anybody's name. So few senders are told apart, one that was heard of within
 * LINK_SILENT_MS makes room for no other, and when half of the places are taken a newcomer has to go on for a
 * while before it gets one. The numbers of a sender without a place are not judged. Owned by the source's
 * thread. */
#ifndef ADAPTERS_NMSG_LINKS_H
#define ADAPTERS_NMSG_LINKS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

enum {
    NMSG_LINKS = 64,
    NMSG_LINKS_AT_ONCE = 32,   /* so many get a place by their first container */
    NMSG_LINKS_PROOF = 16,     /* containers that a later newcomer has to number in a row */
    NMSG_LINK_SILENT_MS = 10 * 60 * 1000,
};

struct nmsg_link {
    bool used;
    uint64_t id; /* the container's sequence id */
    struct sockaddr_storage from;
    char name[64];     /* for the log and the ledger */
    uint64_t instance; /* names the link in the ledger: the id, or where two senders have the same, one of its own */
    uint64_t last;     /* the highest number, of 64 bits */
    uint64_t heard_ms;
    unsigned proof; /* containers in a row so far, of a newcomer */
};

struct nmsg_links {
    struct nmsg_link at[NMSG_LINKS];
    struct nmsg_link newcomers[NMSG_LINKS]; /* by their hash: who comes later takes the place */
};

/* A container arrived. False: its sender has no place, and the number says nothing. Else the link, and the number
 * in 64 bits. */
bool nmsg_links_note(struct nmsg_links *links, const struct sockaddr_storage *from, uint64_t id, uint32_t sequence,
                     uint64_t now_ms, const struct nmsg_link **link, uint64_t *number);

/* A hash of an address and a port. */
uint64_t nmsg_address_hash(const struct sockaddr_storage *from);

#endif
