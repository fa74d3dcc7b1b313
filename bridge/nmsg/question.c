#include "question.h"

bool nmsg_question_read(struct octets dns, struct nmsg_question *q)
{
    struct dns_walk walk;
    struct dns_question question;
    struct octets label;

    *q = (struct nmsg_question){0};
    bool begun = dns_walk_begin(&walk, dns);
    q->id = walk.header.id;
    q->rcode = walk.header.flags & 15;
    if (!begun || !dns_walk_question(&walk, &question))
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
