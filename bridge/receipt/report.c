#include "receipt/report.h"

#include <ctype.h>
#include <inttypes.h>

const char *receipt_digits(uint64_t number, char out[RECEIPT_DIGITS])
{
    char plain[24];
    int len = snprintf(plain, sizeof plain, "%" PRIu64, number), at = 0;
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            out[at++] = ',';
        out[at++] = plain[i];
    }
    out[at] = '\0';
    return out;
}

enum receipt_verdict receipt_verdict_of(const struct receipt_comparison *c)
{
    static const enum receipt_verdict verdicts[FINDING_KINDS] = {
        [FINDING_MISSING] = VERDICT_DIFFERENT,  [FINDING_REFUSED] = VERDICT_DIFFERENT,
        [FINDING_DIFFERS] = VERDICT_DIFFERENT,  [FINDING_POLICY] = VERDICT_DIFFERENT,
        [FINDING_UNRECEIVED] = VERDICT_UNKNOWN, [FINDING_UNSENT] = VERDICT_UNKNOWN,
        [FINDING_UNCOMPARED] = VERDICT_UNKNOWN,
    };
    bool known = !c->shared_sent && !c->shared_received && !c->unwritten_sent && !c->unwritten_received;
    enum receipt_verdict verdict = known ? VERDICT_SAME : VERDICT_UNKNOWN;
    for (int kind = 0; kind < FINDING_KINDS; kind++) {
        if (c->totals[kind].messages == 0)
            continue;
        if (verdicts[kind] == VERDICT_DIFFERENT)
            return VERDICT_DIFFERENT;
        verdict = VERDICT_UNKNOWN;
    }
    return verdict;
}

static void print_numbers(const char *what, uint64_t first, uint64_t last, FILE *out)
{
    char a[RECEIPT_DIGITS], b[RECEIPT_DIGITS];
    if (first == last)
        fprintf(out, "%s %s", what, receipt_digits(first, a));
    else
        fprintf(out, "%ss %s to %s", what, receipt_digits(first, a), receipt_digits(last, b));
}

static void print_range(uint64_t first, uint64_t last, FILE *out)
{
    print_numbers("sequence", first, last, out);
}

static void print_intervals(uint64_t first, uint64_t last, FILE *out)
{
    print_numbers("interval", first, last, out);
}

/* "1,200 to 1,499 (300 messages) of interval 17", or the sum over several ranges. */
static void print_where(const struct receipt_comparison *c, int kind, FILE *out)
{
    const struct receipt_total *t = &c->totals[kind];
    char n[RECEIPT_DIGITS], ranges[RECEIPT_DIGITS];
    const char *plural = t->messages == 1 ? "" : "s";
    receipt_digits(t->messages, n);
    if (t->ranges == 1) {
        print_range(t->first, t->last, out);
        fprintf(out, " (%s message%s) of ", n, plural);
    } else {
        fprintf(out, "%s message%s in %s ranges, ", n, plural, receipt_digits(t->ranges, ranges));
        print_range(t->first, t->last, out);
        fputs(", of ", out);
    }
    print_intervals(t->interval_first, t->interval_last, out);
}

/* What each kind of finding says: who, in which words, and what follows. */
static const struct {
    char who; /* of the sender, the receiver, or of neither */
    const char *before, *after;
} words[FINDING_KINDS] = {
    [FINDING_MISSING] = {'r', " misses ", ""},
    [FINDING_REFUSED] = {'r', " refused ", " as broken"},
    [FINDING_DIFFERS] = {'-', "contents differ: ", ""},
    [FINDING_POLICY] = {'-', "policies differ: ", ""},
    [FINDING_UNRECEIVED] = {'r', " has no receipt of ", ""},
    [FINDING_UNSENT] = {'s', " has no receipt of ", ""},
    [FINDING_UNCOMPARED] = {'-', "not comparable: ", ""},
};

/* Behind another clause, or at the beginning of a sentence. */
static void print_words(const char *text, bool begins, FILE *out)
{
    if (begins && *text)
        fputc(toupper((unsigned char)*text++), out);
    fputs(text, out);
}

static void print_who(int kind, bool begins, const char *sender, const char *receiver, FILE *out)
{
    if (words[kind].who != '-')
        fputs(words[kind].who == 's' ? sender : receiver, out);
    print_words(words[kind].before, begins && words[kind].who == '-', out);
}

