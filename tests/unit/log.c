/* Lines for the operator: one line each, whatever is in them; few, whatever happens. */
#include "log.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"
#include "noise.h"

/* Standard error goes to a pipe from begin to end. */
struct capture {
    int saved, read_end;
    char text[8192];
};

static void capture_begin(struct capture *c)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    c->saved = dup(STDERR_FILENO);
    c->read_end = ends[0];
    fcntl(c->read_end, F_SETFL, O_NONBLOCK);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
}

static size_t capture_end(struct capture *c)
{
    dup2(c->saved, STDERR_FILENO);
    close(c->saved);
    ssize_t n = read(c->read_end, c->text, sizeof c->text - 1);
    close(c->read_end);
    c->text[n > 0 ? n : 0] = '\0';
    return n > 0 ? (size_t)n : 0;
}

static unsigned count_lines(const char *text)
{
    unsigned lines = 0;
    for (; *text; text++)
        lines += *text == '\n';
    return lines;
}

static void a_line_is_logfmt(void **state)
{
    (void)state;
    struct capture c;
    struct tm when;
    log_init("collector-1");
    capture_begin(&c);
    log_line(LOG_WARN, "%u messages from \"%s\"", 3, "a\\b");
    capture_end(&c);
    const char *rest = strptime(c.text, "time=%Y-%m-%dT%H:%M:%S.", &when);
    assert_non_null(rest);
    assert_string_equal(rest + 3,
                        "Z level=warn hop=collector-1 msg=\"3 messages from \\\"a\\\\b\\\"\"\n");
}

static void every_level_has_its_name(void **state)
{
    (void)state;
    static const char *const names[] = {"level=info", "level=warn", "level=error"};
    for (int level = LOG_INFO; level <= LOG_ERROR; level++) {
        struct capture c;
        capture_begin(&c);
        log_line((enum log_level)level, "x");
        capture_end(&c);
        assert_non_null(strstr(c.text, names[level]));
    }
}

static void no_octet_breaks_a_line(void **state)
{
    (void)state;
    struct capture c;
    capture_begin(&c);
    log_line(LOG_INFO, "a\nb\rc\td\x1b[31m\x7f");
    capture_end(&c);
    assert_int_equal(count_lines(c.text), 1);
    assert_non_null(strstr(c.text, "msg=\"a\\x0ab\\x0dc\\x09d\\x1b[31m\\x7f\"\n"));
}

static void a_long_line_is_cut_and_still_ends(void **state)
{
    (void)state;
    static const char fills[] = {'x', '"', '\n', '\\'};
    for (unsigned i = 0; i < sizeof fills; i++) {
        struct capture c;
        struct log_limit limit = {.kept_back = UINT32_MAX}; /* the longest end of a line */
        char text[3000];
        memset(text, fills[i], sizeof text);
        text[sizeof text - 1] = '\0';
        capture_begin(&c);
        log_limited(&limit, LOG_ERROR, "%s", text);
        size_t len = capture_end(&c);
        assert_in_range(len, 100, 1200);
        assert_int_equal(count_lines(c.text), 1);
        assert_string_equal(c.text + len - strlen("=4294967295\n"), "=4294967295\n");
    }
}

static void limited_lines_are_few_and_say_how_many_were_kept_back(void **state)
{
    (void)state;
    struct capture c;
    struct log_limit limit = {.window = 0};
    capture_begin(&c);
    for (int i = 0; i < 1000; i++)
        log_limited(&limit, LOG_WARN, "again %d", i);
    capture_end(&c);
    unsigned passed = count_lines(c.text);
    assert_in_range(passed, 1, 10); /* two windows' worth, should one end here */
    assert_null(strstr(c.text, "kept_back"));
    assert_int_equal(limit.kept_back, 1000 - passed);

    limit.window -= 10; /* ten seconds later */
    capture_begin(&c);
    log_limited(&limit, LOG_WARN, "again");
    log_limited(&limit, LOG_WARN, "again");
    capture_end(&c);
    char expected[64];
    snprintf(expected, sizeof expected, " similar_lines_kept_back=%u\n", 1000 - passed);
    assert_non_null(strstr(c.text, expected));
    assert_int_equal(count_lines(c.text), 2);
    assert_int_equal(limit.kept_back, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_logfmt),
        cmocka_unit_test(every_level_has_its_name),
        cmocka_unit_test(no_octet_breaks_a_line),
        cmocka_unit_test(a_long_line_is_cut_and_still_ends),
        cmocka_unit_test(limited_lines_are_few_and_say_how_many_were_kept_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
