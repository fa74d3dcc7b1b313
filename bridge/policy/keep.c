/* keep: lets through what fits. drop: takes out what fits. */
#include <stdlib.h>
#include <string.h>

#include "match.h"
#include "say.h"
#include "step.h"

struct step {
    struct match *match;
};

static struct step *step_new(const struct options *options, enum match_questions questions,
                             struct error *error)
{
    struct step *step = calloc(1, sizeof *step);
    if (!step) {
        error_set(error, "out of memory");
        return NULL;
    }
    step->match = match_new(options, questions, error);
    if (step->match)
        return step;
    free(step);
    return NULL;
}

static struct step *keep_new(const struct options *options, struct error *error)
{
    return step_new(options, MATCH_BOTH, error);
}

static struct step *drop_new(const struct options *options, struct error *error)
{
    return step_new(options, MATCH_EITHER, error);
}

static void keep_free(struct step *step)
{
    match_free(step->match);
    free(step);
}

static enum verdict keep_judge(struct step *step, struct subject *subject)
{
    if (!subject_view(subject))
        return VERDICT_MALFORMED;
    return match_fits(step->match, subject) ? VERDICT_PASS : VERDICT_TAKE_OUT;
}

static enum verdict drop_judge(struct step *step, struct subject *subject)
{
    if (!subject_view(subject))
        return VERDICT_MALFORMED;
    return match_fits(step->match, subject) ? VERDICT_TAKE_OUT : VERDICT_PASS;
}

static void keep_say(const struct options *options, FILE *out)
{
    fputs("only messages", out);
    say_lists(options, match_options, out);
}

static void drop_say(const struct options *options, FILE *out)
{
    fputs("no messages", out);
    say_lists(options, match_options, out);
}

static uint64_t keep_memory(const struct step *step)
{
    return match_memory(step->match);
}

static void keep_put_canonical(const struct step *step, struct buffer *out)
{
    match_put_canonical(step->match, out);
}

const struct step_ops keep_step = {
    .name = "keep",
    .summary = "lets through only messages that fit: of each list that is given, one entry",
    .options = match_options,
    .new = keep_new,
    .free = keep_free,
    .judge = keep_judge,
    .say = keep_say,
    .put_canonical = keep_put_canonical,
    .memory = keep_memory,
};

const struct step_ops drop_step = {
    .name = "drop",
    .summary = "takes out messages that fit: of each list that is given, one entry",
    .options = match_options,
    .new = drop_new,
    .free = keep_free,
    .judge = drop_judge,
    .say = drop_say,
    .put_canonical = keep_put_canonical,
    .memory = keep_memory,
};