static void print_shared(const struct receipt_comparison *c, const char *sender,
                         const char *receiver, FILE *out)
{
    char took[RECEIPT_DIGITS], all[RECEIPT_DIGITS];
    fprintf(out,
            "%s shared %s messages out over several receivers, and %s took %s of them: a gap is no "
            "loss there",
            sender, receipt_digits(c->shared_sent, all), receiver,
            receipt_digits(c->shared_received, took));
}

static void print_same(const struct receipt_comparison *c, FILE *out)
{
    char n[RECEIPT_DIGITS], i[RECEIPT_DIGITS];
    fprintf(out, "Both saw the same %s message%s, ", receipt_digits(c->sent, n),
            c->sent == 1 ? "" : "s");
    print_range(c->first, c->last, out);
    fprintf(out, ", over %s interval%s", receipt_digits(c->intervals, i),
            c->intervals == 1 ? "" : "s");
}

/* What a line that is not there would have said, nobody knows. Was anything said so far? */
static bool print_unwritten(const char *who, uint64_t lines, bool any, FILE *out)
{
    char n[RECEIPT_DIGITS];
    if (lines == 0)
        return any;
    fprintf(out, "%s%s could not write %s of its lines", any ? "; " : "", who, receipt_digits(lines, n));
    return true;
}

void receipt_report_sentence(const struct receipt_comparison *c, const char *sender,
                             const char *receiver, FILE *out)
{
    bool any = false;
    if (receipt_verdict_of(c) == VERDICT_SAME) {
        if (c->sent == 0)
            fputs("Neither saw a message.", out);
        else
            print_same(c, out);
        fputs(c->sent == 0 ? "" : ".", out);
        return;
    }
    if (c->shared_sent || c->shared_received) {
        print_shared(c, sender, receiver, out);
        any = true;
    }
    for (int kind = 0; kind < FINDING_UNCOMPARED; kind++) {
        if (c->totals[kind].messages == 0)
            continue;
        fputs(any ? "; " : "", out);
        print_who(kind, !any, sender, receiver, out);
        print_where(c, kind, out);
        fputs(words[kind].after, out);
        any = true;
    }
    any = print_unwritten(sender, c->unwritten_sent, any, out);
    any = print_unwritten(receiver, c->unwritten_received, any, out);
    char n[RECEIPT_DIGITS];
    uint64_t uncompared = c->totals[FINDING_UNCOMPARED].messages;
    if (uncompared > 0)
        fprintf(out, "%s%s messages came whose contents cannot be compared", any ? "; " : "",
                receipt_digits(uncompared, n));
    fputs(c->same > 0 ? "; all else is the same." : ".", out);
}

/* Control characters, of ASCII and beyond (U+0080 to U+009F), become question marks. */
void receipt_report_link(const char *link, FILE *out)
{
    for (const uint8_t *c = (const uint8_t *)link; *c; c++) {
        bool beyond = c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0;
        fputc(beyond || *c < 0x20 || *c == 0x7f ? '?' : *c, out);
        c += beyond;
    }
}

void receipt_report_details(const struct receipt_comparison *c, const char *sender,
                            const char *receiver, FILE *out)
{
    char n[RECEIPT_DIGITS];
    fputs("  ", out);
    receipt_report_link(c->link, out);
    fputc('\n', out);
    fprintf(out, "    the same: %s messages\n", receipt_digits(c->same, n));
    if (c->duplicates > 0)
        fprintf(out, "    came to %s twice: %s messages\n", receiver,
                receipt_digits(c->duplicates, n));
    for (unsigned i = 0; i < c->finding_count; i++) {
        const struct receipt_finding *f = &c->findings[i];
        fputs("    ", out);
        print_who((int)f->kind, false, sender, receiver, out);
        print_range(f->first, f->last, out);
        fprintf(out, " (%s) of ", receipt_digits(f->last - f->first + 1, n));
        print_intervals(f->interval_first, f->interval_last, out);
        fprintf(out, "%s\n", words[f->kind].after);
    }
    if (c->more_findings > 0)
        fprintf(out, "    and %s ranges more\n", receipt_digits(c->more_findings, n));
}
