#include "receipt/compare.h"

#include <inttypes.h>
#include <search.h>
#include <stdlib.h>

#include "json.h"

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

struct piece { /* a block, with what its line says of all of it */
    struct block block;
    uint64_t interval;
    uint8_t policy[SHA256_OCTETS]; /* of the policy's name: equal where they are */
};

struct ranges {
    struct gap *at;
    size_t count, room;
};

struct comparer {
    struct receipt_comparison *out;
    struct receipt_reader *sender, *receiver;
    struct buffer needle; /* what every line of the link holds */
    struct receipt_line line;

    struct piece *blocks; /* the sender's, ascending */
    size_t block_count;
    uint64_t done;      /* of the sender's blocks, in windows before */
    bool last;          /* there are no more behind this window */
    uint64_t low, high; /* the numbers of the window */

    struct { /* the receiver's line before, if it was closed for silence */
        bool silent;
        uint64_t interval, shared, duplicates;
        uint32_t part;
    } before;

    struct piece *runs; /* the receiver's */
    size_t run_count, run_room;
    struct ranges missing, refused;
    uint64_t reached; /* one past the highest number of the receiver's lines so far */
};

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

/* Up to a window of the sender's blocks, behind those that are done. */
static bool load_blocks(struct comparer *c, struct error *error)
{
    enum receipt_found found;
    uint64_t seen = 0, next = 0;
    bool first_window = c->done == 0;
    c->block_count = 0;
    c->last = true;
    if (!receipt_reader_rewind(c->sender, error))
        return false;
    while ((found = receipt_reader_next(c->sender, &c->needle, &c->line, error)) == RECEIPT_FOUND) {
        if (c->line.kind != RECEIPT_INTERVAL || strcmp(c->line.link, c->out->link) != 0)
            continue;
        if (first_window)
            note_sent(c);
        for (unsigned i = 0; i < c->line.block_count; i++, seen++) {
            const struct block *block = &c->line.blocks[i];
            if (block->first < next)
                return error_set(error,
                                 "contradicts itself: line %" PRIu64 " tells of message %" PRIu64
                                 " again",
                                 c->line.number, block->first);
            next = block->last + 1;
            if (seen < c->done)
                continue;
            if (c->block_count == WINDOW_BLOCKS)
                c->last = false;
            else
                c->blocks[c->block_count++] = piece_of(&c->line, block);
        }
    }
    c->low = c->done == 0 ? 0 : c->high + 1;
    c->high =
        c->last || c->block_count == 0 ? UINT64_MAX : c->blocks[c->block_count - 1].block.last;
    return found == RECEIPT_AT_END;
}

static bool in_window(const struct comparer *c, uint64_t first, uint64_t last)
{
    return last >= c->low && first <= c->high;
}

/* Room for one more; false: there is none, or too much of it. */
static bool make_room(void **at, size_t *room, size_t count, size_t size)
{
    if (count < *room)
        return true;
    size_t more = *room ? 2 * *room : 256;
    void *grown = more <= RUNS_MAX ? realloc(*at, more * size) : NULL;
    if (!grown)
        return false;
    *at = grown;
    *room = more;
    return true;
}

static bool add_ranges(const struct comparer *c, struct ranges *to, const struct gaps *gaps)
{
    for (unsigned i = 0; i < gaps->count; i++) {
        if (!in_window(c, gaps->at[i].from, gaps->at[i].to - 1))
            continue;
        void *at = to->at;
        if (!make_room(&at, &to->room, to->count, sizeof *to->at))
            return false;
        to->at = at;
        to->at[to->count++] = gaps->at[i];
    }
    return true;
}

static bool add_run(struct comparer *c, const struct block *block)
{
    void *at = c->runs;
    if (!make_room(&at, &c->run_room, c->run_count, sizeof *c->runs))
        return false;
    c->runs = at;
    c->runs[c->run_count++] = piece_of(&c->line, block);
    return true;
}

static int by_number(const void *a, const void *b)
{
    const struct block *x = &((const struct piece *)a)->block,
                       *y = &((const struct piece *)b)->block;
    if (x->first != y->first)
        return x->first < y->first ? -1 : 1;
    return x->last < y->last ? -1 : x->last > y->last;
}

