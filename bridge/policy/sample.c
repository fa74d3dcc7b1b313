/* sample: one of so many clients, names or pairs of both, and all messages of those. The choice is
 * made by a hash that is the same everywhere (XXH3, 64 bit, seed= as its seed), so that query and
 * response stay together, and a sample taken at one hop is the one taken at the next. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "step.h"

enum { ADDRESS = 16 };

struct step {
    uint64_t one_in;
    uint64_t seed;
    bool client;
    bool qname;
};

static const struct option_spec sample_options[] = {
    {.name = "one-in",
     .type = OPTION_COUNT,
     .min = 1,
     .max = UINT32_MAX,
     .meaning = "so many are represented by one"},
    {.name = "by",
     .type = OPTION_CHOICE,
     .choices = "client|qname|pair",
     .fallback = "pair",
     .meaning = "of what one in so many is taken: who asked, the name asked for, or both together"},
    {.name = "seed",
     .type = OPTION_COUNT,
     .fallback = "0",
     .max = UINT64_MAX,
     .meaning = "another number makes another choice"},
    {0},
};

static struct step *sample_new(const struct options *options, struct error *error)
{
    struct step *step = calloc(1, sizeof *step);
    if (!step || !options_given(options, "one-in")) {
        error_set(error, step ? "one-in: is missing, as in one-in: 100" : "out of memory");
        free(step);
        return NULL;
    }
    step->one_in = options_number(options, "one-in");
    step->seed = options_number(options, "seed");
    step->client = !options_is(options, "by", "qname");
    step->qname = !options_is(options, "by", "client");
    return step;
}

static void sample_free(struct step *step)
{
    free(step);
}

static enum verdict sample_judge(struct step *step, struct subject *subject)
{
    uint8_t key[ADDRESS + DNS_NAME_WIRE_MAX];
    size_t len = 0;
    const struct dnstap_view *view = subject_view(subject);
    if (!view)
        return VERDICT_MALFORMED;
    if (step->client && view->query_address.len > 0 && view->query_address.len <= ADDRESS)
        memcpy(key, view->query_address.data, len = view->query_address.len);
    const struct question *q = step->qname ? subject_question(subject) : NULL;
    if (q) {
        memcpy(key + len, q->name, q->name_len);
        len += q->name_len;
    }
    uint64_t high = XXH3_64bits_withSeed(key, len, step->seed) >> 32;
    return high * step->one_in >> 32 == 0 ? VERDICT_PASS : VERDICT_TAKE_OUT;
}

static void sample_say(const struct options *options, FILE *out)
{
    fprintf(out, "only one in %" PRIu64 " by %s", options_number(options, "one-in"),
            options_is(options, "by", "pair")     ? "pairs of client and qname"
            : options_is(options, "by", "client") ? "clients"
                                                  : "qnames");
}

const struct step_ops sample_step = {
    .name = "sample",
    .summary = "lets through all messages of one in so many clients, names or pairs of both",
    .options = sample_options,
    .new = sample_new,
    .free = sample_free,
    .judge = sample_judge,
    .say = sample_say,
};
