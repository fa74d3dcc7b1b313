#include "name_set.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

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

/* One character of a name, `\.` and `\DDD` too; -1: there is none. */
static int read_character(const char **text)
{
    const char *at = *text;
    if (*at != '\\') {
        *text += 1;
        return (unsigned char)*at;
    }
    if (isdigit((unsigned char)at[1]) && isdigit((unsigned char)at[2]) &&
        isdigit((unsigned char)at[3])) {
        int number = (at[1] - '0') * 100 + (at[2] - '0') * 10 + (at[3] - '0');
        *text += 4;
        return number < 256 ? number : -1;
    }
    *text += 2;
    return at[1] ? (unsigned char)at[1] : -1;
}

/* Wire form, lower-case. 0: it is no name. */
static uint32_t read_name(const char *text, uint8_t wire[DNS_NAME_WIRE_MAX], unsigned *labels)
{
    uint32_t len = 0;
    *labels = 0;
    if (strcmp(text, ".") == 0)
        text = "";
    while (*text) {
        uint32_t start = len++;
        while (*text && *text != '.') {
            int c = read_character(&text);
            if (c < 0 || len - start > 63 || len + 1 >= DNS_NAME_WIRE_MAX)
                return 0;
            wire[len++] = (uint8_t)tolower(c);
        }
        if (len == start + 1 || *labels + 1 == QUESTION_LABELS)
            return 0;
        wire[start] = (uint8_t)(len - start - 1);
        *labels += 1;
        text += *text == '.';
    }
    wire[len++] = 0;
    return len;
}

bool name_set_add(struct name_set *set, const char *text, bool *memory)
{
    uint8_t wire[DNS_NAME_WIRE_MAX];
    unsigned labels;
    bool below = strncmp(text, "*.", 2) == 0;
    *memory = true;
    if (strcmp(text, "*") == 0)
        return set->all = true;
    uint32_t len = *text ? read_name(below ? text + 2 : text, wire, &labels) : 0;
    if (!len)
        return false;
    if (below) {
        set->depths[labels] = true;
        set->deepest = labels > set->deepest ? labels : set->deepest;
    }
    *memory = set_add(below ? set->below : set->exact, wire, len);
    return *memory;
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
