/* The bodies of requests: what `body=` names, one line in a table for each kind. Built from the
 * unsettled records of a load's window; the same records give the same body each time. */
#ifndef ADAPTERS_HTTP_BODY_H
#define ADAPTERS_HTTP_BODY_H

#include "error.h"
#include "http_load.h"
#include "options.h"

struct body_kind {
    const char *name; /* what `body=` calls it */
    const char *content_type;
    const char *format;        /* the default, */
    const char *formats;       /* and all that can be carried, separated by '|' */
    const char *path;          /* where its server takes it, when the URL names no path; NULL: / */
    const char *authorization; /* the scheme of `bearer=` */
    bool as_is;                /* the records back to back are the body */
    bool itemised;             /* the answer tells of each record by itself */
    /* What stands at the beginning, before, and after each record, between two of them, and at the
     * end. */
    const char *open, *before, *after, *between, *close;
    bool quoted; /* records are JSON strings there */
    bool timed;  /* with a time in ns before each: Loki */
};

/* One kind with what the options add. */
struct body {
    const struct body_kind *kind;
    char *open;        /* owned */
    const char *index; /* a pattern (http_document.h), or NULL; borrowed */
};

extern const char body_kinds[]; /* the names, separated by '|' */
const struct body_kind *body_find(const char *name);

/* The Content-Type of a body of this kind with records of this format. */
const char *body_content_type(const struct body_kind *kind, const char *format);

/* False with the error where the options do not go together. Free in either case. */
bool body_init(struct body *body, const struct options *options, const char *hop,
               struct error *error);
void body_free(struct body *body);

/* The body of the load's window: borrowed from the load where the records are the body, else made
 * in `room`. NULL: out of memory. */
const uint8_t *body_make(const struct body *body, struct load *load, struct buffer *room,
                         size_t *len);

/* The most octets that a body of `count` records of `size` octets in all takes. */
uint64_t body_bound(const struct body_kind *kind, uint64_t size, uint64_t count);

#endif
