/* limit: so many messages a second, by a bucket of tokens that fills at the rate and holds `burst`
 * of them. Time is looked at once for each batch, which gathers what came in a few milliseconds: what those
 * bring passes even where the bucket is smaller, or a small burst would be the rate of batches. */
#include <inttypes.h>
#include <stdlib.h>

#include "step.h"

struct step {
    uint64_t rate;   /* tokens a second; a token is 1,000 parts, so that each millisecond brings
                        `rate` parts */
    uint64_t burst;  /* in parts */
    uint64_t tokens; /* in parts */
    int64_t then_ms;
};

enum { PARTS = 1000, GATHERED_MS = 10 };

static const struct option_spec limit_options[] = {
    {.name = "rate",
     .type = OPTION_RATE,
     .min = 1,
     .max = UINT32_MAX,
     .meaning = "messages let through, such as 1000/s"},
    {.name = "burst",
     .type = OPTION_COUNT,
     .min = 1,
     .max = UINT32_MAX,
     .meaning = "so many at once after a quiet time (default: those of one second)"},
    {0},
};

static struct step *limit_new(const struct options *options, struct error *error)
{
    struct step *step = calloc(1, sizeof *step);
    if (!step || !options_given(options, "rate")) {
        error_set(error, step ? "rate: is missing, as in rate: 1000/s" : "out of memory");
        free(step);
        return NULL;
    }
    step->rate = options_number(options, "rate");
    step->burst =
        (options_given(options, "burst") ? options_number(options, "burst") : step->rate) * PARTS;
    step->tokens = step->burst;
    return step;
}

static void limit_free(struct step *step)
{
    free(step);
}

static void limit_tick(struct step *step, int64_t now_ms)
{
    uint64_t passed =
        step->then_ms && now_ms > step->then_ms ? (uint64_t)(now_ms - step->then_ms) : 0;
    const uint64_t gathered = (passed < GATHERED_MS ? passed : GATHERED_MS) * step->rate;
    const uint64_t most = step->burst > gathered ? step->burst : gathered;
    step->tokens = step->tokens < most ? step->tokens : most; /* what the time before brought is over */
    uint64_t room = most - step->tokens;
    step->tokens += passed > room / step->rate ? room : passed * step->rate;
    step->then_ms = now_ms;
}

static enum verdict limit_judge(struct step *step, struct subject *subject)
{
    (void)subject;
    if (step->tokens < PARTS)
        return VERDICT_TAKE_OUT;
    step->tokens -= PARTS;
    return VERDICT_PASS;
}

static void limit_say(const struct options *options, FILE *out)
{
    fprintf(out, "at most %" PRIu64 " messages a second", options_number(options, "rate"));
    if (options_given(options, "burst"))
        fprintf(out, ", %" PRIu64 " at once", options_number(options, "burst"));
}

const struct step_ops limit_step = {
    .name = "limit",
    .summary = "lets through so many messages a second",
    .options = limit_options,
    .new = limit_new,
    .free = limit_free,
    .judge = limit_judge,
    .say = limit_say,
    .tick = limit_tick,
};
