/* The options of adapters: one table per adapter and direction, from which parsing, checking, help
 * and documentation all come. Written behind a URL's '#' as name=value,name=value; a flag stands
 * alone. Plain data, made before threads start, then only read. */
#ifndef BRIDGE_OPTIONS_H
#define BRIDGE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buffer.h"
#include "error.h"

enum option_type {
    OPTION_FLAG,     /* its name alone, or =yes / =no */
    OPTION_STRING,
    OPTION_CHOICE,   /* one of `choices` */
    OPTION_COUNT,    /* a whole number */
    OPTION_SIZE,     /* octets: 512, 64KiB, 1.5MiB, 1GiB; 64M is MiB, 64MB decimal */
    OPTION_DURATION, /* milliseconds from 250ms, 1.5s, 2m, 1h, 7d */
    OPTION_RATE,     /* per second: 1000/s */
};

struct option_spec {
    const char *name; /* NULL ends a table */
    enum option_type type;
    const char *fallback; /* the default, as one would write it; NULL: unset */
    const char *choices;  /* for OPTION_CHOICE, separated by '|' */
    uint64_t min, max;    /* for numbers; max 0: no bound */
    const char *meaning;  /* one line for help and documentation */
    bool secret;          /* of a string: never shown (secret.h reads it) */
    bool repeats;         /* of a string: may be given again; the values stand one a line */
    bool any_name;        /* of a string that repeats: takes every name that no table has, as NAME=VALUE */
};

enum { OPTIONS_MAX = 96, OPTION_TABLES = 8 };

/* The values for up to OPTION_TABLES tables: what is common to all, the adapter's own, the encoders'. Where
 * two tables have an option of the same name, the first one's counts. */
struct options {
    const struct option_spec *specs[OPTIONS_MAX];
    char *texts[OPTIONS_MAX]; /* owned; NULL where unset */
    uint64_t numbers[OPTIONS_MAX];
    bool given[OPTIONS_MAX]; /* written by the user, not by default */
    unsigned count;
};

/* Lays out the tables with their defaults, then reads `text` (NULL or "" for none). On a mistake,
 * false, and the error names the option or value and the valid ones. Free in either case. */
bool options_parse(struct options *options, const struct option_spec *const tables[OPTION_TABLES],
                   const char *text, struct error *error);
void options_free(struct options *options);

/* The same without the laying out: name=value,name=value. */
bool options_read(struct options *options, const char *text, struct error *error);

/* Lays out the tables with their defaults. False with the error; free in either case. */
bool options_lay_out(struct options *options, const struct option_spec *const tables[OPTION_TABLES],
                     struct error *error);

/* What the user wrote for one option, where it was not behind a '#'. False with the error, which
 * names the valid ones where the name is unknown. */
bool options_give(struct options *options, const char *name, const char *text, struct error *error);
bool options_known(const struct options *options, const char *name);

/* The known name that is most like this one; NULL: none is like it. */
const char *options_nearest(const struct options *options, const char *name);

/* Sets one option that is in the tables, as a default. */
bool options_set(struct options *options, const char *name, const char *text, struct error *error);

/* Takes the value of an option back, if it has one. */
void options_unset(struct options *options, const char *name);

/* Whether the user wrote the option. */
bool options_given(const struct options *options, const char *name);

/* The value of an option that is in the tables: NULL, 0 or false where it is unset. */
const char *options_string(const struct options *options, const char *name);
uint64_t options_number(const struct options *options, const char *name);
bool options_flag(const struct options *options, const char *name);
bool options_is(const struct options *options, const char *name, const char *value);

/* Is an option of this name a secret: its table says so, or, of a library's own, its name does? */
bool option_is_secret(const struct option_spec *spec, const char *name);

/* Are two texts, each of which may be NULL, the same? */
bool option_same_text(const char *a, const char *b);

/* The range of a number, as one would write it: "4KiB to 1TiB". False: the option is not a number. */
bool option_range(const struct option_spec *spec, char *out, size_t room);

/* Octets as a person writes them: 64MiB, 1.5MiB, 700. */
void size_print(uint64_t octets, char *out, unsigned room);

#endif
