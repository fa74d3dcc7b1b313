#include "config.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "encode/encoder.h"
#include "gather.h"
#include "host_port.h"
#include "ledger_file.h"
#include "printable.h"
#include "ring.h"
#include "secret.h"
#include "status_bounds.h"

enum {
    DRAIN_DEFAULT_MS = 5000,
    PROGRAM_MEMORY = 32 << 20,     /* program, libraries, stacks, malloc's own: measured about a third */
    ENCODER_MEMORY = 512 << 10,    /* the records of one write */
    BATCH_EXTRA = 32 << 10,        /* head, envelope, rounding */
};

void config_defaults(struct config *config)
{
    *config = (struct config){.drain_ms = DRAIN_DEFAULT_MS};
    if (gethostname(config->hop, sizeof config->hop) < 0 || !config->hop[0])
        strcpy(config->hop, "dnstap-bridge");
    config->hop[sizeof config->hop - 1] = '\0';
}

static bool set_hop(struct config *config, const char *value, struct error *error)
{
    if (!*value || strlen(value) >= sizeof config->hop || !printable_is(value))
        return error_set(error, "hop takes a name of 1 to %zu octets, in UTF-8 without control characters",
                         sizeof config->hop - 1);
    strcpy(config->hop, value);
    return true;
}

static bool set_text(char **text, const char *name, const char *value, struct error *error)
{
    if (!*value)
        return error_set(error, "%s takes a value", name);
    free(*text);
    *text = strdup(value);
    return *text || error_set(error, "out of memory");
}

static bool set_ledger(struct config *config, const char *value, struct error *error)
{
    return set_text(&config->ledger_file, "ledger", value, error);
}

static bool set_status(struct config *config, const char *value, struct error *error)
{
    struct host_port at;
    if (!host_port_read(value, strlen(value), &at, error))
        return error_prefix(error, "status takes ADDR:PORT, for example 127.0.0.1:9153");
    if (!at.host[0])
        return error_set(error, "status takes ADDR:PORT, for example 127.0.0.1:9153; all addresses of this machine are 0.0.0.0 and [::]");
    return set_text(&config->status, "status", value, error);
}

/* One name or several, with commas between them. */
static bool set_status_host(struct config *config, const char *value, struct error *error)
{
    while (*value) {
        size_t len = strcspn(value, ",");
        char **grown = realloc(config->status_hosts, (config->status_host_count + 1) * sizeof *grown);
        if (grown)
            config->status_hosts = grown;
        char *name = grown ? strndup(value, len) : NULL;
        if (!name)
            return error_set(error, "out of memory");
        grown[config->status_host_count++] = name;
        if (len == 0 || strpbrk(name, ":/ "))
            return error_set(error, "status-host takes the name of a host, without a port, not '%s'", name);
        value += len + (value[len] == ',');
    }
    return config->status_host_count > 0 || error_set(error, "status-host takes the name of a host");
}

static bool set_drain(struct config *config, const char *value, struct error *error)
{
    static const struct option_spec specs[] = {
        {.name = "drain-timeout", .type = OPTION_DURATION, .max = 24 * 3600 * 1000}, {0}};
    const struct option_spec *const tables[OPTION_TABLES] = {specs, NULL};
    struct options options;
    bool ok = options_parse(&options, tables, "", error) &&
              options_set(&options, "drain-timeout", value, error);
    config->drain_ms = options_number(&options, "drain-timeout");
    options_free(&options);
    return ok;
}

static bool set_quiet(struct config *config, const char *value, struct error *error)
{
    config->quiet = strcmp(value, "yes") == 0 || strcmp(value, "true") == 0;
    return config->quiet || strcmp(value, "no") == 0 || strcmp(value, "false") == 0 ||
           error_set(error, "quiet takes yes or no, not '%s'", value);
}

static bool set_log(struct config *config, const char *value, struct error *error)
{
    config->log = strcmp(value, "json") == 0 ? LOG_JSON : LOG_LOGFMT;
    return config->log == LOG_JSON || strcmp(value, "logfmt") == 0 ||
           error_set(error, "log takes logfmt or json, not '%s'", value);
}

