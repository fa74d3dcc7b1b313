/* The header's and first question's fields that base:dnsqr and base:dnsobs repeat. */
#ifndef BRIDGE_NMSG_QUESTION_H
#define BRIDGE_NMSG_QUESTION_H

#include "../scan/dns.h"

struct nmsg_question {
    uint16_t id, type, class;
    uint16_t rcode; /* of the header */
    uint8_t name[DNS_NAME_WIRE_MAX];
    uint32_t name_len;
};

/* The question is that of the response, or of the query where the response has none; `id` and `rcode` are
 * those of the response where there is one. False where neither has a whole question; `id` and `rcode`
 * are there all the same if the header is, else 0. */
bool nmsg_question_read(struct octets response, struct octets query, struct nmsg_question *question);

#endif
