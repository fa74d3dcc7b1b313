#include "endpoint.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "host_port.h"
#include "encode/encoder.h"

const struct option_spec source_common_options[] = {
    {.name = "when-full",
     .type = OPTION_CHOICE,
     .choices = "drop|block",
     .meaning =
         "a full ring drops, or makes the source wait (default: block for files and Kafka, otherwise drop)"},
    {.name = "max-frame",
     .type = OPTION_SIZE,
     .fallback = "1MiB",
     .min = 512,
     .max = 64 << 20,
     .meaning = "the longest message taken"},
    {0},
};

const struct option_spec sink_common_options[] = {
    {.name = "ring",
     .type = OPTION_SIZE,
     .fallback = "64MiB",
     .min = 4096,
     .max = (uint64_t)1 << 40,
     .meaning = "memory for messages that wait for this sink, for each source"},
    {.name = "format",
     .type = OPTION_CHOICE,
     .choices = encoder_formats,
     .meaning = "what is written (default: by the file's name, else dnstap)"},
    {.name = "name",
     .type = OPTION_STRING,
     .meaning = "what rejects: of other sinks' policies call this one (in a file: its key)"},
    {.name = "policy",
     .type = OPTION_STRING,
     .meaning = "a file with the steps that messages pass on their way here"},
    {.name = "events",
     .type = OPTION_FLAG,
     .meaning = "send a server's events also as format=dnstap, which other tools take for broken"},
    {0},
};

/* A URL is printed in every message and ledger: a password in it is not, and nobody needs to know
 * how long it is. What is opened (place.address) keeps it. */
static void mask_password(char *url)
{
    char *authority = strstr(url, "://");
    if (!authority)
        return;
    authority += 3;
    size_t len = strcspn(authority, "/?");
    char *at = memrchr(authority, '@', len);
    char *colon = at ? memchr(authority, ':', (size_t)(at - authority)) : NULL;
    if (!colon)
        return;
    size_t secret = (size_t)(at - colon - 1), stars = secret < 3 ? secret : 3;
    memset(colon + 1, '*', stars);
    memmove(colon + 1 + stars, at, strlen(at) + 1);
}

static size_t scheme_length(const char *url)
{
    size_t len = 0;
    if (!islower((unsigned char)url[0]))
        return 0;
    while (islower((unsigned char)url[len]) || isdigit((unsigned char)url[len]) ||
           strchr("+-.", url[len] ? url[len] : 'A'))
        len++;
    return url[len] == ':' ? len : 0;
}

static bool goes(const struct adapter *adapter, enum direction direction)
{
    return direction == DIRECTION_SOURCE ? adapter->source != NULL : adapter->sink != NULL;
}

static bool unknown_scheme(const char *url, size_t len, enum direction direction,
                           struct error *error)
{
    char valid[256] = "";
    size_t used = 0;
    for (const struct adapter *const *a = adapters; *a; a++) {
        for (const char *const *s = (*a)->schemes; *s && goes(*a, direction); s++) {
            if (used < sizeof valid)
                used += (size_t)snprintf(valid + used, sizeof valid - used, ", %s:", *s);
        }
    }
    return error_set(error, "%.200s: unknown scheme '%.*s:' for a %s; valid: PATH, -%s", url,
                     len < 32 ? (int)len : 32, url,
                     direction == DIRECTION_SOURCE ? "source" : "sink", valid);
}

/* A host and port without a scheme would silently be the name of a file. */
static bool check_bare(const char *path, struct error *error)
{
    struct host_port parts;
    struct error ignored;
    struct stat st;
    if (strchr(path, '/') || !host_port_read(path, strlen(path), &parts, &ignored) || stat(path, &st) == 0)
        return true;
    return error_set(error, "'%.200s' looks like HOST:PORT: write tcp:%.200s, or file:%.200s for a file of that name", path, path,
                     path);
}

static bool find_adapter(struct endpoint *e, enum direction direction, struct error *error)
{
    size_t len = scheme_length(e->url);
    const char *address = len ? e->url + len + 1 : e->url;
    e->adapter = len ? adapter_find(e->url, len) : adapter_find("file", 4);
    e->address = strdup(address);
    mask_password(e->url);
    if (!e->adapter && !check_bare(e->url, error))
        return false;
    if (!e->adapter || !goes(e->adapter, direction))
        return unknown_scheme(e->url, len, direction, error);
    if (!*address)
        return error_set(error, "%.200s: there is no address; it looks like %s", e->url,
                         e->adapter->address);
    if (!len && !check_bare(e->url, error))
        return false;
    for (const char *const *s = e->adapter->schemes; *s; s++) {
        if (!len || (strlen(*s) == len && !memcmp(*s, e->url, len))) {
            e->place.scheme = *s;
            break;
        }
    }
    return e->address || error_set(error, "out of memory");
}

/* A sink's format, where it is not given, comes from the look of its address. */
static bool settle_format(struct endpoint *e, struct error *error)
{
    if (options_string(&e->options, "format"))
        return true;
    const char *format = NULL;
    if (e->adapter->sink->format_of)
        format = e->adapter->sink->format_of(&e->place);
    return options_set(&e->options, "format", format ? format : "dnstap", error);
}

