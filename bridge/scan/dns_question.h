/* The first question of a DNS message, and names as one compares them: not compressed, in lower case. Any thread; no
 * allocation. */
#ifndef BRIDGE_SCAN_DNS_QUESTION_H
#define BRIDGE_SCAN_DNS_QUESTION_H

#include "dns.h"

enum { QUESTION_LABELS = 128 };

/* The first question of a DNS message. */
struct question {
    struct octets dns; /* the message that it stands in */
    uint16_t type;
    uint16_t class;
    uint32_t name_len;
    unsigned label_count;            /* without the root */
    uint8_t labels[QUESTION_LABELS]; /* where each one begins in `name` */
    uint8_t name[DNS_NAME_WIRE_MAX]; /* lower-cased, not compressed, with the root */
};

/* False: there is none that can be read. */
bool question_read(struct octets dns, struct question *question);

/* Any name, taken apart like a question's. False where it is broken; only the name's fields are filled in. */
bool question_read_name(struct dns_name name, struct question *question);

#endif
