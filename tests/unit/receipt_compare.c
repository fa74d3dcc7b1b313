/* Two files of receipts side by side, written here line by line, also such as no honest writer writes: every number is covered
 * by agreement, or named, and what contradicts itself is not believed. */
#include "receipt/compare.h"
#include "receipt/report.h"

#include <stdlib.h>
#include <unistd.h>

#include "harness.h"
#include "json.h"
#include "receipt/file.h"

#define LINK "near:0000000000000001:dnstap/raw"

struct book {
    bool sender;
    struct receipt_key *key;
    struct receipt_chain chain;
    struct buffer text, fields;
};

static void add_line(struct book *book)
{
    struct buffer line = {0};
    receipt_line_write(&book->chain, book->key, &book->fields, &line);
    assert_false(line.failed);
    receipt_chain_step(&book->chain, line.data, line.len);
    buffer_put(&book->text, line.data, line.len);
    buffer_free(&line);
}

static struct book book_new(bool sender)
{
    char path[] = "/tmp/receipt-compare-XXXXXX", public[sizeof path + 4];
    struct error error;
    struct book book = {.sender = sender, .chain.line = 1};
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    unlink(path);
    assert_true(receipt_key_make(path, &error));
    book.key = receipt_key_read(path, &error);
    assert_non_null(book.key);
    snprintf(public, sizeof public, "%s.pub", path);
    unlink(path);
    unlink(public);
    receipt_fields_begin(&book.fields, "open", sender);
    json_text(&book.fields, "public_key", receipt_key_public(book.key));
    json_text(&book.fields, "after", "nothing");
    add_line(&book);
    return book;
}

/* `blocks`, `missing` and `refused` as JSON has them, but that D stands for a digest of its own and E for another. */
struct says {
    uint64_t first, last, messages, unwritten;
    const char *blocks, *missing, *refused, *policy;
};

static void put_list(struct buffer *out, const char *name, const char *list)
{
    buffer_put_char(out, ',');
    buffer_put_char(out, '"');
    buffer_put_string(out, name);
    buffer_put_string(out, "\":[");
    for (const char *at = list ? list : ""; *at; at++) {
        if (*at == 'D' || *at == 'E') {
            buffer_put_char(out, '"');
            for (int i = 0; i < SHA256_HEX; i++)
                buffer_put_char(out, *at == 'D' ? 'd' : 'e');
            buffer_put_char(out, '"');
        } else {
            buffer_put_char(out, *at);
        }
    }
    buffer_put_char(out, ']');
}

static void write_line(struct book *book, struct says s)
{
    struct buffer *f = &book->fields;
    receipt_fields_begin(f, "interval", book->sender);
    json_text(f, "link", LINK);
    json_text(f, "closed", "time");
    json_number(f, "interval", book->chain.line);
    json_number(f, "part", 0);
    if (s.messages > 0) {
        json_number(f, "first", s.first);
        json_number(f, "last", s.last);
    }
    json_number(f, "messages", s.messages);
    json_number(f, "duplicates", 0);
    buffer_put_string(f, ",\"shared\":false");
    json_text(f, "policy", s.policy ? s.policy : "none");
    put_list(f, "missing", s.missing);
    put_list(f, "refused", s.refused);
    put_list(f, "blocks", s.blocks);
    if (s.unwritten > 0)
        json_number(f, "unwritten", s.unwritten);
    add_line(book);
}

static struct receipt_reader *read_book(struct book *book)
{
    struct error error;
    receipt_fields_begin(&book->fields, "close", book->sender);
    add_line(book);
    FILE *file = tmpfile();
    assert_non_null(file);
    assert_int_equal(fwrite(book->text.data, 1, book->text.len, file), book->text.len);
    rewind(file);
    struct receipt_reader *reader = receipt_reader_over(file, book->key, &error);
    assert_non_null(reader);
    return reader;
}

static void book_free(struct book *book)
{
    receipt_key_free(book->key);
    buffer_free(&book->text);
    buffer_free(&book->fields);
}

