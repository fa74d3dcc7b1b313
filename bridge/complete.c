#include "complete.h"

#include <string.h>

#include "cli.h"
#include "encode/encoder.h"
#include "endpoint.h"
#include "policy/step.h"
#include "receipt/command.h"

/* A word that begins with what is there already, which ends with `head`. */
struct answer {
    const char *word; /* all that was written */
    size_t head;      /* of it, before the piece that is to be completed */
    FILE *out;
};

static void offer(const struct answer *a, const char *piece, const char *ending)
{
    const char *written = a->word + a->head;
    if (strncmp(piece, written, strlen(written)) == 0)
        fprintf(a->out, "%.*s%s%s\n", (int)a->head, a->word, piece, ending);
}

static void offer_choices(const struct answer *a, const char *choices)
{
    while (choices && *choices) {
        char piece[64];
        size_t len = strcspn(choices, "|");
        snprintf(piece, sizeof piece, "%.*s", (int)len, choices);
        offer(a, piece, "");
        choices += len + (choices[len] == '|');
    }
}

static const struct option_spec *find(const struct option_spec *const *tables, const char *name,
                                      size_t len)
{
    for (; *tables; tables++) {
        for (const struct option_spec *o = *tables; o->name; o++) {
            if (strlen(o->name) == len && memcmp(o->name, name, len) == 0)
                return o;
        }
    }
    return NULL;
}

/* name=value,name=value: behind the last comma, a name, or behind its '=', a value. */
static void complete_options(const struct option_spec *const *tables, struct answer *a)
{
    const char *comma = strrchr(a->word + a->head, ',');
    if (comma)
        a->head = (size_t)(comma + 1 - a->word);
    const char *piece = a->word + a->head;
    size_t name = strcspn(piece, "=");
    if (piece[name] == '=') {
        const struct option_spec *o = find(tables, piece, name);
        a->head += name + 1;
        if (o)
            offer_choices(a, o->type == OPTION_FLAG ? "yes|no" : o->choices);
        return;
    }
    for (; *tables; tables++) {
        for (const struct option_spec *o = *tables; o->name; o++) {
            if (!o->any_name)
                offer(a, o->name, o->type == OPTION_FLAG ? "" : "=");
        }
    }
}

/* The encoder that the options name, or the look of the address. */
static const struct encoder_ops *encoder_of(const struct adapter *adapter, const char *address,
                                            const char *hash)
{
    char text[256];
    const char *given = strstr(hash, "format=");
    if (given) {
        snprintf(text, sizeof text, "%.*s", (int)strcspn(given + 7, ","), given + 7);
        return encoder_find(text);
    }
    snprintf(text, sizeof text, "%.*s", (int)(hash - address), address);
    const struct place place = {.url = text, .scheme = "", .address = text};
    const char *format = adapter == &file_adapter ? adapter->sink->format_of(&place) : NULL;
    return format ? encoder_find(format) : NULL;
}

static void complete_url(enum direction direction, struct answer *a)
{
    const struct option_spec *tables[4] = {NULL};
    bool source = direction == DIRECTION_SOURCE;
    const char *url = a->word + a->head, *hash = strchr(url, '#');
    int count = 0;
    for (const struct adapter *const *p = adapters; !hash && *p; p++) {
        for (const char *const *s = (*p)->schemes;
             *s && (source ? (*p)->source != NULL : (*p)->sink != NULL); s++)
            offer(a, *s, strncmp(*s, "kafka", 5) == 0 || strncmp(*s, "http", 4) == 0 ? "://" : ":");
    }
    if (!hash)
        return;
    const struct adapter *adapter = adapter_find(url, strcspn(url, ":#"));
    adapter = adapter ? adapter : adapter_find("file", 4);
    tables[count++] = source ? source_common_options : sink_common_options;
    const struct option_spec *own = source ? adapter->source_options : adapter->sink_options;
    if (own)
        tables[count++] = own;
    const struct encoder_ops *encoder = source ? NULL : encoder_of(adapter, url, hash);
    if (encoder && encoder->options)
        tables[count++] = encoder->options;
    a->head = (size_t)(hash + 1 - a->word);
    complete_options(tables, a);
}

static void complete_topic(const struct answer *a)
{
    for (const struct adapter *const *p = adapters; *p; p++) {
        for (const char *const *s = (*p)->schemes; *s; s++)
            offer(a, *s, "");
    }
    for (const struct encoder_ops *const *e = encoders; *e; e++)
        offer(a, (*e)->name, "");
    offer(a, "dnstap", "");
    offer(a, "frames", "");
    offer(a, "policy", "");
    offer(a, "receipts", "");
    for (const struct step_ops *const *s = policy_steps; *s; s++)
        offer(a, (*s)->name, "");
}

static void complete_value(const char *option, struct answer *a)
{
    if (strcmp(option, "--from") == 0)
        complete_url(DIRECTION_SOURCE, a);
    else if (strcmp(option, "--to") == 0)
        complete_url(DIRECTION_SINK, a);
    else if (strcmp(option, "--help") == 0 || strcmp(option, "-h") == 0)
        complete_topic(a);
    else if (strcmp(option, "--log") == 0)
        offer_choices(a, "logfmt|json");
}

/* Is the word before it the program's own: is this the first argument? */
static bool is_program(const char *before)
{
    const char *slash = strrchr(before, '/');
    return strcmp(slash ? slash + 1 : before, "dnstap-bridge") == 0;
}

void complete(const char *before, const char *word, FILE *out)
{
    struct answer a = {.word = word, .out = out};
    char option[32];
    size_t len = strcspn(word, "=");
    if (strncmp(word, "--", 2) == 0 && word[len] == '=' && len < sizeof option) { /* --from=URL */
        snprintf(option, sizeof option, "%.*s", (int)len, word);
        a.head = len + 1;
        complete_value(option, &a);
        return;
    }
    if (cli_takes_value(before) || strcmp(before, "--help") == 0 || strcmp(before, "-h") == 0) {
        complete_value(before, &a);
        return;
    }
    const char *name;
    if (strcmp(before, "receipts") == 0) {
        for (unsigned i = 0; (name = receipt_word(i)); i++)
            offer(&a, name, "");
        return;
    }
    if (is_program(before))
        offer(&a, "receipts", "");
    for (unsigned i = 0; (name = cli_option_name(i)); i++) {
        snprintf(option, sizeof option, "--%s", name);
        offer(&a, option, "");
    }
}
