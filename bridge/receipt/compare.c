#include <inttypes.h>
#include <search.h>
#include <stdlib.h>

#include "json.h"
#include "receipt/comparer.h"

enum {
    LINKS_MAX = 1 << 16,
    WINDOW_BLOCKS = 1 << 16, /* of the sender at a time */
    RUNS_MAX = 1 << 20,      /* of the receiver that fall in them */
};

/* --- the links of a file --- */

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

bool receipt_links_have(const struct receipt_links *links, const char *name)
{
    return tfind(name, (void *const *)&links->tree, by_name) != NULL;
}

static bool add_link(struct receipt_links *links, const char *name)
{
    if (receipt_links_have(links, name))
        return true;
    if (links->count == LINKS_MAX)
        return false;
    if (links->count == links->room) {
        unsigned room = links->room ? 2 * links->room : 16;
        char **names = realloc(links->names, room * sizeof *names);
        if (!names)
            return false;
        links->names = names;
        links->room = room;
    }
    char *copy = strdup(name);
    if (!copy || !tsearch(copy, &links->tree, by_name)) {
        free(copy);
        return false;
    }
    links->names[links->count++] = copy;
    return true;
}

bool receipt_links_read(struct receipt_links *links, struct receipt_reader *reader,
                        struct error *error)
{
    *links = (struct receipt_links){0};
    enum receipt_found found = RECEIPT_BAD;
    struct receipt_line *line = malloc(sizeof *line);
    if (!line)
        return error_set(error, "cannot be read: out of memory");
    while ((found = receipt_reader_next(reader, NULL, line, error)) == RECEIPT_FOUND) {
        if (line->kind != RECEIPT_INTERVAL || add_link(links, line->link))
            continue;
        error_set(error, "has more links than can be compared: %u", links->count);
        break;
    }
    free(line);
    return found == RECEIPT_AT_END;
}

static void keep(void *name)
{
    (void)name;
}

void receipt_links_free(struct receipt_links *links)
{
    tdestroy(links->tree, keep);
    for (unsigned i = 0; i < links->count; i++)
        free(links->names[i]);
    free(links->names);
    *links = (struct receipt_links){0};
}

/* --- one link --- */

static bool no_memory(struct error *error)
{
    return error_set(error, "cannot be compared: out of memory");
}

static struct piece piece_of(const struct receipt_line *line, const struct block *block)
{
    struct piece piece = {.block = *block, .interval = line->interval};
    if (!hex_read(line->policy, piece.policy, SHA256_OCTETS)) /* "none", or what is none of ours */
        memcpy(piece.policy, line->policy, strnlen(line->policy, SHA256_OCTETS));
    return piece;
}

/* Notes a line of the sender in the first window, when all of it is seen. */
static void note_sent(struct comparer *c)
{
    struct receipt_comparison *out = c->out;
    const struct receipt_line *line = &c->line;
    if (line->messages == 0)
        return;
    if (line->shared)
        out->shared_sent += line->messages;
    if (out->sent == 0 || line->first < out->first)
        out->first = line->first;
    if (line->last > out->last)
        out->last = line->last;
    out->intervals += line->part == 0;
    out->sent += line->messages;
}

/* --- what the lines of a file tell of --- */

static bool add_span(struct spans *spans, struct span span)
{
    if (spans->count == spans->room) {
        size_t room = spans->room ? 2 * spans->room : 256;
        struct span *grown = realloc(spans->at, room * sizeof *grown);
        if (!grown)
            return false;
        spans->at = grown;
        spans->room = room;
    }
    spans->at[spans->count++] = span;
    return true;
}

static void widen_span(struct span *span, uint64_t low, uint64_t high)
{
    span->low = low < span->low ? low : span->low;
    span->high = high > span->high ? high : span->high;
}

static void widen_by_gaps(struct span *span, const struct gaps *gaps)
{
    for (unsigned i = 0; i < gaps->count; i++)
        widen_span(span, gaps->at[i].from, gaps->at[i].to - 1);
}

static struct span span_of(const struct receipt_line *line, const struct gaps *unlisted)
{
    struct span span = {.low = UINT64_MAX};
    if (line->messages > 0) {
        widen_span(&span, line->first, line->last);
        span.behind = line->last + 1;
    }
    widen_by_gaps(&span, &line->missing);
    widen_by_gaps(&span, &line->refused);
    widen_by_gaps(&span, unlisted);
    return span;
}

