#include "own_name.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "../scan/dns_question.h"

enum { REVERSE_MAX = 80 }; /* of an IPv6 address: 32 labels of one digit, "ip6" and "arpa" */

/* The reverse name in wire form; its length, 0: there is none. */
static uint32_t put_reverse(struct octets address, uint8_t out[REVERSE_MAX])
{
    static const char digits[] = "0123456789abcdef", in_addr[] = "\7in-addr\4arpa",
                      ip6[] = "\3ip6\4arpa";
    uint8_t *to = out;
    if (address.len != 4 && address.len != 16)
        return 0;
    for (uint32_t i = address.len; i-- > 0;) {
        const unsigned octet = address.data[i];
        if (address.len == 4) {
            char text[4];
            *to++ = (uint8_t)snprintf(text, sizeof text, "%u", octet);
            memcpy(to, text, to[-1]);
            to += to[-1];
        } else {
            *to++ = 1;
            *to++ = (uint8_t)digits[octet & 15];
            *to++ = 1;
            *to++ = (uint8_t)digits[octet >> 4];
        }
    }
    const char *zone = address.len == 4 ? in_addr : ip6;
    size_t len = strlen(zone) + 1; /* with the root */
    memcpy(to, zone, len);
    return (uint32_t)(to + len - out);
}

/* Few questions are below arpa, and the rest need not be looked at closely. */
static bool is_arpa(struct dns_name name)
{
    struct dns_labels labels = dns_labels_of(name);
    struct octets label, last = {0};
    while (dns_labels_next(&labels, &label))
        last = label;
    return last.len == 4 && strncasecmp((const char *)last.data, "arpa", 4) == 0;
}

static bool ends_with(const struct question *q, const uint8_t *name, uint32_t len)
{
    for (unsigned i = 0; i < q->label_count; i++) {
        const uint32_t left = q->name_len - q->labels[i];
        if (left == len)
            return memcmp(q->name + q->labels[i], name, len) == 0;
    }
    return false;
}

bool own_name_asked(struct octets dns, struct octets address)
{
    struct dns_walk walk;
    struct dns_question question;
    struct question q;
    uint8_t name[REVERSE_MAX];
    uint32_t len = 0;
    if (!dns_walk_begin(&walk, dns))
        return false;
    while (dns_walk_question(&walk, &question)) {
        if (!is_arpa(question.name) || !question_read_name(question.name, &q))
            continue;
        if (len == 0)
            len = put_reverse(address, name);
        if (len > 0 && ends_with(&q, name, len))
            return true;
    }
    return false;
}
