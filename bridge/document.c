#include "document.h"

#include <string.h>

/* Puts the place before the error; false. */
bool document_error(const struct document *d, yaml_mark_t mark, struct error *error)
{
    char place[300];
    snprintf(place, sizeof place, "%.250s:%zu:%zu", d->path, mark.line + 1, mark.column + 1);
    return error_prefix(error, place);
}

const char *document_text(const yaml_node_t *node)
{
    return (const char *)node->data.scalar.value;
}

const yaml_node_t *document_node(struct document *d, int index)
{
    return yaml_document_get_node(&d->yaml, index);
}

bool document_is_text(const struct document *d, const yaml_node_t *node, const char *what,
                      struct error *error)
{
    bool nothing = node->type == YAML_SCALAR_NODE &&
                   node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
                   (!*document_text(node) || !strcmp(document_text(node), "~") ||
                    !strcmp(document_text(node), "null"));
    if (node->type == YAML_SCALAR_NODE && !nothing &&
        strlen(document_text(node)) == node->data.scalar.length)
        return true;
    error_set(error, "expected %s, found %s", what,
              nothing                            ? "nothing"
              : node->type == YAML_SEQUENCE_NODE ? "a list"
              : node->type == YAML_MAPPING_NODE  ? "a mapping"
                                                 : "text with a NUL in it");
    return document_error(d, node->start_mark, error);
}

bool document_is_mapping(const struct document *d, const yaml_node_t *node, const char *what,
                         struct error *error)
{
    if (node->type == YAML_MAPPING_NODE)
        return true;
    error_set(error, "expected %s", what);
    return document_error(d, node->start_mark, error);
}

/* Is the pair's key text, and the first of its name in the mapping? */
bool document_check_key(struct document *d, const yaml_node_t *mapping,
                        const yaml_node_pair_t *pair, struct error *error)
{
    const yaml_node_t *key = document_node(d, pair->key);
    if (!document_is_text(d, key, "a key", error))
        return false;
    for (yaml_node_pair_t *p = mapping->data.mapping.pairs.start; p < pair; p++) {
        const yaml_node_t *before = document_node(d, p->key);
        if (strcmp(document_text(before), document_text(key)) == 0) {
            error_set(error, "'%s' stands here twice, first in line %zu", document_text(key),
                      before->start_mark.line + 1);
            return document_error(d, key->start_mark, error);
        }
    }
    return true;
}

static bool unknown_option(const struct document *d, const struct options *options,
                           const char *owner, const char *also, const yaml_node_t *key,
                           struct error *error)
{
    char valid[300];
    const char *name = document_text(key), *nearest = options_nearest(options, name);
    size_t used = (size_t)snprintf(valid, sizeof valid, "%s", also ? also : "");
    for (unsigned i = 0; i < options->count && used < sizeof valid; i++)
        used += (size_t)snprintf(valid + used, sizeof valid - used, "%s%s", used ? ", " : "",
                                 options->specs[i]->name);
    if (nearest)
        error_set(error, "unknown option '%s' of %s; did you mean '%s'?", name, owner, nearest);
    else
        error_set(error, "unknown option '%s' of %s; valid: %s", name, owner, valid);
    return document_error(d, key->start_mark, error);
}

static bool give(const struct document *d, struct options *options, const yaml_node_t *key,
                 const yaml_node_t *value, struct error *error)
{
    if (!document_is_text(d, value, "a value", error))
        return false;
    const char *text = document_text(value);
    if (value->data.scalar.style == YAML_PLAIN_SCALAR_STYLE) { /* how YAML writes a flag */
        text = strcmp(text, "true") == 0 ? "yes" : text;
        text = strcmp(text, "false") == 0 ? "no" : text;
    }
    return options_give(options, document_text(key), text, error) ||
           document_error(d, value->start_mark, error);
}

bool document_give(struct document *d, struct options *options, const char *owner, const char *also,
                   const yaml_node_t *key, const yaml_node_t *value, struct error *error)
{
    if (!options_known(options, document_text(key)))
        return unknown_option(d, options, owner, also, key, error);
    if (value->type != YAML_SEQUENCE_NODE)
        return give(d, options, key, value, error);
    if (value->data.sequence.items.start == value->data.sequence.items.top) {
        error_set(error, "'%s' is an empty list; give it an entry, or leave it out", document_text(key));
        return document_error(d, value->start_mark, error);
    }
    for (yaml_node_item_t *i = value->data.sequence.items.start; i < value->data.sequence.items.top;
         i++) {
        if (!give(d, options, key, document_node(d, *i), error))
            return false;
    }
    return true;
}

static bool parse_failed(const struct document *d, const yaml_parser_t *parser, struct error *error)
{
    error_set(error, "invalid YAML: %s", parser->problem ? parser->problem : "it cannot be read");
    return document_error(d, parser->problem_mark, error);
}

/* What stands behind another `---` would be passed over without a word. */
static bool is_only_document(const struct document *d, yaml_parser_t *parser, struct error *error)
{
    yaml_document_t more;
    if (!yaml_parser_load(parser, &more))
        return parse_failed(d, parser, error);
    const yaml_node_t *root = yaml_document_get_root_node(&more);
    if (root) {
        error_set(error, "a second YAML document begins here; expected one in a file");
        document_error(d, more.start_mark, error);
    }
    yaml_document_delete(&more);
    return root == NULL;
}

bool document_read(FILE *file, const char *path,
                   bool (*read)(void *arg, struct document *d, struct error *error), void *arg,
                   struct error *error)
{
    yaml_parser_t parser;
    struct document d = {.path = path};
    if (!yaml_parser_initialize(&parser))
        return error_set(error, "out of memory");
    yaml_parser_set_input_file(&parser, file);
    bool ok = yaml_parser_load(&parser, &d.yaml);
    if (ok) {
        ok = is_only_document(&d, &parser, error) && read(arg, &d, error);
        yaml_document_delete(&d.yaml);
    } else {
        parse_failed(&d, &parser, error);
    }
    yaml_parser_delete(&parser);
    return ok;
}
