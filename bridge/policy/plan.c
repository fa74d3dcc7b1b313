#include "plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../words.h"

static bool unknown_step(const struct document *d, const yaml_node_t *key, struct error *error)
{
    char valid[200] = "";
    const char *nearest = NULL;
    size_t used = 0;
    for (const struct step_ops *const *s = policy_steps; *s && used < sizeof valid; s++) {
        used += (size_t)snprintf(valid + used, sizeof valid - used, "%s%s", used ? ", " : "",
                                 (*s)->name);
        if (words_apart((*s)->name, document_text(key)) < 3)
            nearest = (*s)->name;
    }
    if (nearest)
        error_set(error, "unknown step '%s'; did you mean '%s'?", document_text(key), nearest);
    else
        error_set(error, "unknown step '%s'; valid: %s", document_text(key), valid);
    return document_error(d, key->start_mark, error);
}

static bool read_options(struct plan_step *step, struct document *d, const yaml_node_t *node,
                         struct error *error)
{
    yaml_node_pair_t *p = node->data.mapping.pairs.start;
    for (; p < node->data.mapping.pairs.top; p++) {
        if (!document_check_key(d, node, p, error) ||
            !document_give(d, &step->options, step->ops->name, NULL, document_node(d, p->key),
                           document_node(d, p->value), error))
            return false;
    }
    return true;
}

/* `- keep: { ... }`, or the step's name alone where it needs no options. */
static bool read_step(struct plan *plan, struct document *d, const yaml_node_t *node,
                      struct error *error)
{
    bool pair = node->type == YAML_MAPPING_NODE &&
                node->data.mapping.pairs.top - node->data.mapping.pairs.start == 1;
    if (!pair && (node->type != YAML_SCALAR_NODE || !document_is_text(d, node, "a step", error))) {
        error_set(error, "expected one step, as in keep: { qname: \"*.example.org\" }");
        return document_error(d, node->start_mark, error);
    }
    const yaml_node_t *key = pair ? document_node(d, node->data.mapping.pairs.start->key) : node;
    const yaml_node_t *value =
        pair ? document_node(d, node->data.mapping.pairs.start->value) : NULL;
    if (!document_is_text(d, key, "the name of a step", error))
        return false;
    struct plan_step *step = &plan->steps[plan->count];
    step->ops = policy_step_find(document_text(key));
    if (!step->ops)
        return unknown_step(d, key, error);
    const struct option_spec *const tables[OPTION_TABLES] = {step->ops->options,
                                                             policy_step_options};
    plan->count++;
    snprintf(step->place, sizeof step->place, "%.250s:%zu:%zu", d->path, key->start_mark.line + 1,
             key->start_mark.column + 1);
    if (!options_lay_out(&step->options, tables, error))
        return document_error(d, key->start_mark, error);
    if (!value)
        return true;
    return document_is_mapping(d, value, "the step's options, as in { qname: \"*.example.org\" }",
                               error) &&
           read_options(step, d, value, error);
}

bool plan_read(struct plan *plan, struct document *d, const yaml_node_t *list, struct error *error)
{
    if (list->type != YAML_SEQUENCE_NODE ||
        list->data.sequence.items.top == list->data.sequence.items.start) {
        error_set(error, "expected a list of steps, each behind a '-'");
        return document_error(d, list->start_mark, error);
    }
    if (!plan->steps)
        plan->steps = calloc(PLAN_STEPS, sizeof *plan->steps);
    if (!plan->steps)
        return error_set(error, "out of memory");
    for (yaml_node_item_t *i = list->data.sequence.items.start; i < list->data.sequence.items.top;
         i++) {
        if (plan->count == PLAN_STEPS) {
            error_set(error, "a policy has %d steps at the most", PLAN_STEPS);
            return document_error(d, list->start_mark, error);
        }
        if (!read_step(plan, d, document_node(d, *i), error))
            return false;
    }
    return true;
}

static bool read_root(void *arg, struct document *d, struct error *error)
{
    const yaml_node_t *root = yaml_document_get_root_node(&d->yaml);
    if (!root)
        return error_set(error, "%s: is empty; expected a list of steps", d->path);
    if (root->type == YAML_MAPPING_NODE &&
        root->data.mapping.pairs.top - root->data.mapping.pairs.start == 1) {
        const yaml_node_t *key = document_node(d, root->data.mapping.pairs.start->key);
        if (key->type == YAML_SCALAR_NODE && strcmp(document_text(key), "policy") == 0)
            root = document_node(d, root->data.mapping.pairs.start->value);
    }
    return plan_read(arg, d, root, error);
}

bool plan_read_file(struct plan *plan, const char *path, struct error *error)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return error_set(error, "%s: cannot read the policy: %s", path, strerror(errno));
    bool ok = document_read(file, path, read_root, plan, error);
    fclose(file);
    return ok;
}

void plan_free(struct plan *plan)
{
    for (unsigned i = 0; i < plan->count; i++)
        options_free(&plan->steps[i].options);
    free(plan->steps);
    *plan = (struct plan){0};
}

static const char *rejects_of(const struct plan *plan, unsigned step)
{
    return options_string(&plan->steps[step].options, "rejects");
}

const char *plan_rejects(const struct plan *plan, unsigned nth)
{
    for (unsigned i = 0; i < plan->count; i++) {
        const char *name = rejects_of(plan, i);
        bool known = false;
        for (unsigned k = 0; name && k < i; k++)
            known = known || (rejects_of(plan, k) && strcmp(rejects_of(plan, k), name) == 0);
        if (name && !known && nth-- == 0)
            return name;
    }
    return NULL;
}

void plan_say(const struct plan *plan, FILE *out)
{
    for (unsigned i = 0; i < plan->count; i++) {
        const struct plan_step *step = &plan->steps[i];
        fprintf(out, "  %2u. ", i + 1);
        step->ops->say(&step->options, out);
        if (rejects_of(plan, i))
            fprintf(out, "; the others go to %s", rejects_of(plan, i));
        fputc('\n', out);
    }
}