/* The verdict, and the sentence in `said`, or what is bad about a file. */
static enum receipt_verdict compare(struct book *near, struct book *far, char **said)
{
    struct receipt_reader *readers[2] = {read_book(near), read_book(far)}, *bad = NULL;
    struct receipt_comparison *found = calloc(1, sizeof *found);
    struct receipt_links links;
    struct error error;
    size_t len;
    bool ok = true;
    assert_non_null(found);
    for (int i = 0; ok && i < 2; i++) {
        ok = receipt_links_read(&links, readers[i], &error);
        receipt_links_free(&links);
    }
    ok = ok && receipt_compare(found, LINK, readers[0], readers[1], &bad, &error);
    FILE *out = open_memstream(said, &len);
    assert_non_null(out);
    if (ok)
        receipt_report_sentence(found, "A", "B", out);
    else
        fputs(error.text, out);
    fclose(out);
    enum receipt_verdict verdict = ok ? receipt_verdict_of(found) : VERDICT_UNKNOWN;
    free(found);
    receipt_reader_free(readers[0]);
    receipt_reader_free(readers[1]);
    return verdict;
}

static const struct says zero = {.last = 9, .messages = 10, .blocks = "[0,9,D]"};

static void expect(struct says near_second, struct says far_first, struct says far_second, enum receipt_verdict verdict,
                   const char *says)
{
    struct book near = book_new(true), far = book_new(false);
    char *said;
    write_line(&near, zero);
    write_line(&near, near_second);
    write_line(&far, far_first);
    write_line(&far, far_second);
    enum receipt_verdict got = compare(&near, &far, &said);
    if (got != verdict || !strstr(said, says))
        fail_msg("%d: \"%s\" instead of %d: \"%s\"", (int)got, said, (int)verdict, says);
    free(said);
    book_free(&near);
    book_free(&far);
}

static const struct says twenty = {.first = 20, .last = 29, .messages = 10, .blocks = "[20,29,D]"};
static const struct says ten = {.first = 10, .last = 19, .messages = 10, .blocks = "[10,19,D]"};

static void agreement_is_told(void **state)
{
    (void)state;
    expect(ten, zero, ten, VERDICT_SAME, "Both saw the same 20 messages, sequences 0 to 19, over 2 intervals.");
}

static void a_hole_that_the_receiver_misses_is_missing(void **state)
{
    (void)state;
    struct says missing = twenty;
    missing.missing = "[10,19]";
    expect(twenty, zero, missing, VERDICT_DIFFERENT, "B misses sequences 10 to 19 (10 messages)");
    missing.missing = NULL;
    missing.refused = "[12,13]";
    expect(twenty, zero, missing, VERDICT_DIFFERENT, "B refused sequences 12 to 13 (2 messages)");
}

static void a_hole_of_which_nobody_tells_is_named(void **state)
{
    (void)state;
    expect(twenty, zero, twenty, VERDICT_UNKNOWN, "A has no receipt of sequences 10 to 19 (10 messages)");
}

static void what_the_receiver_misses_beyond_the_sender_is_named(void **state)
{
    (void)state;
    struct says beyond = ten;
    beyond.missing = "[40,49]";
    expect(ten, zero, beyond, VERDICT_DIFFERENT, "B misses sequences 40 to 49 (10 messages)");
}

static void lines_that_were_not_written_are_named(void **state)
{
    (void)state;
    struct says with = ten;
    with.unwritten = 3;
    expect(with, zero, ten, VERDICT_UNKNOWN, "A could not write 3 of its lines");
    expect(ten, zero, with, VERDICT_UNKNOWN, "B could not write 3 of its lines");
}