bool config_set(struct config *config, const char *name, const char *value, struct error *error)
{
    static const struct {
        const char *name;
        bool (*set)(struct config *config, const char *value, struct error *error);
    } settings[] = {{"hop", set_hop}, {"ledger", set_ledger}, {"status", set_status}, {"status-host", set_status_host}, {"log", set_log}, {"quiet", set_quiet}, {"drain-timeout", set_drain}};
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        if (strcmp(settings[i].name, name) == 0)
            return settings[i].set(config, value, error);
    }
    return error_set(error, "there is no setting '%s'", name);
}

struct endpoint *config_add(struct config *config, enum direction direction, struct error *error)
{
    bool source = direction == DIRECTION_SOURCE;
    struct endpoint ***list = source ? &config->sources : &config->sinks;
    unsigned *count = source ? &config->source_count : &config->sink_count;
    struct endpoint *endpoint = calloc(1, sizeof *endpoint);
    struct endpoint **grown = endpoint ? realloc(*list, (*count + 1) * sizeof(struct endpoint *)) : NULL;
    if (!grown) {
        free(endpoint);
        error_set(error, "out of memory");
        return NULL;
    }
    *list = grown;
    return grown[(*count)++] = endpoint;
}

uint64_t config_batch_max(const struct endpoint *source)
{
    return BATCH_LIMIT + options_number(&source->options, "max-frame") + BATCH_EXTRA;
}

static uint64_t batch_max_of_all(const struct config *config)
{
    uint64_t max = 0;
    for (unsigned i = 0; i < config->source_count; i++) {
        uint64_t one = config_batch_max(config->sources[i]);
        max = one > max ? one : max;
    }
    return max;
}

static const char *name_of(const struct endpoint *sink)
{
    return options_string(&sink->options, "name");
}

/* Whom the sink's policy sends messages to: the i-th name. */
static const char *rejects_of(const struct endpoint *sink, unsigned i)
{
    return sink->policy ? plan_rejects(policy_plan(sink->policy), i) : NULL;
}

static int sink_called(const struct config *config, const char *name)
{
    for (unsigned i = 0; i < config->sink_count; i++) {
        const char *called = name_of(config->sinks[i]);
        if (called && strcmp(called, name) == 0)
            return (int)i;
    }
    return -1;
}

bool config_is_diverted(const struct config *config, unsigned sink)
{
    const char *called = name_of(config->sinks[sink]), *name;
    for (unsigned i = 0; called && i < config->sink_count; i++) {
        for (unsigned k = 0; (name = rejects_of(config->sinks[i], k)); k++) {
            if (strcmp(name, called) == 0)
                return true;
        }
    }
    return false;
}

/* From sink to sink by what is taken out there: does the way come back? A way longer than there are sinks does. */
static bool check_way(const struct config *config, unsigned sink, unsigned length, struct error *error)
{
    const struct endpoint *from = config->sinks[sink];
    const char *name;
    for (unsigned k = 0; (name = rejects_of(from, k)); k++) {
        int to = sink_called(config, name);
        if (to < 0)
            return error_set(error, "%s: its policy sends what it takes out to '%s', but no sink has that name", from->url, name);
        if (length > config->sink_count)
            return error_set(error, "%s: what its policy takes out comes back to it, by '%s'", from->url, name);
        if (!check_way(config, (unsigned)to, length + 1, error))
            return false;
    }
    return true;
}

static bool check_names(const struct config *config, struct error *error)
{
    bool any_whole = false;
    for (unsigned i = 0; i < config->sink_count; i++) {
        const char *name = name_of(config->sinks[i]);
        if (name && sink_called(config, name) != (int)i)
            return error_set(error, "%s: another sink is called '%s', too", config->sinks[i]->url, name);
        if (!check_way(config, i, 0, error))
            return false;
        any_whole = any_whole || !config_is_diverted(config, i);
    }
    return any_whole || error_set(error, "every sink takes only what the others reject: none is left for the sources");
}

bool config_is_live(const struct config *config)
{
    for (unsigned i = 0; i < config->source_count; i++) {
        const struct endpoint *source = config->sources[i];
        const struct source_ops *ops = source->adapter->source;
        if (!ops->is_finite || !ops->is_finite(&source->options))
            return true;
    }
    return false;
}

/* What stands where sinks write. At a reload it may be their own. */
static bool check_targets(const struct config *config, struct error *error)
{
    for (unsigned i = 0; !config->reload && i < config->sink_count; i++) {
        const struct endpoint *sink = config->sinks[i];
        const struct sink_ops *ops = sink->adapter->sink;
        if (ops->check_run && !ops->check_run(&sink->place, config_is_live(config), error))
            return error_prefix(error, sink->url);
    }
    return true;
}