static bool is_of_the_link(const struct comparer *c)
{
    return c->line.kind == RECEIPT_INTERVAL && strcmp(c->line.link, c->out->link) == 0;
}

/* --- a window --- */

/* The blocks of a line that belong to the window. False with the error. */
static bool take_blocks(struct comparer *c, uint64_t behind, uint64_t *next, struct error *error)
{
    for (unsigned i = 0; i < c->line.block_count; i++) {
        const struct block *block = &c->line.blocks[i];
        if (block->first < *next)
            return error_set(error, "contradicts itself: line %" PRIu64 " tells of message %" PRIu64 " again", c->line.number,
                             block->first);
        *next = block->last + 1;
        if (block->first < behind)
            continue;
        if (c->block_count == WINDOW_BLOCKS)
            c->last = false;
        else
            c->blocks[c->block_count++] = piece_of(&c->line, block);
    }
    return true;
}

/* The first pass notes what each line tells of; later ones take apart only the lines of their window. */
static bool take_sent(struct comparer *c, uint64_t behind, uint64_t *next, struct error *error)
{
    struct span span = {.low = UINT64_MAX};
    bool first_window = c->done == 0, ours = is_of_the_link(c);
    if (ours) {
        span = span_of(&c->line, &(struct gaps){.count = 0});
        if (first_window)
            note_sent(c);
        if (first_window && c->line.shared && c->line.messages > 0 &&
            !ranges_add(&c->shared, (struct gap){c->line.first, c->line.last + 1}))
            return error_set(error, "has too many pieces to compare within memory");
    }
    if (first_window && !add_span(&c->sender_spans, span))
        return no_memory(error);
    return !ours || take_blocks(c, behind, next, error);
}

/* Up to a window of the sender's blocks, behind those that are done. */
static bool load_blocks(struct comparer *c, struct error *error)
{
    enum receipt_found found = RECEIPT_FOUND;
    uint64_t behind = c->done == 0 ? 0 : c->high + 1, next = 0;
    c->block_count = 0;
    c->last = true;
    if (!receipt_reader_rewind(c->sender, error))
        return false;
    for (size_t line = 0; found == RECEIPT_FOUND; line++) {
        const struct span *span = c->done > 0 && line < c->sender_spans.count ? &c->sender_spans.at[line] : NULL;
        if (span && (span->low > span->high || span->high < behind || !c->last)) {
            found = receipt_reader_skip(c->sender, &c->needle, error);
            continue;
        }
        found = receipt_reader_next(c->sender, &c->needle, &c->line, error);
        if (found == RECEIPT_FOUND && !take_sent(c, behind, &next, error))
            return false;
    }
    c->low = behind;
    c->high =
        c->last || c->block_count == 0 ? UINT64_MAX : c->blocks[c->block_count - 1].block.last;
    return found == RECEIPT_AT_END;
}

static bool in_window(const struct comparer *c, uint64_t first, uint64_t last)
{
    return last >= c->low && first <= c->high;
}

static bool add_ranges(const struct comparer *c, struct ranges *to, const struct gaps *gaps)
{
    for (unsigned i = 0; i < gaps->count; i++) {
        if (in_window(c, gaps->at[i].from, gaps->at[i].to - 1) && !ranges_add(to, gaps->at[i]))
            return false;
    }
    return true;
}

static bool add_run(struct comparer *c, const struct block *block)
{
    if (c->run_count == c->run_room) {
        size_t room = c->run_room ? 2 * c->run_room : 256;
        struct piece *grown = room <= RUNS_MAX ? realloc(c->runs, room * sizeof *grown) : NULL;
        if (!grown)
            return false;
        c->runs = grown;
        c->run_room = room;
    }
    c->runs[c->run_count++] = piece_of(&c->line, block);
    return true;
}

/* Notes a line of the receiver, in the first window. One that was closed for silence counts no more
 * where the next has all of its interval again. */
static void note_received(struct comparer *c)
{
    const struct receipt_line *line = &c->line;
    uint64_t shared = line->shared ? line->messages : 0;
    if (c->before.silent && c->before.interval == line->interval && c->before.part == line->part) {
        c->out->shared_received -= c->before.shared;
        c->out->duplicates -= c->before.duplicates;
    }
    c->out->shared_received += shared;
    c->out->duplicates += line->duplicates;
    c->before.silent = line->silent;
    c->before.interval = line->interval;
    c->before.part = line->part;
    c->before.shared = shared;
    c->before.duplicates = line->duplicates;
}

