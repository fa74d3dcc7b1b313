#include <stdlib.h>

#include "receipt/comparer.h"

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

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* --- preparing what was loaded --- */

static int by_number(const void *a, const void *b)
{
    const struct piece *x = a, *y = b;
    if (x->block.first != y->block.first)
        return x->block.first < y->block.first ? -1 : 1;
    if (x->block.last != y->block.last)
        return x->block.last < y->block.last ? -1 : 1;
    int by_digest = memcmp(x->block.sha256, y->block.sha256, SHA256_OCTETS);
    return by_digest ? by_digest : memcmp(x->policy, y->policy, SHA256_OCTETS);
}

/* In order, each once: a line that was closed for silence is said again. */
static void tidy_runs(struct comparer *c)
{
    size_t kept = 0;
    if (c->run_count > 0)
        qsort(c->runs, c->run_count, sizeof *c->runs, by_number);
    for (size_t i = 0; i < c->run_count; i++) {
        if (kept == 0 || by_number(&c->runs[kept - 1], &c->runs[i]) != 0)
            c->runs[kept++] = c->runs[i];
    }
    c->run_count = kept;
}

static bool join_pieces(struct ranges *to, const struct piece *pieces, size_t count)
{
    to->count = 0;
    for (size_t i = 0; i < count; i++) {
        struct gap *before = to->count > 0 ? &to->at[to->count - 1] : NULL;
        struct gap range = {pieces[i].block.first, pieces[i].block.last + 1};
        if (before && range.from <= before->to)
            before->to = range.to > before->to ? range.to : before->to;
        else if (!ranges_add(to, range))
            return false;
    }
    return true;
}

/* --- one block of the sender --- */

/* The receiver has no digest of these: what does it say? `otherwise`: nothing. */
static void find_absent(struct comparer *c, uint64_t first, uint64_t last, uint64_t interval,
                        enum receipt_finding_kind otherwise)
{
    for (uint64_t refused_to, missing_to, to; first <= last; first = to + 1) {
        bool refused = ranges_have(&c->refused, first, &refused_to);
        bool missing = ranges_have(&c->missing, first, &missing_to);
        to = least(last, refused ? refused_to : least(refused_to, missing_to));
        find(c, refused ? FINDING_REFUSED : missing ? FINDING_MISSING : otherwise, first, to, interval);
        if (to == UINT64_MAX)
            return;
    }
}

/* What of a block is in the receiver's runs, or is not. */
static void find_parts(struct comparer *c, const struct piece *sent, bool covered)
{
    const struct block *b = &sent->block;
    for (uint64_t first = b->first, to; first <= b->last; first = to + 1) {
        bool inside = ranges_have(&c->covered, first, &to);
        to = least(to, b->last);
        if (inside && covered)
            find(c, FINDING_UNCOMPARED, first, to, sent->interval);
        else if (!inside && !covered)
            find_absent(c, first, to, sent->interval, FINDING_UNRECEIVED);
    }
}