/* Does what a sink sends come in again by a source? Even where only rejects go there, they would be rejected again. */
static bool check_loops(const struct config *config, struct error *error)
{
    for (unsigned i = 0; i < config->sink_count; i++) {
        const struct endpoint *sink = config->sinks[i];
        for (unsigned k = 0; k < config->source_count; k++) {
            const struct endpoint *source = config->sources[k];
            if (sink->adapter == source->adapter && sink->adapter->loops &&
                sink->adapter->loops(&source->place, &sink->place))
                return error_set(error, "%s: what is sent there comes back by the source %s, and goes round for ever", sink->url, source->url);
        }
    }
    return true;
}

bool config_check(const struct config *config, struct error *error)
{
    if (config->source_count == 0)
        return error_set(error, "there is no source: name one with --from URL, or under sources:");
    if (config->sink_count == 0)
        return error_set(error, "there is no sink: name one with --to URL, or under sinks:");
    uint64_t need = batch_max_of_all(config);
    for (unsigned i = 0; i < config->sink_count; i++) {
        const struct endpoint *sink = config->sinks[i];
        if (options_number(&sink->options, "ring") < need) {
            return error_set(error, "%s: ring=%s cannot hold the largest batch; give it %" PRIu64 "KiB, or the sources a smaller max-frame",
                             sink->url, options_string(&sink->options, "ring"), (need + 1023) / 1024);
        }
    }
    return check_names(config, error) && check_loops(config, error) && check_targets(config, error) && ledger_file_check(config, error);
}

static uint64_t say(FILE *out, uint64_t octets, const char *what, const char *url)
{
    char text[32];
    size_print(octets, text, sizeof text);
    if (out)
        fprintf(out, "  %10s  %s%s\n", text, what, url);
    return octets;
}

/* A ring's batches stand in slabs. The end of one, up to a quarter, goes unused where a torn message
 * and the rest of it did not fit; the batches begin and end in the middle of one, twice where the
 * ring was full in between; one more batch is in the sink's hands. */
static uint64_t ring_memory(const struct endpoint *sink, uint64_t batch_max)
{
    uint64_t ring = options_number(&sink->options, "ring");
    return ring + ring / 3 + 4 * SLAB_SIZE + ring_overhead(ring) + batch_max;
}

static uint64_t route_memory(const struct endpoint *source, const struct endpoint *sink)
{
    return ring_memory(sink, config_batch_max(source));
}

static bool diverts_to(const struct config *config, unsigned from, unsigned to)
{
    const char *called = name_of(config->sinks[to]), *name;
    for (unsigned k = 0; called && (name = rejects_of(config->sinks[from], k)); k++) {
        if (strcmp(name, called) == 0)
            return true;
    }
    return false;
}

static uint64_t encoder_memory(const struct endpoint *sink)
{
    const struct encoder_ops *ops = encoder_find(options_string(&sink->options, "format"));
    return ENCODER_MEMORY + (ops && ops->memory ? ops->memory(&sink->options) + gather_memory() : 0);
}

uint64_t config_ceiling(const struct config *config, FILE *out)
{
    uint64_t sum = say(out, PROGRAM_MEMORY, "the program itself", "");
    uint64_t batch_max = batch_max_of_all(config);
    for (unsigned i = 0; i < config->source_count; i++) {
        const struct endpoint *source = config->sources[i];
        const struct source_ops *ops = source->adapter->source;
        uint64_t links = ops->has_links ? upstream_memory() : 0;
        sum += say(out, batch_builder_overhead() + ops->memory(&source->options) + links, "source ", source->url);
    }
    for (unsigned i = 0; i < config->sink_count; i++) {
        const struct endpoint *sink = config->sinks[i];
        uint64_t rings = 0;
        for (unsigned k = 0; k < config->source_count && !config_is_diverted(config, i); k++)
            rings += route_memory(config->sources[k], sink);
        for (unsigned k = 0; k < config->sink_count; k++)
            rings += diverts_to(config, k, i) ? ring_memory(sink, batch_max) : 0;
        sum += say(out, rings, "rings in front of ", sink->url);
        if (sink->policy)
            sum += say(out, policy_memory(sink->policy), "policy of ", sink->url);
        sum += say(out, encoder_memory(sink) + sink->adapter->sink->memory(&sink->options, batch_max), "sink ",
                   sink->url);
    }
    if (config->status)
        sum += say(out, status_memory(config), "status ", config->status);
    return sum;
}