/* What only the adapter can judge. */
static bool check(const struct endpoint *e, enum direction direction, struct error *error)
{
    bool source = direction == DIRECTION_SOURCE;
    const struct adapter *a = e->adapter;
    bool (*judge)(const struct place *, struct error *) =
        source ? a->source->check : a->sink->check;
    if (!source && options_is(&e->options, "format", "frames") && !a->sink->takes_frames)
        return error_set(error, "%.200s: format=frames is for kafka: alone; leave format= out, and messages go as Frame Streams",
                         e->url);
    return !judge || judge(&e->place, error) || error_prefix(error, e->url);
}

static const struct option_spec *find_spec(const struct option_spec *table, const char *name)
{
    for (; table && table->name; table++)
        if (strcmp(table->name, name) == 0)
            return table;
    return NULL;
}

/* An option of an encoder that is not the chosen one would do nothing: it is a mistake, and its
 * default is taken back. */
static bool settle_encoder_options(struct endpoint *e, struct error *error)
{
    const char *format = options_string(&e->options, "format");
    const struct encoder_ops *chosen = encoder_find(format);
    for (const struct encoder_ops *const *other = encoders; *other; other++) {
        for (const struct option_spec *o = (*other)->options; o && o->name; o++) {
            bool ours = find_spec(e->adapter->sink_options, o->name) ||
                        (chosen && find_spec(chosen->options, o->name));
            if (!ours && options_given(&e->options, o->name))
                return error_set(error, "%s: option '%s' is for format=%s, not for format=%s",
                                 e->url, o->name, (*other)->name, format);
            if (!ours)
                options_unset(&e->options, o->name);
        }
    }
    return true;
}

static void lay_out_tables(const struct endpoint *e, enum direction direction,
                           const struct option_spec *tables[OPTION_TABLES])
{
    bool source = direction == DIRECTION_SOURCE;
    int count = 0;
    tables[count++] = source ? source_common_options : sink_common_options;
    tables[count++] = source ? e->adapter->source_options : e->adapter->sink_options;
    for (const struct encoder_ops *const *o = encoders; !source && *o; o++)
        if (count < OPTION_TABLES)
            tables[count++] = (*o)->options;
}

bool endpoint_begin(struct endpoint *e, enum direction direction, const char *url,
                    struct error *error)
{
    *e = (struct endpoint){0};
    e->url = strdup(url);
    if (!e->url)
        return error_set(error, "out of memory");
    if (!*e->url)
        return error_set(error, "'%s' names no place", url);
    if (!find_adapter(e, direction, error))
        return false;
    e->place.url = e->url;
    e->place.address = e->address;
    e->place.options = &e->options;
    const struct option_spec *tables[OPTION_TABLES] = {NULL};
    lay_out_tables(e, direction, tables);
    return options_lay_out(&e->options, tables, error) || error_prefix(error, e->url);
}

/* The policy's files are read here, so that mistakes in them show before anything opens. */
static bool settle_policy(struct endpoint *e, struct error *error)
{
    const char *path = options_string(&e->options, "policy");
    if (path && !plan_read_file(&e->plan, path, error))
        return false;
    if (e->plan.count == 0)
        return true;
    e->policy = policy_new(&e->plan, error);
    return e->policy && policy_hash(e->policy, e->policy_hash, e->policy_state, error);
}

bool endpoint_end(struct endpoint *e, enum direction direction, struct error *error)
{
    if (direction == DIRECTION_SINK &&
        !(settle_format(e, error) && settle_encoder_options(e, error)))
        return false;
    if (direction == DIRECTION_SINK && !settle_policy(e, error))
        return error_prefix(error, "policy") || error_prefix(error, e->url);
    return check(e, direction, error);
}

bool endpoint_parse(struct endpoint *e, enum direction direction, const char *text,
                    struct error *error)
{
    size_t len = strcspn(text, "#");
    char *url = strndup(text, len);
    if (!url)
        return error_set(error, "out of memory");
    bool ok = endpoint_begin(e, direction, url, error);
    free(url);
    if (!ok)
        return false;
    if (text[len] == '#' && !options_read(&e->options, text + len + 1, error))
        return error_prefix(error, e->url);
    return endpoint_end(e, direction, error);
}

void endpoint_free(struct endpoint *e)
{
    policy_free(e->policy);
    plan_free(&e->plan);
    options_free(&e->options);
    free(e->url);
    free(e->address);
    *e = (struct endpoint){0};
}

void endpoint_delete(struct endpoint *e)
{
    if (e)
        endpoint_free(e);
    free(e);
}

struct endpoint *endpoint_take(struct endpoint **endpoint)
{
    struct endpoint *taken = *endpoint;
    *endpoint = NULL;
    return taken;
}

bool endpoint_blocks_when_full(const struct endpoint *e)
{
    if (options_string(&e->options, "when-full"))
        return options_is(&e->options, "when-full", "block");
    return e->adapter->source->upstream_keeps;
}
