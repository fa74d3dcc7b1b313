#include <string.h>

#include "step.h"

const struct step_ops *const policy_steps[] = {
    &keep_step,      &drop_step,   &sample_step,   &limit_step,
    &anonymise_step, &dedupe_step, &validate_step, NULL};

const struct option_spec policy_step_options[] = {
    {.name = "rejects",
     .type = OPTION_STRING,
     .meaning =
         "the sink, by its name, that gets what the step takes out (default: it is filtered)"},
    {0},
};

const struct step_ops *policy_step_find(const char *name)
{
    for (const struct step_ops *const *step = policy_steps; *step; step++) {
        if (strcmp((*step)->name, name) == 0)
            return *step;
    }
    return NULL;
}