/* The first run that does not stand before these numbers. */
static size_t first_run(const struct comparer *c, const struct block *b)
{
    size_t low = 0, high = c->run_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct block *run = &c->runs[middle].block;
        if (run->first < b->first || (run->first == b->first && run->last < b->last))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void compare_block(struct comparer *c, const struct piece *sent, bool other_policy)
{
    const struct block *b = &sent->block;
    bool same = false, differs = false;
    for (size_t i = first_run(c, b); i < c->run_count; i++) {
        const struct block *run = &c->runs[i].block;
        if (run->first != b->first || run->last != b->last)
            break;
        bool equal = memcmp(run->sha256, b->sha256, SHA256_OCTETS) == 0;
        same = same || equal;
        differs = differs || !equal;
    }
    find_parts(c, sent, false);
    if (other_policy)
        find(c, FINDING_POLICY, b->first, b->last, sent->interval);
    if (differs)
        find(c, FINDING_DIFFERS, b->first, b->last, sent->interval);
    else if (same)
        c->out->same += b->last - b->first + 1;
    else
        find_parts(c, sent, true);
}

/* --- policies --- */

/* Of each block: the next one that is not found to differ yet (itself, at first), and the next one with another policy. So
 * each run passes over blocks of its own policy, and over those that are found already, in one step. */
struct policy_walk {
    size_t *open;
    size_t *other;
    bool *differs;
};

static size_t next_open(struct policy_walk *w, size_t k)
{
    while (w->open[k] != k) {
        w->open[k] = w->open[w->open[k]];
        k = w->open[k];
    }
    return k;
}

/* The first block that ends at this number or above. */
static size_t first_block(const struct comparer *c, uint64_t number)
{
    size_t low = 0, high = c->block_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (c->blocks[middle].block.last < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void walk_run(struct comparer *c, struct policy_walk *w, const struct piece *run)
{
    size_t k = next_open(w, first_block(c, run->block.first));
    while (k < c->block_count && c->blocks[k].block.first <= run->block.last) {
        if (memcmp(c->blocks[k].policy, run->policy, SHA256_OCTETS) == 0) {
            k = next_open(w, w->other[k]);
            continue;
        }
        w->differs[k] = true;
        w->open[k] = k + 1;
        k = next_open(w, k + 1);
    }
}

/* Which blocks does a run touch that names another policy? */
static bool walk_policies(struct comparer *c, struct policy_walk *w)
{
    size_t n = c->block_count;
    *w = (struct policy_walk){calloc(n + 1, sizeof *w->open), calloc(n + 1, sizeof *w->other), calloc(n + 1, sizeof *w->differs)};
    if (!w->open || !w->other || !w->differs)
        return false;
    w->open[n] = w->other[n] = n;
    for (size_t k = n; k-- > 0;) {
        bool alike = k + 1 < n && memcmp(c->blocks[k].policy, c->blocks[k + 1].policy, SHA256_OCTETS) == 0;
        w->open[k] = k;
        w->other[k] = alike ? w->other[k + 1] : k + 1;
    }
    for (size_t i = 0; i < c->run_count; i++)
        walk_run(c, w, &c->runs[i]);
    return true;
}

static void free_walk(struct policy_walk *w)
{
    free(w->open);
    free(w->other);
    free(w->differs);
}

/* --- what the sender says nothing of --- */

/* What the receiver has and the sender says nothing of. */
static void find_unsent(struct comparer *c)
{
    uint64_t next = c->low;
    for (size_t i = 0; i < c->run_count; i++) {
        const struct block *run = &c->runs[i].block;
        uint64_t first = run->first > next ? run->first : next, last = least(run->last, c->high), to;
        for (; first <= last; first = to + 1) {
            bool sent = ranges_have(&c->sent, first, &to);
            to = least(to, last);
            if (!sent)
                find(c, FINDING_UNSENT, first, to, c->runs[i].interval);
        }
        if (last >= next)
            next = last + 1;
    }
}

/* The interval of the sender's last block below a number. */
static uint64_t interval_before(const struct comparer *c, uint64_t number)
{
    size_t k = first_block(c, number);
    if (c->block_count == 0)
        return 0;
    return c->blocks[k > 0 ? k - 1 : 0].interval;
}

static uint64_t highest(const struct ranges *ranges)
{
    return ranges->count > 0 ? ranges->at[ranges->count - 1].to - 1 : 0;
}

/* What neither has a block of: the receiver may say that it misses it, or, between the sender's first and last number, nobody
 * says anything. Every number is covered by agreement, or named. */
static void find_holes(struct comparer *c)
{
    const struct receipt_comparison *out = c->out;
    uint64_t end = least(c->high, highest(&c->missing) > highest(&c->refused) ? highest(&c->missing) : highest(&c->refused));
    uint64_t last = least(c->high, out->last) > end ? least(c->high, out->last) : end;
    for (uint64_t at = c->low, to; at <= last && out->sent > 0; at = to + 1) {
        uint64_t sent_to, covered_to, shared_to, claimed_to;
        bool known = ranges_have(&c->sent, at, &sent_to) | ranges_have(&c->covered, at, &covered_to);
        bool shared = ranges_have(&c->shared, at, &shared_to);
        to = least(last, least(sent_to, covered_to));
        to = least(to, shared_to);
        bool claimed = ranges_have(&c->missing, at, &claimed_to);
        to = least(to, claimed_to);
        claimed = ranges_have(&c->refused, at, &claimed_to) || claimed;
        to = least(to, claimed_to);
        bool between = at >= out->first && at <= out->last;
        to = at < out->first ? least(to, out->first - 1) : at <= out->last ? least(to, out->last) : to;
        if (!known && !shared && (claimed || between))
            find_absent(c, at, to, interval_before(c, at), FINDING_UNSENT);
        if (to == UINT64_MAX)
            return;
    }
}

bool comparer_judge(struct comparer *c)
{
    struct policy_walk walk = {0};
    tidy_runs(c);
    ranges_tidy(&c->missing);
    ranges_tidy(&c->refused);
    ranges_tidy(&c->shared);
    bool ok = join_pieces(&c->covered, c->runs, c->run_count) && join_pieces(&c->sent, c->blocks, c->block_count) &&
              walk_policies(c, &walk);
    for (size_t k = 0; ok && k < c->block_count; k++)
        compare_block(c, &c->blocks[k], walk.differs[k]);
    free_walk(&walk);
    if (!ok)
        return false;
    find_unsent(c);
    find_holes(c);
    return true;
}
