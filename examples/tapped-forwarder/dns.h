/* What a forwarder needs to know of DNS messages: the question, the times to live, and little else.
 * All reading of wire format is libknot's. Nothing here is kept or shared. */
#ifndef FORWARDER_DNS_H
#define FORWARDER_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    DNS_MAX = 65535,        /* octets of a message */
    DNS_HEADER = 12,        /* octets */
    DNS_UDP_MIN = 512,      /* octets that every client takes over UDP */
    DNS_EDNS_UDP = 1232,    /* octets that we take over UDP: no fragments */
    DNS_NAME_MAX = 255,     /* octets */
    DNS_TTL_MAX = 86400,    /* seconds that we keep an answer at most */
    DNS_TTL_FIELDS_MAX = 64 /* records of an answer that we keep */
};

/* Who answers the same is the same: the name in lower case, type, class and what the client asked
 * to be told (EDNS, DNSSEC OK, checking disabled). */
struct dns_key {
    uint8_t octets[DNS_NAME_MAX + 5];
    uint16_t len;
    uint16_t name_len;
    uint16_t type, class;
};

struct dns_query {
    struct dns_key key;
    uint8_t name[DNS_NAME_MAX]; /* as the client spelled it; key.name_len octets */
    uint16_t id;
    uint16_t udp_limit; /* octets that the client takes over UDP */
    bool recursion_desired, checking_disabled, edns, dnssec_ok;
};

enum dns_verdict { DNS_FORWARD, DNS_FORMERR, DNS_NOTIMP, DNS_IGNORE };

/* Reads a client's query. `query` is whole only with DNS_FORWARD. */
enum dns_verdict dns_query_read(uint8_t *wire, size_t len, struct dns_query *query);

/* Writes our own query for the same to `out` of DNS_EDNS_UDP octets; its length, or 0. */
size_t dns_query_write(const struct dns_query *query, uint16_t id, uint8_t *out);

/* An answer as it can be kept: where its TTLs stand, and how long it may be told. */
struct dns_answer {
    uint16_t ttl_at[DNS_TTL_FIELDS_MAX];
    uint16_t ttl_count;
    uint32_t ttl; /* seconds; 0: not to be kept */
    bool truncated;
};

/* Reads upstream's response; false when it is none to this query. */
bool dns_answer_read(uint8_t *wire, size_t len, const struct dns_query *query,
                     struct dns_answer *answer);

/* Makes upstream's response ours: id, flags and spelling of the client, TTLs `age` seconds older.
 */
void dns_answer_adopt(uint8_t *wire, const struct dns_query *query, const uint16_t *ttl_at,
                      unsigned ttl_count, uint32_t age);

/* Cuts a response down to its question where it is longer than `limit`; its length. */
size_t dns_answer_fit(uint8_t *wire, size_t len, const struct dns_query *query, size_t limit);

/* Writes SERVFAIL for the query to `out` of DNS_EDNS_UDP octets; its length, or 0. */
size_t dns_servfail(const struct dns_query *query, uint8_t *out);

/* Turns the client's own message into a response with this code and no records; its length. */
size_t dns_error(uint8_t *wire, size_t len, uint8_t rcode);

#endif
