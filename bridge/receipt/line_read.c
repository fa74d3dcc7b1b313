#include <jansson.h>
#include <stdlib.h>

#include "receipt/line.h"

/* The fields of one object, and whether all that was asked for was there. */
struct fields {
    const json_t *object;
    bool bad;
    const char *which; /* the first that was not there or not such */
};

static void spoil(struct fields *f, const char *name)
{
    if (!f->bad)
        f->which = name;
    f->bad = true;
}

static uint64_t number_of(struct fields *f, const json_t *value, const char *name, uint64_t most)
{
    json_int_t number = json_integer_value(value);
    if (json_is_integer(value) && number >= 0 && (uint64_t)number <= most)
        return (uint64_t)number;
    spoil(f, name);
    return 0;
}

static uint64_t number(struct fields *f, const char *name, uint64_t most)
{
    return number_of(f, json_object_get(f->object, name), name, most);
}

static bool flag(struct fields *f, const char *name)
{
    const json_t *value = json_object_get(f->object, name);
    if (!json_is_boolean(value))
        spoil(f, name);
    return json_is_true(value);
}

static void text(struct fields *f, const char *name, char *out, size_t room)
{
    const json_t *value = json_object_get(f->object, name);
    size_t len = json_string_length(value);
    *out = '\0';
    if (!json_is_string(value) || len == 0 || len >= room)
        spoil(f, name);
    else
        memcpy(out, json_string_value(value), len + 1);
}

static void octets_of(struct fields *f, const json_t *value, const char *name, uint8_t *out,
                      unsigned len)
{
    if (!json_is_string(value) || json_string_length(value) != 2 * len ||
        !hex_read(json_string_value(value), out, len))
        spoil(f, name);
}

static void octets(struct fields *f, const char *name, uint8_t *out, unsigned len)
{
    octets_of(f, json_object_get(f->object, name), name, out, len);
}

/* A digest that stays text. */
static void hex_text(struct fields *f, const char *name, char out[SHA256_HEX + 1])
{
    uint8_t digest[SHA256_OCTETS] = {0};
    octets(f, name, digest, sizeof digest);
    hex_write(digest, sizeof digest, out);
}

static unsigned choice(struct fields *f, const char *name, const char *const choices[])
{
    const char *value = json_string_value(json_object_get(f->object, name));
    for (unsigned i = 0; value && choices[i]; i++) {
        if (strcmp(choices[i], value) == 0)
            return i;
    }
    spoil(f, name);
    return 0;
}

/* [first,last] ascending and apart; what was too much for the line, in more_NAME. */
static void gaps(struct fields *f, const char *name, struct gaps *out)
{
    const json_t *list = json_object_get(f->object, name);
    *out = (struct gaps){0};
    if (!json_is_array(list) || json_array_size(list) > GAPS_MAX) {
        spoil(f, name);
        return;
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *pair = json_array_get(list, i);
        struct gap gap = {.from = number_of(f, json_array_get(pair, 0), name, INT64_MAX),
                          .to = number_of(f, json_array_get(pair, 1), name, INT64_MAX) + 1};
        if (json_array_size(pair) != 2 || gap.from >= gap.to)
            spoil(f, name);
        out->at[out->count++] = gap;
    }
    char more[32] = "more_";
    strncat(more, name, sizeof more - sizeof "more_");
    struct fields rest = {.object = json_object_get(f->object, more)};
    if (!rest.object)
        return;
    out->forgotten = number(&rest, "ranges", INT64_MAX);
    out->forgotten_numbers = number(&rest, "messages", INT64_MAX);
    if (rest.bad)
        spoil(f, name);
}

static void blocks(struct fields *f, struct receipt_line *line)
{
    const json_t *list = json_object_get(f->object, "blocks");
    if (!json_is_array(list) || json_array_size(list) > BLOCKS_MAX) {
        spoil(f, "blocks");
        return;
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        struct block *block = &line->blocks[line->block_count++];
        block->first = number_of(f, json_array_get(one, 0), "blocks", INT64_MAX);
        block->last = number_of(f, json_array_get(one, 1), "blocks", INT64_MAX);
        octets_of(f, json_array_get(one, 2), "blocks", block->sha256, SHA256_OCTETS);
        if (json_array_size(one) != 3 || block->last < block->first ||
            block->first / BLOCK_MESSAGES != block->last / BLOCK_MESSAGES)
            spoil(f, "blocks");
    }
}

static const char *closed_of(const struct fields *f)
{
    const char *closed = json_string_value(json_object_get(f->object, "closed"));
    return closed ? closed : "";
}

static void interval(struct fields *f, struct receipt_line *line)
{
    uint64_t in_blocks = 0;
    text(f, "link", line->link, sizeof line->link);
    line->interval = number(f, "interval", INT64_MAX);
    line->part = (uint32_t)number(f, "part", UINT32_MAX);
    line->messages = number(f, "messages", INT64_MAX);
    line->duplicates = number(f, "duplicates", INT64_MAX);
    line->shared = flag(f, "shared");
    line->silent = strcmp(closed_of(f), "silence") == 0;
    text(f, "policy", line->policy, sizeof line->policy);
    gaps(f, "missing", &line->missing);
    gaps(f, "refused", &line->refused);
    blocks(f, line);
    if (line->messages > 0) {
        line->first = number(f, "first", INT64_MAX);
        line->last = number(f, "last", INT64_MAX);
    }
    for (unsigned i = 0; i < line->block_count; i++)
        in_blocks += line->blocks[i].last - line->blocks[i].first + 1;
    if (line->last < line->first || (!line->shared && in_blocks != line->messages))
        spoil(f, "messages");
}