static int by_start(const void *a, const void *b)
{
    const struct gap *x = a, *y = b;
    return x->from < y->from ? -1 : x->from > y->from;
}

/* In order, and apart. */
static void tidy(struct ranges *ranges)
{
    size_t kept = 0;
    if (ranges->count > 0)
        qsort(ranges->at, ranges->count, sizeof *ranges->at, by_start);
    for (size_t i = 0; i < ranges->count; i++) {
        struct gap *before = kept > 0 ? &ranges->at[kept - 1] : NULL;
        if (before && ranges->at[i].from <= before->to)
            before->to = ranges->at[i].to > before->to ? ranges->at[i].to : before->to;
        else
            ranges->at[kept++] = ranges->at[i];
    }
    ranges->count = kept;
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

/* What the receiver says of the window. */
static bool load_runs(struct comparer *c, struct error *error)
{
    enum receipt_found found;
    bool first_window = c->low == 0, ok = true;
    c->run_count = c->missing.count = c->refused.count = 0;
    c->reached = 0;
    if (!receipt_reader_rewind(c->receiver, error))
        return false;
    while (ok && (found = receipt_reader_next(c->receiver, &c->needle, &c->line, error)) ==
                     RECEIPT_FOUND) {
        const struct receipt_line *line = &c->line;
        if (line->kind != RECEIPT_INTERVAL || strcmp(line->link, c->out->link) != 0)
            continue;
        if (first_window)
            note_received(c);
        const struct gaps unlisted = unlisted_of(c);
        ok = add_ranges(c, &c->missing, &line->missing) && add_ranges(c, &c->missing, &unlisted) &&
             add_ranges(c, &c->refused, &line->refused);
        for (unsigned i = 0; ok && i < line->block_count; i++) {
            if (in_window(c, line->blocks[i].first, line->blocks[i].last))
                ok = add_run(c, &line->blocks[i]);
        }
    }
    if (!ok)
        return error_set(error, "has too many pieces to compare within memory");
    if (c->run_count > 0)
        qsort(c->runs, c->run_count, sizeof *c->runs, by_number);
    tidy(&c->missing);
    tidy(&c->refused);
    return found == RECEIPT_AT_END;
}

static void widen(struct receipt_comparison *out, const struct receipt_finding *f)
{
    struct receipt_total *t = &out->totals[f->kind];
    bool none = t->messages == 0;
    t->messages += f->last - f->first + 1;
    t->first = none || f->first < t->first ? f->first : t->first;
    t->last = none || f->last > t->last ? f->last : t->last;
    t->interval_first =
        none || f->interval_first < t->interval_first ? f->interval_first : t->interval_first;
    t->interval_last =
        none || f->interval_last > t->interval_last ? f->interval_last : t->interval_last;
}

/* Goes on with the finding before where it continues it. */
static void find(struct comparer *c, enum receipt_finding_kind kind, uint64_t first, uint64_t last,
                 uint64_t interval)
{
    struct receipt_comparison *out = c->out;
    const struct receipt_finding f = {kind, first, last, interval, interval};
    widen(out, &f);
    for (unsigned i = out->finding_count; i-- > 0 && out->finding_count - i <= FINDING_KINDS;) {
        struct receipt_finding *before = &out->findings[i];
        if (before->kind == kind && before->last + 1 == first && out->more_findings == 0) {
            before->last = last;
            before->interval_last = interval;
            return;
        }
    }
    out->totals[kind].ranges++;
    if (out->finding_count < FINDINGS_MAX)
        out->findings[out->finding_count++] = f;
    else
        out->more_findings++;
}

/* The range that holds `number`, or the next one above it; NULL: none. */
static const struct gap *range_at(const struct ranges *ranges, uint64_t number)
{
    size_t low = 0, high = ranges->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (ranges->at[middle].to <= number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < ranges->count ? &ranges->at[low] : NULL;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The receiver has no digest of these: what does it say? */
static void find_absent(struct comparer *c, uint64_t first, uint64_t last, uint64_t interval)
{
    while (first <= last) {
        const struct gap *refused = range_at(&c->refused, first),
                         *missing = range_at(&c->missing, first);
        enum receipt_finding_kind kind = FINDING_UNRECEIVED;
        uint64_t to = last;
        if (refused && refused->from <= first) {
            kind = FINDING_REFUSED;
            to = least(last, refused->to - 1);
        } else if (missing && missing->from <= first) {
            kind = FINDING_MISSING;
            to = least(last, missing->to - 1);
            to = refused ? least(to, refused->from - 1) : to;
        } else {
            to = refused ? least(to, refused->from - 1) : to;
            to = missing ? least(to, missing->from - 1) : to;
        }
        find(c, kind, first, to, interval);
        first = to + 1;
    }
}

/* What there is of a block, where its digest could not be compared. */
static void find_uncompared(struct comparer *c, const struct piece *sent, size_t i)
{
    const struct block *b = &sent->block;
    uint64_t next = b->first;
    for (; i < c->run_count && c->runs[i].block.first <= b->last; i++) {
        const struct block *run = &c->runs[i].block;
        uint64_t first = run->first > next ? run->first : next, last = least(run->last, b->last);
        if (first > last)
            continue;
        find(c, FINDING_UNCOMPARED, first, last, sent->interval);
        next = last + 1;
    }
}

/* A block of the sender beside the receiver's runs from the i-th on, which is the first that may
 * touch it. */
static void compare_block(struct comparer *c, const struct piece *sent, size_t from)
{
    const struct block *b = &sent->block;
    uint64_t next = b->first;
    bool same = false, differs = false, policy = false;
    for (size_t i = from; i < c->run_count && c->runs[i].block.first <= b->last; i++) {
        const struct block *run = &c->runs[i].block;
        if (run->last < b->first)
            continue;
        if (run->first > next)
            find_absent(c, next, run->first - 1, sent->interval);
        if (run->last >= next)
            next = run->last + 1;
        policy = policy || memcmp(c->runs[i].policy, sent->policy, SHA256_OCTETS) != 0;
        if (run->first != b->first || run->last != b->last)
            continue;
        bool equal = memcmp(run->sha256, b->sha256, SHA256_OCTETS) == 0;
        same = same || equal;
        differs = differs || !equal;
    }
    if (next <= b->last)
        find_absent(c, next, b->last, sent->interval);
    if (policy)
        find(c, FINDING_POLICY, b->first, b->last, sent->interval);
    if (differs)
        find(c, FINDING_DIFFERS, b->first, b->last, sent->interval);
    else if (same)
        c->out->same += b->last - b->first + 1;
    else
        find_uncompared(c, sent, from);
}

static void compare_blocks(struct comparer *c)
{
    size_t i = 0;
    for (size_t k = 0; k < c->block_count; k++) {
        /* runs never reach over a multiple of the block's size: those of lower ones are past */
        while (i < c->run_count &&
               c->runs[i].block.first / BLOCK_MESSAGES < c->blocks[k].block.first / BLOCK_MESSAGES)
            i++;
        compare_block(c, &c->blocks[k], i);
    }
}

/* What the receiver has and the sender says nothing of. */
static void find_unsent(struct comparer *c)
{
    uint64_t next = c->low;
    size_t k = 0;
    for (size_t i = 0; i < c->run_count; i++) {
        const struct block *run = &c->runs[i].block;
        uint64_t first = run->first > next ? run->first : next, last = least(run->last, c->high);
        while (first <= last) {
            while (k < c->block_count && c->blocks[k].block.last < first)
                k++;
            const struct block *b = k < c->block_count ? &c->blocks[k].block : NULL;
            if (b && b->first <= first) {
                first = b->last + 1;
                continue;
            }
            uint64_t to = b ? least(last, b->first - 1) : last;
            find(c, FINDING_UNSENT, first, to, c->runs[i].interval);
            first = to + 1;
        }
        if (last >= next)
            next = last + 1;
    }
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
        compare_blocks(c);
        find_unsent(c);
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
    free(c->missing.at);
    free(c->refused.at);
    free(c);
    return ok;
}
