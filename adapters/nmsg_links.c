#include "nmsg_links.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static uint64_t mix(uint64_t hash, const void *data, size_t len)
{
    const uint8_t *octets = data;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ octets[i]) * 1099511628211u;
    return hash;
}

uint64_t nmsg_address_hash(const struct sockaddr_storage *from)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)from;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)from;
    uint64_t hash = 1469598103934665603u;
    if (from->ss_family == AF_INET)
        return mix(mix(hash, &in->sin_addr, sizeof in->sin_addr), &in->sin_port, sizeof in->sin_port);
    return mix(mix(hash, &in6->sin6_addr, sizeof in6->sin6_addr), &in6->sin6_port, sizeof in6->sin6_port);
}

static bool same_address(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    const struct sockaddr_in *x = (const struct sockaddr_in *)a, *y = (const struct sockaddr_in *)b;
    const struct sockaddr_in6 *x6 = (const struct sockaddr_in6 *)a, *y6 = (const struct sockaddr_in6 *)b;
    if (a->ss_family != b->ss_family)
        return false;
    if (a->ss_family == AF_INET)
        return x->sin_port == y->sin_port && x->sin_addr.s_addr == y->sin_addr.s_addr;
    return x6->sin6_port == y6->sin6_port &&
           memcmp(&x6->sin6_addr, &y6->sin6_addr, sizeof x6->sin6_addr) == 0;
}

static bool is_of(const struct nmsg_link *link, const struct sockaddr_storage *from, uint64_t id)
{
    return link->used && link->id == id && same_address(&link->from, from);
}

static struct nmsg_link *find(struct nmsg_links *links, const struct sockaddr_storage *from, uint64_t id)
{
    for (unsigned i = 0; i < NMSG_LINKS; i++) {
        if (is_of(&links->at[i], from, id))
            return &links->at[i];
    }
    return NULL;
}

/* A free place, or that of a sender that is long silent. NULL: there is none. */
static struct nmsg_link *find_place(struct nmsg_links *links, uint64_t now_ms, unsigned *used)
{
    struct nmsg_link *place = NULL;
    *used = 0;
    for (unsigned i = 0; i < NMSG_LINKS; i++) {
        struct nmsg_link *link = &links->at[i];
        const bool silent = link->used && now_ms - link->heard_ms >= NMSG_LINK_SILENT_MS;
        *used += link->used && !silent;
        if (!link->used || (silent && (!place || (place->used && link->heard_ms < place->heard_ms))))
            place = !place || place->used ? link : place;
    }
    return place;
}

static uint64_t instance_for(const struct nmsg_links *links, const struct sockaddr_storage *from, uint64_t id)
{
    for (unsigned i = 0; i < NMSG_LINKS; i++) {
        if (links->at[i].used && links->at[i].instance == id)
            return mix(nmsg_address_hash(from), &id, sizeof id);
    }
    return id;
}

/* Has the newcomer shown that it goes on? One that only sends datagrams under ever other names has not. */
static bool is_proven(struct nmsg_links *links, const struct sockaddr_storage *from, uint64_t id, uint32_t sequence)
{
    struct nmsg_link *n = &links->newcomers[mix(nmsg_address_hash(from), &id, sizeof id) % NMSG_LINKS];
    const bool goes_on = is_of(n, from, id) && sequence == (uint32_t)(n->last + 1);
    if (!goes_on)
        *n = (struct nmsg_link){.used = true, .id = id, .from = *from};
    n->last = sequence;
    n->used = ++n->proof < NMSG_LINKS_PROOF;
    return !n->used;
}

/* The numbers are those of containers, so the name says so. */
static void put_name(struct nmsg_link *link)
{
    char address[INET6_ADDRSTRLEN] = "?";
    const struct sockaddr_storage *from = &link->from;
    const void *octets = from->ss_family == AF_INET ? (const void *)&((const struct sockaddr_in *)from)->sin_addr
                                                    : (const void *)&((const struct sockaddr_in6 *)from)->sin6_addr;
    inet_ntop(from->ss_family, octets, address, sizeof address);
    snprintf(link->name, sizeof link->name, "nmsg %s containers", address);
}

static struct nmsg_link *join(struct nmsg_links *links, const struct sockaddr_storage *from, uint64_t id,
                              uint32_t sequence, uint64_t now_ms)
{
    unsigned used;
    struct nmsg_link *place = find_place(links, now_ms, &used);
    if (!place || (used >= NMSG_LINKS_AT_ONCE && !is_proven(links, from, id, sequence)))
        return NULL;
    place->used = false;
    *place = (struct nmsg_link){
        .used = true, .id = id, .from = *from, .instance = instance_for(links, from, id), .last = sequence};
    put_name(place);
    return place;
}

bool nmsg_links_note(struct nmsg_links *links, const struct sockaddr_storage *from, uint64_t id, uint32_t sequence,
                     uint64_t now_ms, const struct nmsg_link **link, uint64_t *number)
{
    struct nmsg_link *found = find(links, from, id);
    if (!found && !(found = join(links, from, id, sequence, now_ms)))
        return false;
    *link = found;
    found->heard_ms = now_ms;
    /* the nearest number that ends in these 32 bits */
    const int64_t step = (int32_t)(sequence - (uint32_t)found->last);
    if (step < 0 && found->last < (uint64_t)-step)
        return false; /* before the first of all: late, and before we joined */
    *number = found->last + (uint64_t)step;
    found->last = step > 0 ? *number : found->last;
    return true;
}