/* --- what a line says must not contradict itself --- */

static int by_first(const void *a, const void *b)
{
    const struct block *x = a, *y = b;
    return x->first < y->first ? -1 : x->first > y->first;
}

/* Do any of the ascending blocks and of these ranges have a number in common? */
static bool touches(const struct block *blocks, unsigned count, const struct gaps *ranges)
{
    for (unsigned i = 0; i < ranges->count; i++) {
        unsigned low = 0, high = count;
        while (low < high) {
            unsigned middle = (low + high) / 2;
            if (blocks[middle].last < ranges->at[i].from)
                low = middle + 1;
            else
                high = middle;
        }
        if (low < count && blocks[low].first < ranges->at[i].to)
            return true;
    }
    return false;
}

static bool overlap(const struct gaps *a, const struct gaps *b)
{
    for (unsigned i = 0; i < a->count; i++) {
        for (unsigned k = 0; k < b->count; k++) {
            if (a->at[i].from < b->at[k].to && b->at[k].from < a->at[i].to)
                return true;
        }
    }
    return false;
}

/* NULL: nothing contradicts. */
static const char *contradiction(const struct receipt_line *line)
{
    struct block blocks[BLOCKS_MAX];
    unsigned count = line->block_count;
    memcpy(blocks, line->blocks, count * sizeof *blocks);
    qsort(blocks, count, sizeof *blocks, by_first);
    if (line->shared && count > 0)
        return "messages that were shared out have no blocks";
    for (unsigned i = 1; i < count; i++) {
        if (blocks[i].first <= blocks[i - 1].last)
            return "two of its blocks hold the same message";
    }
    if (count > 0 && (blocks[0].first != line->first || blocks[count - 1].last != line->last))
        return "its first and last are not those of its blocks";
    if (touches(blocks, count, &line->missing))
        return "a message is in a block, and missing";
    if (touches(blocks, count, &line->refused))
        return "a message is in a block, and refused";
    return overlap(&line->missing, &line->refused) ? "a message is missing, and refused" : NULL;
}

static bool make_sense(const struct receipt_line *line, struct error *error)
{
    const char *why = line->kind == RECEIPT_INTERVAL ? contradiction(line) : NULL;
    return !why || error_set(error, "it contradicts itself: %s", why);
}

static bool take_fields(struct receipt_line *line, const json_t *object, struct error *error)
{
    static const char *const kinds[] = {"open", "interval", "key", "close", NULL};
    static const char *const roles[] = {"sender", "receiver", NULL};
    struct fields f = {.object = object};
    if (number(&f, "receipt", RECEIPT_FORMAT) != RECEIPT_FORMAT)
        spoil(&f, "receipt");
    line->number = number(&f, "line", INT64_MAX);
    octets(&f, "previous", line->previous, SHA256_OCTETS);
    hex_text(&f, "key", line->key);
    line->kind = (enum receipt_kind)choice(&f, "type", kinds);
    line->sender = choice(&f, "as", roles) == 0;
    octets(&f, "signature", line->signature, SIGNATURE_OCTETS);
    const char *when = line->kind == RECEIPT_INTERVAL ? "to" : "time";
    line->time[0] = '\0';
    if (json_object_get(object, when))
        text(&f, when, line->time, sizeof line->time);
    if (line->time[strspn(line->time, "0123456789-T:.Z")])
        spoil(&f, when);
    if (json_object_get(object, "unwritten"))
        line->unwritten = number(&f, "unwritten", INT64_MAX);
    if (line->kind == RECEIPT_OPEN || line->kind == RECEIPT_KEY)
        octets(&f, "public_key", line->public_key, PUBLIC_OCTETS);
    if (line->kind == RECEIPT_OPEN)
        line->unclean =
            choice(&f, "after", (const char *const[]){"nothing", "close", "crash", NULL}) == 2;
    if (line->kind == RECEIPT_INTERVAL)
        interval(&f, line);
    return !f.bad || error_set(error, "its field '%s' is missing or not as it should be", f.which);
}

/* The signature stands last, written in the one way that we write it: what is behind the signed
 * octets can not be written otherwise either. */
static bool find_signature(struct receipt_line *line, const char *octets_in, size_t len)
{
    static const char head[] = ",\"signature\":\"";
    size_t tail = sizeof head - 1 + SIGNATURE_HEX + 2;
    if (len < tail || memcmp(octets_in + len - tail, head, sizeof head - 1) != 0 ||
        memcmp(octets_in + len - 2, "\"}", 2) != 0)
        return false;
    line->signed_len = len - tail;
    return true;
}

bool receipt_line_read(struct receipt_line *line, const char *octets_in, size_t len,
                       struct error *error)
{
    json_error_t why;
    line->block_count = 0;
    line->unwritten = line->first = line->last = 0;
    line->unclean = false;
    json_t *object =
        len <= RECEIPT_LINE_MAX ? json_loadb(octets_in, len, JSON_REJECT_DUPLICATES, &why) : NULL;
    bool ok = json_is_object(object) && find_signature(line, octets_in, len);
    if (ok)
        ok = take_fields(line, object, error) && make_sense(line, error);
    else
        error_set(error, "it is no receipt");
    json_decref(object);
    return ok;
}

bool receipt_line_signed_by(const struct receipt_line *line, const char *octets_in,
                            const struct receipt_key *key)
{
    return receipt_key_verify(key, octets_in, line->signed_len, line->signature);
}
