#include "cli.h"

#include <stdlib.h>
#include <string.h>

#include "config_file.h"
#include "encode/encoder.h"
#include "policy/step.h"
#include "receipt/command.h"
#include "words.h"

/* The program's own options: parsing and help come from here. */
struct cli_option {
    const char *name;
    const char *argument; /* NULL: a flag */
    const char *meaning;
    enum cli_action action; /* of a flag */
    /* NULL: config_set knows it by its name */
    bool (*set)(struct config *config, const char *value, struct error *error);
};

static bool set_from(struct config *config, const char *value, struct error *error)
{
    struct endpoint *source = config_add(config, DIRECTION_SOURCE, error);
    return source && endpoint_parse(source, DIRECTION_SOURCE, value, error);
}

static bool set_to(struct config *config, const char *value, struct error *error)
{
    struct endpoint *sink = config_add(config, DIRECTION_SINK, error);
    return sink && endpoint_parse(sink, DIRECTION_SINK, value, error);
}

static const struct cli_option cli_options[] = {
    {"from", "URL[#OPTIONS]", "a source of messages (may be given again)", CLI_RUN, set_from},
    {"to", "URL[#OPTIONS]", "a sink: every source goes to every sink", CLI_RUN, set_to},
    {"config", "FILE", "the same from a YAML file", CLI_RUN, config_read_file},
    {"hop", "NAME", "this hop's name in ledgers (default: the host's)", CLI_RUN, NULL},
    {"ledger", "FILE", "write the ledger to FILE as JSON at exit", CLI_RUN, NULL},
    {"log", "logfmt|json", "how log lines are written (default logfmt)", CLI_RUN, NULL},
    {"status", "ADDR:PORT", "serve metrics and a live page over HTTP", CLI_RUN, NULL},
    {"status-host", "NAME", "a further name that it may be asked by", CLI_RUN, NULL},
    {"quiet", NULL, "no live line of rates and losses on a terminal", CLI_RUN, NULL},
    {"drain-timeout", "TIME", "how long a stop may wait for sinks, up to 1d (default 5s)", CLI_RUN, NULL},
    {"check", NULL, "say what would be done, and the memory ceiling; open nothing", CLI_CHECK, NULL},
    {"help", NULL, "this text (also -h); --help SCHEME, FORMAT, STEP, policy, receipts: more", CLI_HELP, NULL},
    {"version", NULL, "print the version", CLI_VERSION, NULL},
    {0},
};

static const struct cli_option *find_option(const char *name, size_t len)
{
    for (const struct cli_option *o = cli_options; o->name; o++) {
        if (strlen(o->name) == len && memcmp(o->name, name, len) == 0)
            return o;
    }
    return NULL;
}

const char *cli_option_name(unsigned i)
{
    return cli_options[i].name;
}

bool cli_takes_value(const char *argument)
{
    const struct cli_option *o = strncmp(argument, "--", 2) == 0 ? find_option(argument + 2, strlen(argument + 2)) : NULL;
    return o && o->argument;
}

/* The option that somebody who wrote another word may have meant; NULL: none is near. */
static const char *nearest_option(const char *name)
{
    const char *best = NULL;
    unsigned least = 3;
    for (const struct cli_option *o = cli_options; o->name; o++) {
        unsigned apart = words_apart(o->name, name);
        if (apart < least) {
            least = apart;
            best = o->name;
        }
    }
    return best;
}

static bool unknown(const char *argument, struct error *error)
{
    char name[64];
    bool option = argument[0] == '-' && argument[1] != '\0';
    snprintf(name, sizeof name, "%.*s", (int)strcspn(argument + strspn(argument, "-"), "="), argument + strspn(argument, "-"));
    const char *nearest = option ? nearest_option(name) : NULL;
    if (nearest)
        return error_set(error, "unknown option '%s'; did you mean --%s? See --help", argument, nearest);
    if (option)
        return error_set(error, "unknown option '%s'; see --help", argument);
    return error_set(error, "'%s' stands alone: a source is named by --from URL, a sink by --to URL; see --help", argument);
}

static enum cli_action parse(struct config *config, int argc, char **argv, struct error *error)
{
    enum cli_action action = CLI_RUN;
    if (argc < 2) {
        error_set(error, "name a source by --from URL and a sink by --to URL, or a file of them by --config FILE; see --help");
        return CLI_MISTAKE;
    }
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-h") == 0)
            return CLI_HELP;
        const char *name = argv[i] + 2;
        size_t len = strncmp(argv[i], "--", 2) == 0 ? strcspn(name, "=") : 0;
        const struct cli_option *option = len ? find_option(name, len) : NULL;
        if (!option || (!option->argument && name[len])) {
            unknown(argv[i], error);
            return CLI_MISTAKE;
        }
        if (!option->argument) {
            if (option->action == CLI_HELP || option->action == CLI_VERSION)
                return option->action;
            if (option->action == CLI_CHECK)
                action = CLI_CHECK;
            else if (!config_set(config, option->name, "yes", error))
                return CLI_MISTAKE;
            continue;
        }
        const char *value = name[len] ? name + len + 1 : argv[++i];
        if (!value) {
            error_set(error, "--%s needs a value: %s", option->name, option->argument);
            return CLI_MISTAKE;
        }
        bool ok = option->set ? option->set(config, value, error)
                              : config_set(config, option->name, value, error) ||
                                    error_prefix(error, argv[name[len] ? i : i - 1]);
        if (!ok)
            return CLI_MISTAKE;
    }
    return config_check(config, error) ? action : CLI_MISTAKE;
}

enum cli_action cli_parse(struct config *config, int argc, char **argv, struct error *error)
{
    config_defaults(config);
    return parse(config, argc, argv, error);
}