static void another_policy_is_found_over_parts_of_a_block(void **state)
{
    (void)state;
    struct says other = ten;
    other.policy = "1111111111111111111111111111111111111111111111111111111111111111";
    expect(ten, zero, other, VERDICT_DIFFERENT, "Policies differ: sequences 10 to 19 (10 messages)");
    other.last = 14;
    other.messages = 5;
    other.blocks = "[10,14,D]";
    expect(ten, zero, other, VERDICT_DIFFERENT, "olicies differ: sequences 10 to 19 (10 messages)");
}

static void other_contents_are_found_beside_the_same(void **state)
{
    (void)state;
    struct says other = ten;
    other.blocks = "[10,19,E]";
    expect(ten, zero, other, VERDICT_DIFFERENT, "Contents differ: sequences 10 to 19 (10 messages)");
    expect(ten, ten, other, VERDICT_DIFFERENT, "ontents differ: sequences 10 to 19 (10 messages)");
}

static void lines_that_contradict_themselves_are_bad(void **state)
{
    (void)state;
    static const struct {
        struct says says;
        const char *why;
    } cases[] = {
        {{.first = 10, .last = 29, .messages = 10, .blocks = "[10,19,D]"}, "first and last"},
        {{.first = 9, .last = 19, .messages = 10, .blocks = "[10,19,D]"}, "first and last"},
        {{.first = 10, .last = 19, .messages = 10, .blocks = "[10,19,D]", .missing = "[15,15]"}, "in a block, and missing"},
        {{.first = 10, .last = 19, .messages = 10, .blocks = "[10,19,D]", .missing = "[5,10]"}, "in a block, and missing"},
        {{.first = 10, .last = 19, .messages = 10, .blocks = "[10,19,D]", .refused = "[19,30]"}, "in a block, and refused"},
        {{.first = 10, .last = 19, .messages = 10, .blocks = "[10,19,D]", .missing = "[1,3]", .refused = "[3,4]"},
         "missing, and refused"},
        {{.first = 10, .last = 19, .messages = 15, .blocks = "[10,19,D],[12,16,D]"}, "the same message"},
        {{.first = 10, .last = 19, .messages = 20, .blocks = "[10,19,D],[10,19,D]"}, "the same message"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect(ten, zero, cases[i].says, VERDICT_UNKNOWN, cases[i].why);
}

/* A partner that says the same few numbers again and again, each time under another policy, in blocks of one message: compared
 * block by block with run by run this took half a minute. */
static void many_runs_of_the_same_numbers_are_judged(void **state)
{
    (void)state;
    enum { LINES = 400, PER_LINE = 512 };
    struct book near = book_new(true), far = book_new(false);
    char list[PER_LINE * 24], *said;
    size_t len = 0;
    for (int n = 0; n < PER_LINE; n++)
        len += (size_t)snprintf(list + len, sizeof list - len, "%s[%d,%d,D]", n ? "," : "", n, n);
    struct says all = {.last = PER_LINE - 1, .messages = PER_LINE, .blocks = list};
    write_line(&near, all);
    for (int line = 0; line < LINES; line++) {
        char policy[SHA256_HEX + 1];
        snprintf(policy, sizeof policy, "%0*x", SHA256_HEX, line);
        all.policy = policy;
        write_line(&far, all);
    }
    assert_int_equal(compare(&near, &far, &said), VERDICT_DIFFERENT);
    assert_string_equal(said, "Policies differ: sequences 0 to 511 (512 messages) of interval 2; all else is the same.");
    free(said);
    book_free(&near);
    book_free(&far);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agreement_is_told),
        cmocka_unit_test(a_hole_that_the_receiver_misses_is_missing),
        cmocka_unit_test(a_hole_of_which_nobody_tells_is_named),
        cmocka_unit_test(what_the_receiver_misses_beyond_the_sender_is_named),
        cmocka_unit_test(lines_that_were_not_written_are_named),
        cmocka_unit_test(another_policy_is_found_over_parts_of_a_block),
        cmocka_unit_test(other_contents_are_found_beside_the_same),
        cmocka_unit_test(lines_that_contradict_themselves_are_bad),
        cmocka_unit_test(many_runs_of_the_same_numbers_are_judged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
