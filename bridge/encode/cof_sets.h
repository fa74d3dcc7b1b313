/* The RRsets of one response, for passive DNS: all records of class IN with the same owner and type are one
 * set, in whatever order and sections they stand, each record once. Owned by one thread; all memory is in the
 * structure but a buffer's growth. */
#ifndef BRIDGE_ENCODE_COF_SETS_H
#define BRIDGE_ENCODE_COF_SETS_H

#include "../scan/dns.h"
#include "../siphash.h"

enum { COF_DNS_MAX = 65535, COF_RECORDS_MAX = COF_DNS_MAX / 11 + 1 };

struct cof_sets {
    struct siphash_key key; /* of all hashes: random, so that nobody can choose sets that are taken for each other */
    unsigned count;
    struct dns_record records[COF_RECORDS_MAX];
    struct siphash sets[COF_RECORDS_MAX];  /* of owner and type */
    struct siphash datas[COF_RECORDS_MAX]; /* of RDATA, whatever the case of its names and their compression */
    uint16_t order[COF_RECORDS_MAX];        /* by these two */
    unsigned next;
    struct buffer canonical;
};

/* One set: the records order[first] to order[first + count - 1]. */
struct cof_set {
    unsigned first, count;
    struct siphash hash; /* of owner, type and all RDATA */
};

/* Takes a sound message (dns_message_ok) of COF_DNS_MAX octets at most. False: out of memory. */
bool cof_sets_find(struct cof_sets *sets, struct octets dns);

/* The next set; false behind the last. */
bool cof_sets_next(struct cof_sets *sets, struct cof_set *set);

static inline const struct dns_record *cof_sets_record(const struct cof_sets *sets, unsigned place)
{
    return &sets->records[sets->order[place]];
}

struct siphash cof_hash_of(const struct cof_sets *sets, const struct buffer *octets);

#endif
