#include "question.h"

static bool read_question(struct octets dns, struct nmsg_question *q)
{
    struct dns_walk walk;
    struct dns_question question;
    struct octets label;

    if (!dns_walk_begin(&walk, dns) || !dns_walk_question(&walk, &question))
        return false;
    struct dns_labels labels = dns_labels_of(question.name);
    while (dns_labels_next(&labels, &label)) {
        q->name[q->name_len++] = (uint8_t)label.len;
        memcpy(q->name + q->name_len, label.data, label.len);
        q->name_len += label.len;
    }
    q->name_len++; /* the root */
    q->type = question.type;
    q->class = question.class;
    return true;
}

bool nmsg_question_read(struct octets response, struct octets query, struct nmsg_question *q)
{
    struct dns_walk walk;
    *q = (struct nmsg_question){0};
    dns_walk_begin(&walk, response.len > 0 ? response : query);
    q->id = walk.header.id;
    q->rcode = walk.header.flags & 15;
    return read_question(response, q) || read_question(query, q);
}