enum cli_action cli_parse_again(struct config *config, int argc, char **argv, struct error *error)
{
    config_defaults(config);
    config->reload = true;
    return parse(config, argc, argv, error);
}

const char *cli_topic(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return argv[i + 1];
    }
    return NULL;
}

static void help_schemes(const struct adapter *adapter, FILE *out)
{
    for (const char *const *s = adapter->schemes; *s; s++)
        fprintf(out, "%s%s:", s == adapter->schemes ? "" : " ", *s);
}

static void help_overview(FILE *out)
{
    fputs("Usage: dnstap-bridge --from URL [--from URL ...] --to URL [--to URL ...]\n"
          "Carries dnstap from sources to sinks, and accounts for every message. Signed: see receipts --help.\n",
          out);
    for (const struct cli_option *o = cli_options; o->name; o++) {
        char left[48];
        snprintf(left, sizeof left, "--%s %s", o->name, o->argument ? o->argument : "");
        fprintf(out, "  %-22s %s\n", left, o->meaning);
    }
    fputs("\nURLs (options follow a '#': URL#name=value,name=value):\n", out);
    for (const struct adapter *const *a = adapters; *a; a++) {
        fputs("  ", out);
        help_schemes(*a, out);
        fprintf(out, " %s\n", (*a)->address);
        if ((*a)->source_summary)
            fprintf(out, "      source: %s\n", (*a)->source_summary);
        if ((*a)->sink_summary)
            fprintf(out, "      sink:   %s\n", (*a)->sink_summary);
    }
    fputs("\nExamples:\n"
          "  see what a server sends:    dnstap-bridge --from unix:/run/dnstap.sock --to -#format=text\n"
          "  a collector beside it:      dnstap-bridge --from unix:/run/dnstap.sock --to nng+tcp:HOST:5555\n"
          "  a bridge at the other end:  dnstap-bridge --from nng+tcp:0.0.0.0:5555 --to dns.fstrm\n"
          "Exit: 0 all delivered or filtered; 1 something dropped, malformed, failed or lost; 2 no start.\n",
          out);
}

/* What it means, its default in brackets, and the range of a number. */
static void help_option(const struct option_spec *o, const char *left, FILE *out)
{
    char range[80];
    fprintf(out, "  %-22s %s", left, o->meaning);
    if (o->fallback)
        fprintf(out, " [%s]", o->fallback);
    if (option_range(o, range, sizeof range))
        fprintf(out, " (%s)", range);
    fputc('\n', out);
}

static void help_options(const char *title, const struct option_spec *common,
                         const struct option_spec *own, FILE *out)
{
    fprintf(out, "%s\n", title);
    const struct option_spec *const tables[] = {own, common};
    for (int t = 0; t < 2; t++) {
        for (const struct option_spec *o = tables[t]; o && o->name; o++) {
            char left[64];
            snprintf(left, sizeof left, "%s%s%s", o->name, o->type == OPTION_FLAG ? "" : "=",
                     o->choices ? o->choices : o->type == OPTION_FLAG ? "" : "...");
            help_option(o, left, out);
        }
    }
}

/* The formats that are no encoder's: messages go out as they came in. */
static bool help_plain_format(const char *name, FILE *out)
{
    static const struct {
        const char *name, *meaning;
    } plain[] = {
        {"dnstap", "messages as they are: a Frame Streams file or stream, or one message per record of Kafka"},
        {"frames", "kafka: a whole batch of messages per record, as Frame Streams data frames (http has body=frames)"},
    };
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        if (strcmp(plain[i].name, name) == 0)
            return fprintf(out, "format=%s: %s. It has no options of its own.\n", name, plain[i].meaning) > 0;
    }
    return false;
}

static bool help_format(const char *name, FILE *out)
{
    const struct encoder_ops *format = encoder_find(name);
    if (!format)
        return help_plain_format(name, out);
    fprintf(out, "format=%s: %s.\n", format->name, format->summary);
    if (format->options)
        help_options("Options, beside the sink's own:", NULL, format->options, out);
    return true;
}

static void help_steps(FILE *out)
{
    fputs("A sink's policy: steps that messages pass in their order (policy=FILE, or policy: in a configuration).\n", out);
    for (const struct step_ops *const *step = policy_steps; *step; step++)
        fprintf(out, "  %-22s %s\n", (*step)->name, (*step)->summary);
    fputs("--help STEP: its options.\n", out);
}

static bool help_step(const char *name, FILE *out)
{
    const struct step_ops *step = policy_step_find(name);
    if (!step && strcmp(name, "policy") != 0)
        return false;
    if (!step) {
        help_steps(out);
        return true;
    }
    fprintf(out, "%s, a step of a policy: %s.\n", step->name, step->summary);
    help_options("Options:", policy_step_options, step->options, out);
    return true;
}

bool cli_help(const char *topic, FILE *out)
{
    if (!topic) {
        help_overview(out);
        return true;
    }
    if (strcmp(topic, "receipts") == 0) {
        receipt_help(out);
        return true;
    }
    size_t len = strcspn(topic, ":");
    const struct adapter *adapter = adapter_find(topic, len);
    if (!adapter)
        return help_format(topic, out) || help_step(topic, out);
    help_schemes(adapter, out);
    fprintf(out, " %s\n", adapter->address);
    if (adapter->source) {
        fprintf(out, "\nAs a source: %s.\n", adapter->source_summary);
        help_options("Options:", source_common_options, adapter->source_options, out);
    }
    if (adapter->sink) {
        fprintf(out, "\nAs a sink: %s.\n", adapter->sink_summary);
        help_options("Options:", sink_common_options, adapter->sink_options, out);
    }
    return true;
}
