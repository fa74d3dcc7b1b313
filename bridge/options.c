#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "words.h"

struct unit {
    const char *name;
    uint64_t factor;
};

/* The first of a factor is how it is printed. K, M, G and T are binary, as in most programs' options; KB and the like are
 * decimal, as disks are sold. */
static const struct unit size_units[] = {
    {"TiB", 1ull << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"", 1},
    {"T", 1ull << 40},   {"G", 1 << 30},   {"M", 1 << 20},   {"K", 1 << 10},   {"B", 1},
    {"TB", 1000000000000}, {"GB", 1000000000}, {"MB", 1000000}, {"KB", 1000},  {NULL, 0},
};
static const struct unit duration_units[] = {
    {"d", 24 * 3600 * 1000}, {"h", 3600 * 1000}, {"m", 60 * 1000}, {"s", 1000}, {"ms", 1}, {NULL, 0},
};
static const struct unit rate_units[] = {{"/s", 1}, {"", 1}, {NULL, 0}};
static const struct unit count_units[] = {{"", 1}, {NULL, 0}};

/* How each type of number is written, and an example for a reader who got it wrong. */
static const struct {
    const struct unit *units;
    const char *example;
} number_kinds[] = {
    [OPTION_COUNT] = {count_units, "a whole number, such as 10"},
    [OPTION_SIZE] = {size_units, "a size, such as 512KiB, 1.5MiB or 2GB"},
    [OPTION_DURATION] = {duration_units, "a time, such as 500ms, 5s, 2m, 1h or 7d"},
    [OPTION_RATE] = {rate_units, "a rate, such as 1000/s"},
};

enum { DECIMALS_MAX = 6 };

/* The digits behind a decimal point, of a unit: rounded up. False: there are none, or too many. */
static bool read_decimals(const char **at, uint64_t *millionths)
{
    int digits = 0;
    for (*millionths = 0; **at >= '0' && **at <= '9' && digits < DECIMALS_MAX; digits++)
        *millionths = *millionths * 10 + (uint64_t)(*(*at)++ - '0');
    for (int i = digits; i < DECIMALS_MAX; i++)
        *millionths *= 10;
    return digits > 0 && !(**at >= '0' && **at <= '9');
}

static bool read_number(const char *text, const struct unit *units, uint64_t *value)
{
    if (*text < '0' || *text > '9')
        return false;
    char *end;
    uint64_t millionths = 0;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    const char *unit = end;
    if (errno)
        return false;
    if (*unit == '.' && (unit++, !read_decimals(&unit, &millionths)))
        return false;
    bool decimal = *end == '.';
    for (; units->name; units++) {
        if (strcmp(unit, units->name) != 0)
            continue;
        uint64_t part = (uint64_t)(((unsigned __int128)millionths * units->factor + 999999) / 1000000);
        return (!decimal || units->factor > 1) && !__builtin_mul_overflow(number, units->factor, value) &&
               !__builtin_add_overflow(*value, part, value);
    }
    return false;
}

/* A number as it may be written, and is read again as itself. */
static void print_number(enum option_type type, uint64_t number, char *out, size_t room)
{
    const struct unit *unit = number_kinds[type].units;
    while (number % unit->factor != 0 || (number == 0 && unit->factor > 1))
        unit++;
    snprintf(out, room, "%llu%s", (unsigned long long)(number / unit->factor), unit->name);
}

bool option_range(const struct option_spec *spec, char *out, size_t room)
{
    char min[32], max[32];
    bool is_number = spec->type >= OPTION_COUNT && spec->type <= OPTION_RATE;
    if (!is_number)
        return false;
    print_number(spec->type, spec->min, min, sizeof min);
    print_number(spec->type, spec->max, max, sizeof max);
    if (spec->max)
        snprintf(out, room, "%s to %s", min, max);
    else
        snprintf(out, room, "%s or more", min);
    return true;
}

static bool is_choice(const char *choices, const char *text)
{
    size_t len = strlen(text);
    for (const char *at = choices; at; at = strchr(at, '|')) {
        at += *at == '|';
        size_t here = strcspn(at, "|");
        if (here == len && memcmp(at, text, len) == 0)
            return true;
    }
    return false;
}

