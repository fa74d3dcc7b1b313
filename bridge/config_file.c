#include "config_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "words.h"

struct document {
    const char *path;
    yaml_document_t yaml;
};

typedef bool key_handler(struct config *config, struct document *d, const yaml_node_t *key,
                         const yaml_node_t *value, struct error *error);

static key_handler read_setting, read_sources, read_sinks;

static const struct key {
    const char *name;
    key_handler *read;
} keys[] = {
    {"hop", read_setting},     {"status", read_setting}, {"ledger", read_setting},
    {"quiet", read_setting},   {"log", read_setting},    {"drain-timeout", read_setting},
    {"sources", read_sources}, {"sinks", read_sinks},
};

/* Puts the place before the error; false. */
static bool at(const struct document *d, yaml_mark_t mark, struct error *error)
{
    char place[300];
    snprintf(place, sizeof place, "%.250s:%zu:%zu", d->path, mark.line + 1, mark.column + 1);
    return error_prefix(error, place);
}

static const char *text_of(const yaml_node_t *node)
{
    return (const char *)node->data.scalar.value;
}

static const yaml_node_t *node_of(struct document *d, int index)
{
    return yaml_document_get_node(&d->yaml, index);
}

static bool is_text(const struct document *d, const yaml_node_t *node, const char *what,
                    struct error *error)
{
    bool nothing =
        node->type == YAML_SCALAR_NODE && node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
        (!*text_of(node) || !strcmp(text_of(node), "~") || !strcmp(text_of(node), "null"));
    if (node->type == YAML_SCALAR_NODE && !nothing &&
        strlen(text_of(node)) == node->data.scalar.length)
        return true;
    error_set(error, "expected %s, found %s", what,
              nothing                            ? "nothing"
              : node->type == YAML_SEQUENCE_NODE ? "a list"
              : node->type == YAML_MAPPING_NODE  ? "a mapping"
                                                 : "text with a NUL in it");
    return at(d, node->start_mark, error);
}

static bool is_mapping(const struct document *d, const yaml_node_t *node, const char *what,
                       struct error *error)
{
    if (node->type == YAML_MAPPING_NODE)
        return true;
    error_set(error, "expected %s", what);
    return at(d, node->start_mark, error);
}

/* Is the pair's key text, and the first of its name in the mapping? */
static bool check_key(struct document *d, const yaml_node_t *mapping, const yaml_node_pair_t *pair,
                      struct error *error)
{
    const yaml_node_t *key = node_of(d, pair->key);
    if (!is_text(d, key, "a key", error))
        return false;
    for (yaml_node_pair_t *p = mapping->data.mapping.pairs.start; p < pair; p++) {
        const yaml_node_t *before = node_of(d, p->key);
        if (strcmp(text_of(before), text_of(key)) == 0) {
            error_set(error, "'%s' stands here twice, first in line %zu", text_of(key),
                      before->start_mark.line + 1);
            return at(d, key->start_mark, error);
        }
    }
    return true;
}

static bool read_setting(struct config *config, struct document *d, const yaml_node_t *key,
                         const yaml_node_t *value, struct error *error)
{
    if (!is_text(d, value, "text", error))
        return false;
    return config_set(config, text_of(key), text_of(value), error) ||
           at(d, value->start_mark, error);
}

static bool unknown_option(const struct document *d, const struct endpoint *e,
                           const yaml_node_t *key, struct error *error)
{
    char valid[300] = "url";
    const char *nearest = options_nearest(&e->options, text_of(key));
    size_t used = strlen(valid);
    for (unsigned i = 0; i < e->options.count && used < sizeof valid; i++)
        used +=
            (size_t)snprintf(valid + used, sizeof valid - used, ", %s", e->options.specs[i]->name);
    if (nearest)
        error_set(error, "unknown option '%s' of %s; did you mean '%s'?", text_of(key), e->url,
                  nearest);
    else
        error_set(error, "unknown option '%s' of %s; valid: %s", text_of(key), e->url, valid);
    return at(d, key->start_mark, error);
}

static bool give(const struct document *d, struct endpoint *e, const yaml_node_t *key,
                 const yaml_node_t *value, struct error *error)
{
    if (!is_text(d, value, "a value", error))
        return false;
    const char *text = text_of(value);
    if (value->data.scalar.style == YAML_PLAIN_SCALAR_STYLE) { /* how YAML writes a flag */
        text = strcmp(text, "true") == 0 ? "yes" : text;
        text = strcmp(text, "false") == 0 ? "no" : text;
    }
    return options_give(&e->options, text_of(key), text, error) || at(d, value->start_mark, error);
}

static bool read_option(struct document *d, struct endpoint *e, const yaml_node_t *key,
                        const yaml_node_t *value, struct error *error)
{
    if (!options_known(&e->options, text_of(key)))
        return unknown_option(d, e, key, error);
    if (value->type != YAML_SEQUENCE_NODE)
        return give(d, e, key, value, error);
    for (yaml_node_item_t *i = value->data.sequence.items.start; i < value->data.sequence.items.top;
         i++) {
        if (!give(d, e, key, node_of(d, *i), error))
            return false;
    }
    return true;
}

static const yaml_node_t *url_in(struct document *d, const yaml_node_t *node)
{
    yaml_node_pair_t *p = node->data.mapping.pairs.start;
    for (; p < node->data.mapping.pairs.top; p++) {
        const yaml_node_t *key = node_of(d, p->key);
        if (key->type == YAML_SCALAR_NODE && strcmp(text_of(key), "url") == 0)
            return node_of(d, p->value);
    }
    return NULL;
}