/* NAME=VALUE, one a line, of a library's own options. */
static void describe_any_name(const struct option_spec *spec, const char *text, FILE *out)
{
    while (*text) {
        char name[128];
        size_t len = strcspn(text, "\n"), name_len = strcspn(text, "=");
        snprintf(name, sizeof name, "%.*s", (int)name_len, text);
        if (option_is_secret(spec, name)) {
            char *value = strndup(text + name_len + 1, len - name_len - 1);
            fprintf(out, " %s=%s", name, value ? secret_shown(value) : "***");
            secret_free(value);
        } else {
            fprintf(out, " %.*s", (int)len, text);
        }
        text += len + (text[len] != '\0');
    }
}

static void describe_option(const struct option_spec *spec, const char *text, FILE *out)
{
    if (spec->any_name) {
        describe_any_name(spec, text, out);
        return;
    }
    const char *shown = spec->secret ? secret_shown(text) : text;
    fprintf(out, " %s=", spec->name);
    for (; *shown; shown++) /* the values of one that repeats stand one a line */
        fputc(*shown == '\n' ? ' ' : *shown, out);
}

static void describe_options(const struct options *options, FILE *out)
{
    for (unsigned i = 0; i < options->count; i++) {
        if (options->texts[i])
            describe_option(options->specs[i], options->texts[i], out);
    }
    fputc('\n', out);
}

/* In plain words, what leaves by this sink. */
static void describe_policy(const struct config *config, unsigned i, FILE *out)
{
    const struct endpoint *sink = config->sinks[i];
    const char *what = config_is_diverted(config, i) ? "what other sinks' policies send here" : "every message of every source";
    fprintf(out, "  what leaves here: %s", what);
    if (!sink->policy) {
        fputs(", unchanged\n", out);
        return;
    }
    fprintf(out, ", after these steps:\n");
    plan_say(policy_plan(sink->policy), out);
    fprintf(out, "  policy %s\n", sink->policy_hash);
}

void config_describe(const struct config *config, FILE *out)
{
    fprintf(out, "hop %s\n", config->hop);
    for (unsigned i = 0; i < config->source_count; i++) {
        const struct endpoint *source = config->sources[i];
        fprintf(out, "source %s\n  %s; a full ring makes it %s\n ", source->url,
                source->adapter->source_summary,
                endpoint_blocks_when_full(source) ? "wait" : "drop");
        describe_options(&source->options, out);
    }
    for (unsigned i = 0; i < config->sink_count; i++) {
        const struct endpoint *sink = config->sinks[i];
        const char *name = name_of(sink);
        fprintf(out, "sink %s%s%s%s\n  %s\n ", sink->url, name ? " (" : "", name ? name : "", name ? ")" : "",
                sink->adapter->sink_summary);
        describe_options(&sink->options, out);
        describe_policy(config, i, out);
    }
    if (config->status)
        fprintf(out, "status http://%s/\n", config->status);
    unsigned diverted = 0;
    for (unsigned i = 0; i < config->sink_count; i++)
        diverted += config_is_diverted(config, i);
    fprintf(out, "routes: every source to every sink, %u in all\n",
            config->source_count * (config->sink_count - diverted));
    if (diverted)
        fprintf(out, "  and to %u more what policies take out\n", diverted);
    fprintf(out, "memory ceiling, and what it is made of:\n");
    uint64_t ceiling = config_ceiling(config, out);
    char text[32];
    size_print(ceiling, text, sizeof text);
    fprintf(out, "memory ceiling: %s (%" PRIu64 " octets)\n", text, ceiling);
}

void config_free(struct config *config)
{
    for (unsigned i = 0; i < config->source_count; i++)
        endpoint_delete(config->sources[i]);
    for (unsigned i = 0; i < config->sink_count; i++)
        endpoint_delete(config->sinks[i]);
    free(config->sources);
    free(config->sinks);
    free(config->ledger_file);
    free(config->status);
    for (unsigned i = 0; i < config->status_host_count; i++)
        free(config->status_hosts[i]);
    free(config->status_hosts);
    free(config->file);
}
