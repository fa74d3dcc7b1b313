/* A YAML document as somebody wrote it, read node by node; every mistake is told with
 * FILE:LINE:COLUMN. Main thread. */
#ifndef BRIDGE_DOCUMENT_H
#define BRIDGE_DOCUMENT_H

#include <stdio.h>
#include <yaml.h>

#include "error.h"
#include "options.h"

struct document {
    const char *path;
    yaml_document_t yaml;
};

/* Gives the file's document to `read`, which may keep nothing of it. False with the error. The file
 * stays open. */
bool document_read(FILE *file, const char *path,
                   bool (*read)(void *arg, struct document *d, struct error *error), void *arg,
                   struct error *error);

/* Puts the place before the error; false. */
bool document_error(const struct document *d, yaml_mark_t mark, struct error *error);

/* The node of an index; the text of a scalar. Borrowed. */
const yaml_node_t *document_node(struct document *d, int index);
const char *document_text(const yaml_node_t *node);

/* Is the node text with something in it; a mapping? False with the error, which says that `what`
 * was expected. */
bool document_is_text(const struct document *d, const yaml_node_t *node, const char *what,
                      struct error *error);
bool document_is_mapping(const struct document *d, const yaml_node_t *node, const char *what,
                         struct error *error);

/* Is the pair's key text, and the first of its name in the mapping? False with the error. */
bool document_check_key(struct document *d, const yaml_node_t *mapping,
                        const yaml_node_pair_t *pair, struct error *error);

/* Gives an option its value, or, where a list stands, its values. False with the error, which names
 * `owner`, and what is valid: the options, and `also` if it is not NULL. */
bool document_give(struct document *d, struct options *options, const char *owner, const char *also,
                   const yaml_node_t *key, const yaml_node_t *value, struct error *error);

#endif
