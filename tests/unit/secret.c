/* Secrets: read from where they stand, and shown nowhere. */
#include "secret.h"

#include <unistd.h>

#include "config.h"
#include "harness.h"

static const struct option_spec table[] = {
    {.name = "password", .type = OPTION_STRING, .secret = true},
    {.name = "header", .type = OPTION_STRING, .repeats = true, .secret = true},
    {.name = "label", .type = OPTION_STRING, .repeats = true},
    {0},
};
static const struct option_spec *const tables[OPTION_TABLES] = {table, NULL};

static void expect(const char *text, const char *want)
{
    struct error error = {{0}};
    char *got = secret_read(text, &error);
    if (!got)
        fail_msg("%s: %s", text, error.text);
    assert_string_equal(got, want);
    secret_free(got);
}

static void refuse(const char *text, const char *says, const char *secret)
{
    struct error error = {{0}};
    assert_null(secret_read(text, &error));
    if (!strstr(error.text, says))
        fail_msg("\"%s\" does not say \"%s\"", error.text, says);
    assert_null(secret && *secret ? strstr(error.text, secret) : NULL);
}

static void write_file(const char *path, const char *text, size_t len)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    fclose(file);
}

static void secrets_are_read_from_where_they_stand(void **state)
{
    (void)state;
    char path[] = "/tmp/dnstap-secret-XXXXXX", text[64];
    close(mkstemp(path));
    snprintf(text, sizeof text, "file:%s", path);
    write_file(path, "from the file\nsecond line", 25);
    expect(text, "from the file");
    write_file(path, "with cr\r\n", 9);
    expect(text, "with cr");
    write_file(path, "\n", 1);
    refuse(text, "empty", NULL);
    static char large[16 * 1024];
    memset(large, 'x', sizeof large);
    write_file(path, large, sizeof large);
    refuse(text, "longer than", "xxx");
    unlink(path);
    refuse(text, "No such file", NULL);
    setenv("SECRET_TEST", "from the environment", 1);
    expect("env:SECRET_TEST", "from the environment");
    refuse("env:SECRET_TEST_NOT", "SECRET_TEST_NOT", NULL);
    expect("itself", "itself");
    refuse("with\na newline", "control character", "newline");
}

static void only_the_place_is_shown(void **state)
{
    (void)state;
    assert_string_equal(secret_shown("file:/run/secret"), "file:/run/secret");
    assert_string_equal(secret_shown("env:TOKEN"), "env:TOKEN");
    assert_string_equal(secret_shown("hunter2"), "***");
}

static void values_that_repeat_stand_one_a_line(void **state)
{
    (void)state;
    struct options o;
    struct error error;
    assert_true(options_parse(&o, tables, "label=a=b,label=c,password=x,password=y", &error));
    assert_string_equal(options_string(&o, "label"), "a=b\nc");
    assert_string_equal(options_string(&o, "password"), "y");
    options_free(&o);
}

static void a_password_in_a_url_is_masked_but_kept(void **state)
{
    (void)state;
    static const struct {
        const char *url, *shown;
    } cases[] = {
        {"http://me:hunter2@host:1/a:b@c", "http://me:***@host:1/a:b@c"},
        {"http://me:p%40ss@host:1", "http://me:***@host:1"},
        {"http://me@host:1", "http://me@host:1"},
        {"http://host:1/x@y", "http://host:1/x@y"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct endpoint e;
        struct error error = {{0}};
        assert_true(endpoint_begin(&e, DIRECTION_SINK, cases[i].url, &error));
        assert_string_equal(e.url, cases[i].shown);
        assert_string_equal(e.address, cases[i].url + 5);
        endpoint_free(&e);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(secrets_are_read_from_where_they_stand),
        cmocka_unit_test(only_the_place_is_shown),
        cmocka_unit_test(values_that_repeat_stand_one_a_line),
        cmocka_unit_test(a_password_in_a_url_is_masked_but_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
