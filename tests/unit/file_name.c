/* Names of files: times, numbers, extensions. */
#include "adapters/file_name.h"

#include <unistd.h>

#include "harness.h"

static void patterns_are_checked(void **state)
{
    (void)state;
    struct error error;
    static const char *const good[] = {"a", "a/%Y%m%d-%H%M%S.fstrm", "100%%", "%F.gz"};
    static const char *const bad[] = {"%", "a%", "%Q", "%Y/a", "a%%%"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(file_name_check(good[i], &error));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(file_name_check(bad[i], &error));
    assert_true(file_name_timed("a-%Y"));
    assert_false(file_name_timed("a-100%%"));
}

static void times_are_utc(void **state)
{
    (void)state;
    char name[FILE_NAME_MAX];
    setenv("TZ", "America/Toronto", 1);
    tzset();
    assert_true(file_name_at("d/dns-%Y%m%d-%H%M%S-%%.fstrm", 1767323045, name));
    assert_string_equal(name, "d/dns-20260102-030405-%.fstrm");
}

static void extensions_are_found(void **state)
{
    (void)state;
    static const struct {
        const char *name, *extension;
    } cases[] = {
        {"a/dns.json.gz", "json"}, {"dns.txt", "txt"}, {"dns", NULL},  {"a.b/dns", NULL},
        {".hidden", NULL},         {"dns.gz", NULL},   {"dns.", NULL}, {"2026.01.yaml.zst", "yaml"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t len = 0;
        const char *found = file_name_extension(cases[i].name, &len);
        if (!cases[i].extension) {
            if (found)
                fail_msg("%s has an extension: %s", cases[i].name, found);
            continue;
        }
        assert_non_null(found);
        assert_int_equal(len, strlen(cases[i].extension));
        assert_memory_equal(found, cases[i].extension, len);
    }
}

static void touch(const char *name)
{
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    fclose(file);
}

static void numbers_stand_before_the_extensions(void **state)
{
    (void)state;
    char folder[] = "/tmp/dnstap-names-XXXXXX", name[FILE_NAME_MAX];
    unsigned number = 0;
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chdir(folder), 0);
    assert_true(file_name_free("dns.json.gz", &number, name));
    assert_string_equal(name, "dns.json.gz");
    touch("dns.json.gz");
    touch("dns-1.json.gz.part");
    assert_true(file_name_free("dns.json.gz", &number, name));
    assert_string_equal(name, "dns-2.json.gz");
    assert_int_equal(number, 2);

    touch("from");
    assert_true(file_name_give("from", "dns.json.gz", name)); /* nobody writes -1 any more */
    assert_string_equal(name, "dns-1.json.gz");
    assert_int_equal(access("from", F_OK), -1);
    unlink("dns.json.gz");
    unlink("dns-1.json.gz");
    unlink("dns-1.json.gz.part");
    assert_int_equal(chdir("/"), 0);
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_are_checked),
        cmocka_unit_test(times_are_utc),
        cmocka_unit_test(extensions_are_found),
        cmocka_unit_test(numbers_stand_before_the_extensions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