static bool check_value(const struct option_spec *spec, const char *text, uint64_t *number,
                        struct error *error)
{
    switch (spec->type) {
    case OPTION_STRING:
        return *text || error_set(error, "option '%s' is empty", spec->name);
    case OPTION_FLAG:
        *number = strcmp(text, "yes") == 0;
        return is_choice("yes|no", text) ||
               error_set(error, "option '%s' takes yes or no, not '%s'", spec->name, text);
    case OPTION_CHOICE:
        return is_choice(spec->choices, text) ||
               error_set(error, "option '%s' takes %s, not '%s'", spec->name, spec->choices, text);
    case OPTION_COUNT:
    case OPTION_SIZE:
    case OPTION_DURATION:
    case OPTION_RATE:
        break;
    }
    if (!read_number(text, number_kinds[spec->type].units, number))
        return error_set(error, "option '%s' takes %s, not '%s'", spec->name,
                         number_kinds[spec->type].example, text);
    char range[80];
    if (*number >= spec->min && (!spec->max || *number <= spec->max))
        return true;
    option_range(spec, range, sizeof range);
    return error_set(error, "option '%s' takes %s, not '%s'", spec->name, range, text);
}

static int find(const struct options *options, const char *name, size_t len)
{
    for (unsigned i = 0; i < options->count; i++) {
        if (strlen(options->specs[i]->name) == len && !memcmp(options->specs[i]->name, name, len))
            return (int)i;
    }
    return -1;
}

/* The option that takes the names that no table has, or -1. */
static int find_any_name(const struct options *options)
{
    for (unsigned i = 0; i < options->count; i++) {
        if (options->specs[i]->any_name)
            return (int)i;
    }
    return -1;
}

bool option_is_secret(const struct option_spec *spec, const char *name)
{
    static const char *const words[] = {"password", "secret", "pem", "sasl.jaas", "oauthbearer.config"};
    for (size_t i = 0; spec->any_name && i < sizeof words / sizeof words[0]; i++) {
        if (strstr(name, words[i]))
            return true;
    }
    return spec->secret;
}

static bool unknown_option(const struct options *options, const char *name, size_t len,
                           struct error *error)
{
    char valid[360] = "", unknown[64];
    size_t used = 0;
    snprintf(unknown, sizeof unknown, "%.*s", len < 64 ? (int)len : 64, name);
    const char *nearest = options_nearest(options, unknown);
    for (unsigned i = 0; i < options->count && used < sizeof valid; i++)
        used += (size_t)snprintf(valid + used, sizeof valid - used, "%s%s", i ? ", " : "",
                                 options->specs[i]->name);
    return nearest ? error_set(error, "unknown option '%s'; did you mean '%s'? valid here: %s", unknown, nearest, valid)
                   : error_set(error, "unknown option '%s'; valid here: %s", unknown, valid);
}

/* A secret is not left behind in freed memory. */
static void forget(const struct option_spec *spec, char *text)
{
    if (text && (spec->secret || spec->any_name))
        explicit_bzero(text, strlen(text));
    free(text);
}

static bool set_option(struct options *options, unsigned i, const char *text, struct error *error)
{
    if (!check_value(options->specs[i], text, &options->numbers[i], error))
        return false;
    const char *before = options->specs[i]->repeats ? options->texts[i] : NULL;
    char *copy = NULL;
    if (asprintf(&copy, "%s%s%s", before ? before : "", before ? "\n" : "", text) < 0)
        return error_set(error, "out of memory");
    forget(options->specs[i], options->texts[i]);
    options->texts[i] = copy;
    return true;
}

static bool lay_out(struct options *options, const struct option_spec *spec, struct error *error)
{
    for (; spec && spec->name; spec++) {
        if (find(options, spec->name, strlen(spec->name)) >= 0)
            continue;
        if (options->count == OPTIONS_MAX)
            return error_set(error, "more than %d options in a table", OPTIONS_MAX);
        unsigned i = options->count++;
        options->specs[i] = spec;
        if (spec->fallback && !set_option(options, i, spec->fallback, error))
            return false;
    }
    return true;
}

bool options_lay_out(struct options *options, const struct option_spec *const tables[OPTION_TABLES],
                     struct error *error)
{
    *options = (struct options){0};
    for (int t = 0; t < OPTION_TABLES; t++) {
        if (!lay_out(options, tables[t], error))
            return false;
    }
    return true;
}

bool options_known(const struct options *options, const char *name)
{
    return find(options, name, strlen(name)) >= 0 || find_any_name(options) >= 0;
}

