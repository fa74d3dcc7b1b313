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

const struct question *subject_question(struct subject *s)
{
    if (s->question_state == SUBJECT_UNSEEN)
        s->question_state =
            question_read(subject_dns(s), &s->question_) ? SUBJECT_THERE : SUBJECT_ABSENT;
    return s->question_state == SUBJECT_THERE ? &s->question_ : NULL;
}