/* Where the missing ranges are that were too many for the line: below those that it lists, and
 * above what came in lines before. Whatever the receiver has no digest of there is missing by its
 * own word. */
static struct gaps unlisted_of(struct comparer *c)
{
    const struct receipt_line *line = &c->line;
    struct gaps unlisted = {.count = 0};
    uint64_t from = c->reached > 0 && c->reached < line->first ? c->reached : line->first;
    if (line->missing.forgotten > 0 && line->missing.count > 0 && from < line->missing.at[0].from) {
        unlisted.at[0] = (struct gap){.from = from, .to = line->missing.at[0].from};
        unlisted.count = 1;
    }
    if (line->messages > 0 && line->last >= c->reached)
        c->reached = line->last + 1;
    return unlisted;
}

/* A line of the receiver into the window. False: too many pieces, or out of memory. */
static bool take_received(struct comparer *c)
{
    const struct receipt_line *line = &c->line;
    struct span span = {.low = UINT64_MAX};
    bool first_window = c->low == 0, ours = is_of_the_link(c), ok = true;
    if (ours) {
        if (first_window)
            note_received(c);
        const struct gaps unlisted = unlisted_of(c);
        span = span_of(line, &unlisted);
        ok = add_ranges(c, &c->missing, &line->missing) && add_ranges(c, &c->missing, &unlisted) &&
             add_ranges(c, &c->refused, &line->refused);
        for (unsigned i = 0; ok && i < line->block_count; i++) {
            if (in_window(c, line->blocks[i].first, line->blocks[i].last))
                ok = add_run(c, &line->blocks[i]);
        }
    }
    return ok && (!first_window || add_span(&c->receiver_spans, span));
}

/* What the receiver says of the window. */
static bool load_runs(struct comparer *c, struct error *error)
{
    enum receipt_found found = RECEIPT_FOUND;
    c->run_count = c->missing.count = c->refused.count = 0;
    c->reached = 0;
    if (!receipt_reader_rewind(c->receiver, error))
        return false;
    for (size_t line = 0; found == RECEIPT_FOUND; line++) {
        const struct span *span = c->low > 0 && line < c->receiver_spans.count ? &c->receiver_spans.at[line] : NULL;
        if (span && (span->low > span->high || !in_window(c, span->low, span->high))) {
            found = receipt_reader_skip(c->receiver, &c->needle, error);
            c->reached = span->behind > c->reached ? span->behind : c->reached;
            continue;
        }
        found = receipt_reader_next(c->receiver, &c->needle, &c->line, error);
        if (found == RECEIPT_FOUND && !take_received(c))
            return error_set(error, "has too many pieces to compare within memory");
    }
    return found == RECEIPT_AT_END;
}

static bool compare_windows(struct comparer *c, struct receipt_reader **bad, struct error *error)
{
    do {
        *bad = c->sender;
        if (!load_blocks(c, error))
            return false;
        *bad = c->receiver;
        if (!load_runs(c, error))
            return false;
        if (!comparer_judge(c))
            return error_set(error, "has too many pieces to compare within memory");
        c->done += c->block_count;
    } while (!c->last);
    return true;
}

bool receipt_compare(struct receipt_comparison *out, const char *link,
                     struct receipt_reader *sender, struct receipt_reader *receiver,
                     struct receipt_reader **bad, struct error *error)
{
    memset(out, 0, sizeof *out);
    out->link = link;
    out->unwritten_sent = receipt_reader_facts(sender)->unwritten;
    out->unwritten_received = receipt_reader_facts(receiver)->unwritten;
    *bad = sender;
    struct comparer *c = calloc(1, sizeof *c);
    if (!c)
        return no_memory(error);
    c->out = out;
    c->sender = sender;
    c->receiver = receiver;
    json_text(&c->needle, "link", link);
    c->blocks = calloc(WINDOW_BLOCKS, sizeof *c->blocks);
    bool ok = (c->blocks && !c->needle.failed) || no_memory(error);
    ok = ok && compare_windows(c, bad, error);
    buffer_free(&c->needle);
    free(c->blocks);
    free(c->runs);
    ranges_free(&c->missing);
    ranges_free(&c->refused);
    ranges_free(&c->covered);
    ranges_free(&c->sent);
    ranges_free(&c->shared);
    free(c->sender_spans.at);
    free(c->receiver_spans.at);
    free(c);
    return ok;
}
