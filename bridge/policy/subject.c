#include "subject.h"

const struct dnstap_view *subject_view(struct subject *s)
{
    if (s->view_state == SUBJECT_UNSEEN)
        s->view_state = dnstap_scan(s->frame, &s->view_) ? SUBJECT_THERE : SUBJECT_ABSENT;
    return s->view_state == SUBJECT_THERE ? &s->view_ : NULL;
}

struct octets subject_dns(struct subject *s)
{
    const struct dnstap_view *view = subject_view(s);
    if (!view)
        return (struct octets){0};
    return dnstap_has(view, DNSTAP_HAS_RESPONSE_MESSAGE) ? view->response_message
                                                         : view->query_message;
}

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

static bool read_question(struct octets dns, struct question *q)
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

const struct question *subject_question(struct subject *s)
{
    if (s->question_state == SUBJECT_UNSEEN)
        s->question_state =
            read_question(subject_dns(s), &s->question_) ? SUBJECT_THERE : SUBJECT_ABSENT;
    return s->question_state == SUBJECT_THERE ? &s->question_ : NULL;
}
