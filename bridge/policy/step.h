/* One step of a policy: the vtable that all of them fill in. A step looks at one message after the
 * other, and passes it, changes it, takes it out, or keeps it for later. Made on the main thread,
 * then used by one route's thread alone; it never blocks, and allocates nothing per message. */
#ifndef BRIDGE_POLICY_STEP_H
#define BRIDGE_POLICY_STEP_H

#include <stdio.h>

#include "../error.h"
#include "../options.h"
#include "subject.h"

struct step;

enum verdict {
    VERDICT_PASS,      /* on to the next step, perhaps changed */
    VERDICT_TAKE_OUT,  /* on purpose: filtered, or sent where the step's `rejects` says */
    VERDICT_MALFORMED, /* the step cannot tell: it is no dnstap message */
    VERDICT_FAILED,    /* out of memory */
    VERDICT_HELD, /* the step has a copy, with a ticket of its own, and gives it back by `release`
                   */
};

struct step_ops {
    const char *name;    /* the key in a policy */
    const char *summary; /* one line for help */
    const struct option_spec *options;

    /* A step with these options, which are borrowed and outlive it. NULL with the error. */
    struct step *(*new)(const struct options *options, struct error *error);
    void (*free)(struct step *step);

    enum verdict (*judge)(struct step *step, struct subject *subject);

    /* What the step does, in plain words, after "  - ": ends without a line's end. */
    void (*say)(const struct options *options, FILE *out);

    /* What its lists (options that repeat) mean, however they are written, for the policy's hash. NULL: it
     * has none. */
    void (*put_canonical)(const struct step *step, struct buffer *out);

    /* The octets of memory that it may take, beside itself. NULL: hardly any. */
    uint64_t (*memory)(const struct step *step);

    /* The time, CLOCK_MONOTONIC, once before each batch. NULL: it does not care. */
    void (*tick)(struct step *step, int64_t now_ms);

    /* For a step that holds messages, else both NULL. When is one due: -1: it holds none. And the
     * next one that is due by `now_ms`, with its ticket, which the caller drops; the frame stays
     * until the next call. False: none. */
    int64_t (*due)(const struct step *step);
    bool (*release)(struct step *step, int64_t now_ms, struct subject *subject);
};

/* All steps, ending with NULL, and the options that each of them has beside its own: `rejects`. */
extern const struct step_ops *const policy_steps[];
extern const struct option_spec policy_step_options[];
const struct step_ops *policy_step_find(const char *name);

extern const struct step_ops keep_step, drop_step; /* keep.c */
extern const struct step_ops sample_step;
extern const struct step_ops limit_step;
extern const struct step_ops anonymise_step;
extern const struct step_ops dedupe_step;
extern const struct step_ops validate_step;

#endif
