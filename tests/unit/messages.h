/* dnstap messages made to measure, for tests of what looks into them. */
#ifndef TESTS_MESSAGES_H
#define TESTS_MESSAGES_H

#include <stdint.h>

#include "batch.h"

struct message {
    uint8_t *data;
    uint32_t len;
};

/* What is NULL or 0 is left out, but `id`. An even type is a response. */
struct recipe {
    int type; /* Message.Type */
    const char *identity, *version, *extra;
    const char *client, *server; /* addresses */
    const char *qname;           /* without escapes; NULL: no DNS message */
    uint16_t qtype;
    uint16_t id;
    unsigned rcode;     /* beyond 15: with EDNS */
    const char *zone;   /* query_zone */
    uint64_t second;    /* when: the response's time of a response, else the query's */
    const uint8_t *dns; /* the whole DNS message instead */
    uint32_t dns_len;
    const uint8_t *query; /* beside a response: the query's DNS message */
    uint32_t query_len;
};

struct message message_new(const struct recipe *recipe);
struct message message_of(const void *data, uint32_t len); /* a copy */
void message_free(struct message *message);

/* They as one batch; the caller's one reference. */
struct batch *messages_batch(const struct message *messages, unsigned count);

/* A name in wire form; its length. */
uint32_t message_name(const char *text, uint8_t wire[256]);

#endif
