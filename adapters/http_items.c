#include "http_items.h"

#include <jansson.h>

enum {
    ITEM_MEMORY = 3072
}; /* of jansson, for one item with an error: 1,400 measured, and a margin */

/* {"create":{"status":201}}: what stands behind the only name. NULL: it is something else. */
static json_t *outcome_of(json_t *item)
{
    void *first = json_object_iter(item);
    json_t *outcome = first ? json_object_iter_value(first) : NULL;
    return json_is_integer(json_object_get(outcome, "status")) ? outcome : NULL;
}

static enum item_result judge(json_int_t status)
{
    if (status >= 200 && status < 300)
        return ITEM_TAKEN;
    return status == 429 || (status >= 500 && status < 600) ? ITEM_RETRY : ITEM_REJECTED;
}

static bool all_are_outcomes(json_t *items, uint32_t count)
{
    if (!json_is_array(items) || json_array_size(items) != count)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        if (!outcome_of(json_array_get(items, i)))
            return false;
    }
    return true;
}

bool http_items_read(const char *answer, size_t len, uint32_t count,
                     void (*each)(void *arg, uint32_t i, enum item_result result,
                                  const char *reason),
                     void *arg)
{
    json_t *root = json_loadb(answer, len, 0, NULL);
    json_t *items = json_object_get(root, "items");
    bool ok = all_are_outcomes(items, count);
    for (uint32_t i = 0; ok && i < count; i++) {
        json_t *outcome = outcome_of(json_array_get(items, i));
        const char *reason =
            json_string_value(json_object_get(json_object_get(outcome, "error"), "reason"));
        each(arg, i, judge(json_integer_value(json_object_get(outcome, "status"))),
             reason ? reason : "");
    }
    json_decref(root);
    return ok;
}

uint64_t http_items_memory(uint64_t count)
{
    return count * ITEM_MEMORY;
}
