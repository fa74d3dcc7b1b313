#include "say.h"

#include <string.h>

static void say_list(const char *text, FILE *out)
{
    for (const char *between = ""; *text; between = " or ") {
        size_t len = strcspn(text, "\n");
        if (strncmp(text, "file:", 5) == 0)
            fprintf(out, "%sone of %.*s", between, (int)len - 5, text + 5);
        else
            fprintf(out, "%s%.*s", between, (int)len, text);
        text += len + (text[len] == '\n');
    }
}

void say_lists(const struct options *options, const struct option_spec *table, FILE *out)
{
    const char *between = " with ";
    for (; table->name; table++) {
        const char *text = options_string(options, table->name);
        if (!text)
            continue;
        fprintf(out, "%s%s ", between, table->name);
        say_list(text, out);
        between = " and ";
    }
}