bool options_give(struct options *options, const char *name, const char *text, struct error *error)
{
    int i = find(options, name, strlen(name));
    if (i >= 0) {
        options->given[i] = true;
        return set_option(options, (unsigned)i, text, error);
    }
    i = find_any_name(options);
    char *pair = NULL;
    if (i < 0)
        return unknown_option(options, name, strlen(name), error);
    if (asprintf(&pair, "%s=%s", name, text) < 0)
        return error_set(error, "out of memory");
    bool ok = set_option(options, (unsigned)i, pair, error);
    forget(options->specs[i], pair);
    return ok;
}

const char *options_nearest(const struct options *options, const char *name)
{
    const char *best = NULL;
    unsigned least = strlen(name) < 4 ? 2 : 3; /* more changes than this make another word */
    for (unsigned i = 0; i < options->count; i++) {
        unsigned distance = words_apart(options->specs[i]->name, name);
        if (distance < least && !options->specs[i]->any_name) {
            least = distance;
            best = options->specs[i]->name;
        }
    }
    return best;
}

/* One piece between commas: name=value, or a flag's name. */
static bool read_piece(struct options *options, char *piece, struct error *error)
{
    char *equals = strchr(piece, '=');
    if (equals)
        *equals = '\0';
    int i = find(options, piece, strlen(piece));
    if (!equals && i < 0)
        return unknown_option(options, piece, strlen(piece), error);
    if (!equals && options->specs[i]->type != OPTION_FLAG)
        return error_set(error, "option '%s' needs a value: %s=...", piece, piece);
    return options_give(options, piece, equals ? equals + 1 : "yes", error);
}

bool options_parse(struct options *options, const struct option_spec *const tables[OPTION_TABLES],
                   const char *text, struct error *error)
{
    return options_lay_out(options, tables, error) && options_read(options, text, error);
}

bool options_read(struct options *options, const char *text, struct error *error)
{
    char *copy = strdup(text ? text : "");
    if (!copy)
        return error_set(error, "out of memory");
    size_t len = strlen(copy);
    bool ok = true;
    char *rest = copy;
    for (char *piece; ok && (piece = strsep(&rest, ","));) {
        if (*piece)
            ok = read_piece(options, piece, error);
    }
    explicit_bzero(copy, len); /* a secret may be among them */
    free(copy);
    return ok;
}

bool options_set(struct options *options, const char *name, const char *text, struct error *error)
{
    int i = find(options, name, strlen(name));
    if (i < 0)
        return unknown_option(options, name, strlen(name), error);
    return set_option(options, (unsigned)i, text, error);
}

void options_unset(struct options *options, const char *name)
{
    int i = find(options, name, strlen(name));
    if (i < 0)
        return;
    free(options->texts[i]);
    options->texts[i] = NULL;
    options->numbers[i] = 0;
}

bool options_given(const struct options *options, const char *name)
{
    int i = find(options, name, strlen(name));
    return i >= 0 && options->given[i];
}

void options_free(struct options *options)
{
    for (unsigned i = 0; i < options->count; i++)
        forget(options->specs[i], options->texts[i]);
    *options = (struct options){0};
}

const char *options_string(const struct options *options, const char *name)
{
    int i = find(options, name, strlen(name));
    return i < 0 ? NULL : options->texts[i];
}

uint64_t options_number(const struct options *options, const char *name)
{
    int i = find(options, name, strlen(name));
    return i < 0 ? 0 : options->numbers[i];
}

bool options_flag(const struct options *options, const char *name)
{
    return options_number(options, name) != 0;
}

bool options_is(const struct options *options, const char *name, const char *value)
{
    const char *text = options_string(options, name);
    return text && strcmp(text, value) == 0;
}

bool option_same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

void size_print(uint64_t octets, char *out, unsigned room)
{
    static const char *const names[] = {"", "KiB", "MiB", "GiB", "TiB"};
    unsigned unit = 0;
    uint64_t scale = 1;
    while (unit < 4 && octets >= 1024 * scale - scale / 20) { /* what would be printed as 1024.0 */
        scale *= 1024;
        unit++;
    }
    if (octets % scale == 0)
        snprintf(out, room, "%llu%s", (unsigned long long)(octets / scale), names[unit]);
    else
        snprintf(out, room, "%.1f%s", (double)octets / (double)scale, names[unit]);
}
