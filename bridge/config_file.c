#include "config_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "document.h"
#include "policy/plan.h"
#include "words.h"

typedef bool key_handler(struct config *config, struct document *d, const yaml_node_t *key,
                         const yaml_node_t *value, struct error *error);

static key_handler read_setting, read_sources, read_sinks;

static const struct key {
    const char *name;
    key_handler *read;
} keys[] = {
    {"hop", read_setting},     {"status", read_setting}, {"ledger", read_setting}, {"status-host", read_setting},
    {"quiet", read_setting},   {"log", read_setting},    {"drain-timeout", read_setting},
    {"sources", read_sources}, {"sinks", read_sinks},
};

static bool read_setting(struct config *config, struct document *d, const yaml_node_t *key,
                         const yaml_node_t *value, struct error *error)
{
    if (!document_is_text(d, value, "text", error))
        return false;
    return config_set(config, document_text(key), document_text(value), error) ||
           document_error(d, value->start_mark, error);
}

static const yaml_node_t *url_in(struct document *d, const yaml_node_t *node)
{
    yaml_node_pair_t *p = node->data.mapping.pairs.start;
    for (; p < node->data.mapping.pairs.top; p++) {
        const yaml_node_t *key = document_node(d, p->key);
        if (key->type == YAML_SCALAR_NODE && strcmp(document_text(key), "url") == 0)
            return document_node(d, p->value);
    }
    return NULL;
}

/* A policy stands here in full, or is the name of a file that it stands in. */
static bool read_option(struct document *d, struct endpoint *e, const yaml_node_t *key,
                        const yaml_node_t *value, struct error *error)
{
    bool is_plan = strcmp(document_text(key), "policy") == 0 && value->type == YAML_SEQUENCE_NODE;
    if (is_plan && options_known(&e->options, "policy"))
        return plan_read(&e->plan, d, value, error);
    return document_give(d, &e->options, e->url, "url", key, value, error);
}

/* The keys of a source or sink beside its url. */
static bool read_options(struct document *d, struct endpoint *e, const yaml_node_t *node,
                         struct error *error)
{
    yaml_node_pair_t *p = node->data.mapping.pairs.start;
    for (; p < node->data.mapping.pairs.top; p++) {
        const yaml_node_t *key = document_node(d, p->key);
        if (!document_check_key(d, node, p, error))
            return false;
        if (strcmp(document_text(key), "url") != 0 &&
            !read_option(d, e, key, document_node(d, p->value), error))
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
    if (node->type == YAML_SCALAR_NODE && document_is_text(d, node, "a URL", error))
        return endpoint_parse(e, direction, document_text(node), error) || document_error(d, node->start_mark, error);
    if (node->type == YAML_SCALAR_NODE ||
        !document_is_mapping(d, node, "a URL, or a mapping with url:", error))
        return false;
    const yaml_node_t *url = url_in(d, node);
    if (!url) {
        error_set(error, "there is no url: here");
        return document_error(d, node->start_mark, error);
    }
    if (!document_is_text(d, url, "a URL", error))
        return false;
    if (strchr(document_text(url), '#')) {
        error_set(error, "options stand beside url: here, not behind a '#'");
        return document_error(d, url->start_mark, error);
    }
    if (!endpoint_begin(e, direction, document_text(url), error))
        return document_error(d, url->start_mark, error);
    return read_options(d, e, node, error) &&
           (endpoint_end(e, direction, error) || document_error(d, node->start_mark, error));
}

static bool read_endpoints(struct config *config, struct document *d, enum direction direction,
                           const yaml_node_t *node, struct error *error)
{
    if (!document_is_mapping(d, node, "a mapping of names to URLs", error))
        return false;
    for (yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top;
         p++) {
        if (!document_check_key(d, node, p, error) ||
            !read_endpoint(config, d, direction, document_node(d, p->value), error))
            return false;
        /* its key is its name */
        struct options *options = direction == DIRECTION_SINK ? &config->sinks[config->sink_count - 1]->options : NULL;
        if (options && !options_given(options, "name") &&
            !options_set(options, "name", document_text(document_node(d, p->key)), error))
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
        if (words_apart(keys[i].name, document_text(key)) < 3)
            nearest = keys[i].name;
    }
    if (nearest)
        error_set(error, "unknown key '%s'; did you mean '%s'?", document_text(key), nearest);
    else
        error_set(error, "unknown key '%s'; valid: %s", document_text(key), valid);
    return document_error(d, key->start_mark, error);
}

static bool read_pair(struct config *config, struct document *d, const yaml_node_t *root,
                      const yaml_node_pair_t *pair, struct error *error)
{
    const yaml_node_t *key = document_node(d, pair->key);
    if (!document_check_key(d, root, pair, error))
        return false;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (strcmp(keys[i].name, document_text(key)) == 0)
            return keys[i].read(config, d, key, document_node(d, pair->value), error);
    }
    return unknown_key(d, key, error);
}

static bool read_document(struct config *config, struct document *d, struct error *error)
{
    const yaml_node_t *root = yaml_document_get_root_node(&d->yaml);
    if (!root)
        return error_set(error, "%s: is empty; expected sources: and sinks:", d->path);
    if (!document_is_mapping(d, root, "a mapping: hop:, sources:, sinks:", error))
        return false;
    for (yaml_node_pair_t *p = root->data.mapping.pairs.start; p < root->data.mapping.pairs.top;
         p++) {
        if (!read_pair(config, d, root, p, error))
            return false;
    }
    return true;
}

static bool read_root(void *arg, struct document *d, struct error *error)
{
    return read_document(arg, d, error);
}

bool config_read(struct config *config, FILE *file, const char *path, struct error *error)
{
    return document_read(file, path, read_root, config, error);
}

bool config_read_file(struct config *config, const char *path, struct error *error)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return error_set(error, "%s: cannot read the configuration: %s", path, strerror(errno));
    bool ok = config_read(config, file, path, error);
    fclose(file);
    free(config->file);
    config->file = strdup(path);
    return ok && (config->file || error_set(error, "out of memory"));
}