/* The keys of a source or sink beside its url. */
static bool read_options(struct document *d, struct endpoint *e, const yaml_node_t *node,
                         struct error *error)
{
    yaml_node_pair_t *p = node->data.mapping.pairs.start;
    for (; p < node->data.mapping.pairs.top; p++) {
        const yaml_node_t *key = node_of(d, p->key);
        if (!check_key(d, node, p, error))
            return false;
        if (strcmp(text_of(key), "url") != 0 &&
            !read_option(d, e, key, node_of(d, p->value), error))
            return false;
    }
    return true;
}

/* `url` alone, as on the command line, or a mapping of it and its options. */
static bool read_endpoint(struct config *config, struct document *d, enum direction direction,
                          const yaml_node_t *node, struct error *error)
{
    struct endpoint *e = config_add(config, direction, error);
    if (!e)
        return false;
    if (node->type == YAML_SCALAR_NODE && is_text(d, node, "a URL", error))
        return endpoint_parse(e, direction, text_of(node), error) || at(d, node->start_mark, error);
    if (node->type == YAML_SCALAR_NODE ||
        !is_mapping(d, node, "a URL, or a mapping with url:", error))
        return false;
    const yaml_node_t *url = url_in(d, node);
    if (!url) {
        error_set(error, "there is no url: here");
        return at(d, node->start_mark, error);
    }
    if (!is_text(d, url, "a URL", error))
        return false;
    if (strchr(text_of(url), '#')) {
        error_set(error, "options stand beside url: here, not behind a '#'");
        return at(d, url->start_mark, error);
    }
    if (!endpoint_begin(e, direction, text_of(url), error))
        return at(d, url->start_mark, error);
    return read_options(d, e, node, error) &&
           (endpoint_end(e, direction, error) || at(d, node->start_mark, error));
}

static bool read_endpoints(struct config *config, struct document *d, enum direction direction,
                           const yaml_node_t *node, struct error *error)
{
    if (!is_mapping(d, node, "a mapping of names to URLs", error))
        return false;
    for (yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top;
         p++) {
        if (!check_key(d, node, p, error) ||
            !read_endpoint(config, d, direction, node_of(d, p->value), error))
            return false;
    }
    return true;
}

static bool read_sources(struct config *config, struct document *d, const yaml_node_t *key,
                         const yaml_node_t *value, struct error *error)
{
    (void)key;
    return read_endpoints(config, d, DIRECTION_SOURCE, value, error);
}

static bool read_sinks(struct config *config, struct document *d, const yaml_node_t *key,
                       const yaml_node_t *value, struct error *error)
{
    (void)key;
    return read_endpoints(config, d, DIRECTION_SINK, value, error);
}

static bool unknown_key(const struct document *d, const yaml_node_t *key, struct error *error)
{
    char valid[200] = "";
    const char *nearest = NULL;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        strcat(valid, i ? ", " : "");
        strcat(valid, keys[i].name);
        if (words_apart(keys[i].name, text_of(key)) < 3)
            nearest = keys[i].name;
    }
    if (nearest)
        error_set(error, "unknown key '%s'; did you mean '%s'?", text_of(key), nearest);
    else
        error_set(error, "unknown key '%s'; valid: %s", text_of(key), valid);
    return at(d, key->start_mark, error);
}

static bool read_pair(struct config *config, struct document *d, const yaml_node_t *root,
                      const yaml_node_pair_t *pair, struct error *error)
{
    const yaml_node_t *key = node_of(d, pair->key);
    if (!check_key(d, root, pair, error))
        return false;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (strcmp(keys[i].name, text_of(key)) == 0)
            return keys[i].read(config, d, key, node_of(d, pair->value), error);
    }
    return unknown_key(d, key, error);
}

static bool read_document(struct config *config, struct document *d, struct error *error)
{
    const yaml_node_t *root = yaml_document_get_root_node(&d->yaml);
    if (!root)
        return error_set(error, "%s: is empty; expected sources: and sinks:", d->path);
    if (!is_mapping(d, root, "a mapping: hop:, sources:, sinks:", error))
        return false;
    for (yaml_node_pair_t *p = root->data.mapping.pairs.start; p < root->data.mapping.pairs.top;
         p++) {
        if (!read_pair(config, d, root, p, error))
            return false;
    }
    return true;
}

bool config_read(struct config *config, FILE *file, const char *path, struct error *error)
{
    yaml_parser_t parser;
    struct document d = {.path = path};
    if (!yaml_parser_initialize(&parser))
        return error_set(error, "out of memory");
    yaml_parser_set_input_file(&parser, file);
    bool ok = yaml_parser_load(&parser, &d.yaml);
    if (ok) {
        ok = read_document(config, &d, error);
        yaml_document_delete(&d.yaml);
    } else {
        error_set(error, "is no YAML: %s", parser.problem ? parser.problem : "it cannot be read");
        at(&d, parser.problem_mark, error);
    }
    yaml_parser_delete(&parser);
    return ok;
}

bool config_read_file(struct config *config, const char *path, struct error *error)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return error_set(error, "%s: cannot read the configuration: %s", path, strerror(errno));
    bool ok = config_read(config, file, path, error);
    fclose(file);
    return ok;
}
