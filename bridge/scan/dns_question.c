#include "dns_question.h"

bool question_read_name(struct dns_name name, struct question *q)
{
    struct dns_labels labels = dns_labels_of(name);
    struct octets label;
    uint32_t len = 0;
    q->label_count = 0;
    while (dns_labels_next(&labels, &label)) {
        if (len + label.len + 2 > DNS_NAME_WIRE_MAX || q->label_count == QUESTION_LABELS)
            return false;
        q->labels[q->label_count++] = (uint8_t)len;
        q->name[len++] = (uint8_t)label.len;
        for (uint32_t i = 0; i < label.len; i++) {
            uint8_t c = label.data[i];
            q->name[len++] = c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
        }
    }
    q->name[len++] = 0;
    q->name_len = len;
    return labels.done;
}

bool question_read(struct octets dns, struct question *q)
{
    struct dns_walk walk;
    struct dns_question first;
    if (!dns_walk_begin(&walk, dns) || !dns_walk_question(&walk, &first))
        return false;
    q->dns = dns;
    q->type = first.type;
    q->class = first.class;
    return question_read_name(first.name, q);
}
