#include "subject.h"

#include <string.h>

const struct dnstap_view *subject_view(struct subject *s)
{
    if (s->view_state == SUBJECT_UNSEEN)
        s->view_state = dnstap_scan(s->frame, &s->view_) ? SUBJECT_THERE : SUBJECT_ABSENT;
    return s->view_state == SUBJECT_THERE ? &s->view_ : NULL;
}

const struct question *subject_question(struct subject *s)
{
    if (s->question_state == SUBJECT_UNSEEN) {
        const struct dnstap_view *view = subject_view(s);
        bool there = view && (question_read(view->response_message, &s->question_) ||
                              question_read(view->query_message, &s->question_));
        s->question_state = there ? SUBJECT_THERE : SUBJECT_ABSENT;
    }
    return s->question_state == SUBJECT_THERE ? &s->question_ : NULL;
}

static bool same_question(const struct question *a, const struct question *b)
{
    return a->type == b->type && a->class == b->class && a->name_len == b->name_len &&
           memcmp(a->name, b->name, a->name_len) == 0;
}

const struct question *subject_other_question(struct subject *s)
{
    if (s->other_state == SUBJECT_UNSEEN) {
        const struct question *first = subject_question(s);
        bool differs = first && first->dns.data != s->view_.query_message.data &&
                       question_read(s->view_.query_message, &s->other_) &&
                       !same_question(first, &s->other_);
        s->other_state = differs ? SUBJECT_THERE : SUBJECT_ABSENT;
    }
    return s->other_state == SUBJECT_THERE ? &s->other_ : NULL;
}
