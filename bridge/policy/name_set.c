#include "name_set.h"

#include <stdlib.h>
#include <string.h>

#include "domain_name.h"
#include "set.h"

struct name_set {
    struct set *exact;
    struct set *below;                /* what stands behind `*.` */
    bool depths[QUESTION_LABELS + 1]; /* how many labels those have */
    unsigned deepest;
    bool all;
};

struct name_set *name_set_new(void)
{
    struct name_set *set = calloc(1, sizeof *set);
    if (!set)
        return NULL;
    set->exact = set_new();
    set->below = set_new();
    if (set->exact && set->below)
        return set;
    name_set_free(set);
    return NULL;
}

void name_set_free(struct name_set *set)
{
    if (!set)
        return;
    set_free(set->exact);
    set_free(set->below);
    free(set);
}

bool name_set_add(struct name_set *set, const char *text, struct error *error)
{
    uint8_t wire[DNS_NAME_WIRE_MAX];
    unsigned labels;
    bool below = strncmp(text, "*.", 2) == 0;
    if (strcmp(text, "*") == 0)
        return set->all = true;
    const char *name = !below ? text : text[2] ? text + 2 : "."; /* *. is all below the root */
    unsigned len = domain_name_read(name, wire, &labels, error);
    if (!len)
        return false;
    if (below) {
        set->depths[labels] = true;
        set->deepest = labels > set->deepest ? labels : set->deepest;
    }
    return set_add(below ? set->below : set->exact, wire, len) || error_set(error, "out of memory");
}

bool name_set_has(const struct name_set *set, const struct question *q)
{
    if (set->all || set_has(set->exact, q->name, q->name_len))
        return true;
    for (unsigned depth = 0; depth <= set->deepest && depth < q->label_count; depth++) {
        if (!set->depths[depth])
            continue;
        uint32_t at = depth ? q->labels[q->label_count - depth] : q->name_len - 1;
        if (set_has(set->below, q->name + at, q->name_len - at))
            return true;
    }
    return false;
}

uint64_t name_set_memory(const struct name_set *set)
{
    return set_memory(set->exact) + set_memory(set->below);
}

void name_set_put_sorted(const struct name_set *set, struct buffer *out)
{
    buffer_put_char(out, set->all);
    if (set->all)
        return;
    set_put_sorted(set->exact, out);
    set_put_sorted(set->below, out);
}
