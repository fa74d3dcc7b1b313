/* A message before the steps of a policy: what they ask of it is looked for once, and not before it
 * is asked. A step that changes the message puts another in its place. Owned by the route's thread,
 * on its stack; nothing is allocated. */
#ifndef BRIDGE_POLICY_SUBJECT_H
#define BRIDGE_POLICY_SUBJECT_H

#include "../parcel.h"
#include "../scan/dns_question.h"
#include "../scan/dnstap.h"

enum subject_state { SUBJECT_UNSEEN, SUBJECT_THERE, SUBJECT_ABSENT };

struct subject {
    struct frame frame;   /* as it stands now; borrowed */
    struct ticket ticket; /* whose account it is on; the pledge is borrowed */
    const char *reason;   /* of the step that took it out, or NULL; lives for ever */
    enum subject_state view_state, question_state, other_state;
    struct dnstap_view view_; /* use the functions */
    struct question question_, other_;
};

static inline void subject_init(struct subject *s, struct frame frame, struct ticket ticket)
{
    s->frame = frame;
    s->ticket = ticket;
    s->reason = NULL;
    s->view_state = s->question_state = s->other_state = SUBJECT_UNSEEN;
}

/* Another message in the place of this one; `frame` outlives the subject's way through the steps.
 */
static inline void subject_replace(struct subject *s, struct frame frame)
{
    s->frame = frame;
    s->view_state = s->question_state = s->other_state = SUBJECT_UNSEEN;
}

/* Taken apart. NULL: it is no dnstap message. */
const struct dnstap_view *subject_view(struct subject *subject);

/* The first question of the response, or of the query beside it where the response has none that can be
 * read. NULL: neither has one. */
const struct question *subject_question(struct subject *subject);

/* The query's first question where it differs from that of the response beside it; else NULL. */
const struct question *subject_other_question(struct subject *subject);

#endif
