#include <string.h>

#include "encoder.h"

const char encoder_formats[] = "cof|dnstap|frames|json|nmsg|text|yaml";

const struct encoder_ops *const encoders[] = {
    &cof_encoder,
    &json_encoder,
    &nmsg_encoder,
    &text_encoder,
    &yaml_encoder,
    NULL,
};

const struct encoder_ops *encoder_find(const char *format)
{
    for (const struct encoder_ops *const *e = encoders; *e; e++) {
        if (strcmp((*e)->name, format) == 0)
            return *e;
    }
    return NULL;
}
