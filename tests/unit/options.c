/* URLs and options: what is meant is understood, what is wrong is named. */
#include "encode/encoder.h"
#include "endpoint.h"
#include "policy/step.h"

#include "harness.h"

static const struct option_spec table[] = {
    {.name = "flag", .type = OPTION_FLAG},
    {.name = "text", .type = OPTION_STRING},
    {.name = "pick", .type = OPTION_CHOICE, .choices = "one|two|three", .fallback = "two"},
    {.name = "count", .type = OPTION_COUNT, .min = 1, .max = 100},
    {.name = "size", .type = OPTION_SIZE, .fallback = "64MiB"},
    {.name = "time", .type = OPTION_DURATION, .fallback = "5s"},
    {.name = "rate", .type = OPTION_RATE},
    {0},
};
static const struct option_spec *const tables[OPTION_TABLES] = {table, NULL};

static void values_and_defaults_are_understood(void **state)
{
    (void)state;
    struct options o;
    struct error error;
    assert_true(options_parse(&o, tables, "flag,text=a=b,count=7,size=2KiB,time=250ms,rate=10/s", &error));
    assert_true(options_flag(&o, "flag"));
    assert_string_equal(options_string(&o, "text"), "a=b");
    assert_true(options_is(&o, "pick", "two"));
    assert_int_equal(options_number(&o, "count"), 7);
    assert_int_equal(options_number(&o, "size"), 2048);
    assert_int_equal(options_number(&o, "time"), 250);
    assert_int_equal(options_number(&o, "rate"), 10);
    options_free(&o);
    assert_true(options_parse(&o, tables, NULL, &error));
    assert_int_equal(options_number(&o, "size"), 64 << 20);
    assert_int_equal(options_number(&o, "time"), 5000);
    assert_false(options_flag(&o, "flag"));
    assert_null(options_string(&o, "text"));
    options_free(&o);
}

static void mistakes_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"flog", "'flog'"},          {"flog=1", "valid here: flag, text, pick"},
        {"text", "text=..."},        {"text=", "empty"},
        {"flag=maybe", "yes or no"}, {"pick=four", "one|two|three"},
        {"pick=", "one|two|three"},  {"pick=one|two", "one|two|three"},
        {"count=0", "1 to 100"},     {"count=101", "1 to 100"},
        {"count=-1", "'-1'"},        {"count= 1", "whole number"},
        {"count=1x", "'1x'"},        {"count=99999999999999999999", "whole number"},
        {"size=5XB", "'5XB'"},       {"size=99999999999999GiB", "size"},
        {"time=5", "5s"},            {"rate=5/m", "1000/s"},
        {"=5", "''"},                {"count=5,flog", "'flog'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct options o;
        struct error error = {{0}};
        assert_false(options_parse(&o, tables, cases[i].text, &error));
        if (!strstr(error.text, cases[i].says))
            fail_msg("%s: \"%s\" does not say \"%s\"", cases[i].text, error.text, cases[i].says);
        options_free(&o);
    }
}

static void noise_harms_nothing(void **state)
{
    (void)state;
    static const char letters[] = "flagtextpickcountsize,,,===0123456789KiBs/|#:%";
    srandom(17);
    for (int i = 0; i < 100000; i++) {
        char text[40];
        size_t len = (size_t)random() % (sizeof text - 1);
        for (size_t k = 0; k < len; k++)
            text[k] = letters[(size_t)random() % (sizeof letters - 1)];
        text[len] = '\0';
        struct options o;
        struct endpoint e;
        struct error error;
        options_parse(&o, tables, text, &error);
        options_free(&o);
        endpoint_parse(&e, i % 2 ? DIRECTION_SOURCE : DIRECTION_SINK, text, &error);
        endpoint_free(&e);
    }
}

static void urls_find_their_adapters(void **state)
{
    (void)state;
    static const struct {
        const char *url, *scheme, *address;
    } cases[] = {
        {"/var/tap.fstrm", "file", "/var/tap.fstrm"},
        {"tap", "file", "tap"},
        {"-", "file", "-"},
        {"./a:b", "file", "./a:b"},
        {"file:a:b#ring=128MiB", "file", "a:b"},
        {"unix:/run/x.sock", "unix", "/run/x.sock"},
        {"tcp:[::1]:53", "tcp", "[::1]:53"},
        {"nng+tcp://host:1", "nng+tcp", "//host:1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct endpoint e;
        struct error error;
        assert_true(endpoint_parse(&e, DIRECTION_SINK, cases[i].url, &error));
        assert_string_equal(e.place.scheme, cases[i].scheme);
        assert_string_equal(e.place.address, cases[i].address);
        endpoint_free(&e);
    }
}

static void sizes_are_printed_as_people_write_them(void **state)
{
    (void)state;
    char text[32];
    size_print(64 << 20, text, sizeof text);
    assert_string_equal(text, "64MiB");
    size_print(1536, text, sizeof text);
    assert_string_equal(text, "1.5KiB");
    size_print(7, text, sizeof text);
    assert_string_equal(text, "7");
    size_print(0, text, sizeof text);
    assert_string_equal(text, "0");
    size_print(1023, text, sizeof text);
    assert_string_equal(text, "1023");
    size_print((1 << 20) - 1, text, sizeof text);
    assert_string_equal(text, "1.0MiB");
    size_print((uint64_t)3 << 40, text, sizeof text);
    assert_string_equal(text, "3TiB");
    size_print(UINT64_MAX, text, sizeof text);
    assert_string_equal(text, "16777216.0TiB");
}

static void numbers_end_where_64_bits_do(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool ok;
    } cases[] = {
        {"size=18446744073709551615", true},  {"size=18446744073709551616", false},
        {"size=17179869183GiB", true},        {"size=17179869184GiB", false},
        {"time=18446744073709551615ms", true}, {"time=18446744073709552s", false},
        {"rate=0/s", true},                   {"rate=", false},
        {"size=+1", false},                   {"size=0x10", false},
        {"size=1KiBB", false},                {"size=KiB", false},
        {"size=1.5", false},                  {"size=1.5B", false},
        {"size=1.KiB", false},                {"size=.5KiB", false},
        {"size=1.1.1KiB", false},             {"size=1.0000001KiB", false},
        {"count=1.0", false},                 {"rate=1.5/s", false},
        {"size=17179869183.999999GiB", true}, {"time=1.5ms", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct options o;
        struct error error;
        if (options_parse(&o, tables, cases[i].text, &error) != cases[i].ok)
            fail_msg("%s", cases[i].text);
        options_free(&o);
    }
}

static void every_unit_is_known(void **state)
{
    (void)state;
    static const struct {
        const char *text, *name;
        uint64_t value;
    } cases[] = {
        {"size=3", "size", 3},          {"size=3B", "size", 3},          {"size=3K", "size", 3 << 10},
        {"size=3KiB", "size", 3 << 10}, {"size=3M", "size", 3 << 20},    {"size=3MiB", "size", 3 << 20},
        {"size=1G", "size", 1 << 30},   {"size=1GiB", "size", 1 << 30},  {"time=3ms", "time", 3},
        {"time=3s", "time", 3000},      {"time=3m", "time", 180000},     {"time=3h", "time", 10800000},
        {"rate=3", "rate", 3},          {"rate=3/s", "rate", 3},         {"count=3", "count", 3},
        {"flag=yes", "flag", 1},        {"flag=no", "flag", 0},          {"count=3,count=4", "count", 4},
        {",,count=3,,", "count", 3},    {"size=3KB", "size", 3000},      {"size=3MB", "size", 3000000},
        {"size=1GB", "size", 1000000000}, {"size=1T", "size", 1ull << 40}, {"size=1TiB", "size", 1ull << 40},
        {"size=1.1MiB", "size", 1153434}, {"size=0.5K", "size", 512},    {"size=1.000001MB", "size", 1000001},
        {"time=1.5s", "time", 1500},    {"time=2d", "time", 172800000},  {"time=0.0005s", "time", 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct options o;
        struct error error = {{0}};
        if (!options_parse(&o, tables, cases[i].text, &error))
            fail_msg("%s: %s", cases[i].text, error.text);
        assert_int_equal(options_number(&o, cases[i].name), cases[i].value);
        options_free(&o);
    }
}

static void a_lower_bound_alone_is_told_as_such(void **state)
{
    (void)state;
    struct endpoint e;
    struct error error;
    assert_false(endpoint_parse(&e, DIRECTION_SINK, "x#ring=1", &error));
    assert_non_null(strstr(error.text, "'ring'"));
    assert_non_null(strstr(error.text, "4KiB to 1TiB"));
    assert_null(strstr(error.text, "to 0,"));
    endpoint_free(&e);
}

static void a_ring_beyond_all_memory_is_refused(void **state)
{
    (void)state;
    struct endpoint e;
    struct error error;
    assert_false(endpoint_parse(&e, DIRECTION_SINK, "x#ring=17179869183GiB", &error));
    endpoint_free(&e);
}

/* However long the mistake is, what would be right is still said. */
static void a_long_mistake_leaves_room_for_the_answer(void **state)
{
    (void)state;
    char text[2000];
    for (int kind = 0; kind < 3; kind++) {
        struct endpoint e;
        struct error error;
        memset(text, 'x', sizeof text);
        text[sizeof text - 1] = '\0';
        memcpy(text, kind == 0 ? "x#" : kind == 1 ? "gone:" : "file:", kind == 0 ? 2 : 5);
        if (kind == 2)
            memcpy(text + sizeof text - 5, "#abc", 5);
        assert_false(endpoint_parse(&e, DIRECTION_SINK, text, &error));
        if (!strstr(error.text, kind == 1 ? "nng+tcp:" : "ring, format"))
            fail_msg("%s", error.text);
        endpoint_free(&e);
    }
}

static void places_that_are_none_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *url, *says;
    } cases[] = {
        {"", "no place"},          {"#ring=1MiB", "no place"},      {"tcp:", "HOST:PORT"},
        {"unix:", "PATH"},         {"ftp:x", "unknown scheme 'ftp:'"}, {"ftp:x", "unix:"},
        {"x#flog", "ring, format"}, {"x#format=xml", "text"},       {"x#follow", "'follow'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct endpoint e;
        struct error error = {{0}};
        assert_false(endpoint_parse(&e, DIRECTION_SINK, cases[i].url, &error));
        if (!strstr(error.text, cases[i].says))
            fail_msg("%s: \"%s\" does not say \"%s\"", cases[i].url, error.text, cases[i].says);
        endpoint_free(&e);
    }
}

static void a_source_waits_if_its_upstream_keeps_or_it_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        bool blocks;
    } cases[] = {
        {"x.fstrm", true},         {"x.fstrm#when-full=drop", false},
        {"unix:x", false},         {"unix:x#when-full=block", true},
        {"nng+tcp:x:1", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct endpoint e;
        struct error error;
        assert_true(endpoint_parse(&e, DIRECTION_SOURCE, cases[i].url, &error));
        assert_true(endpoint_blocks_when_full(&e) == cases[i].blocks);
        endpoint_free(&e);
    }
}

/* The option of its own, set to a number as it would be written. */
static bool takes(const struct option_spec *spec, const char *text)
{
    const struct option_spec alone[] = {
        {.name = spec->name, .type = spec->type, .min = spec->min, .max = spec->max}, {0}};
    const struct option_spec *const one[OPTION_TABLES] = {alone, NULL};
    struct options o;
    struct error error;
    bool ok = options_parse(&o, one, NULL, &error) && options_set(&o, spec->name, text, &error);
    options_free(&o);
    return ok;
}

static bool takes_number(const struct option_spec *spec, uint64_t number)
{
    char text[40];
    snprintf(text, sizeof text, "%llu%s", (unsigned long long)number, spec->type == OPTION_DURATION ? "ms" : "");
    return takes(spec, text);
}

/* Its smallest and its largest are taken, as the range itself writes them, and what is beyond is not. */
static void check_range(const struct option_spec *spec, const char *whose)
{
    char range[80];
    if (!option_range(spec, range, sizeof range))
        return;
    char *to = strstr(range, " to ");
    if (!to || spec->max == 0)
        fail_msg("%s %s has no largest value", whose, spec->name);
    *to = '\0';
    if (!takes(spec, range) || !takes(spec, to + 4))
        fail_msg("%s %s does not take the ends of its own range, %s and %s", whose, spec->name, range, to + 4);
    if ((spec->min > 0 && takes_number(spec, spec->min - 1)) ||
        (spec->max < UINT64_MAX && takes_number(spec, spec->max + 1)))
        fail_msg("%s %s takes what is beyond its range", whose, spec->name);
    assert_true(takes_number(spec, spec->min) && takes_number(spec, spec->max));
}

static void check_ranges(const struct option_spec *spec, const char *whose)
{
    for (; spec && spec->name; spec++)
        check_range(spec, whose);
}

static void every_number_has_a_range_and_keeps_it(void **state)
{
    (void)state;
    check_ranges(source_common_options, "a source's");
    check_ranges(sink_common_options, "a sink's");
    for (const struct adapter *const *a = adapters; *a; a++) {
        check_ranges((*a)->source_options, (*a)->schemes[0]);
        check_ranges((*a)->sink_options, (*a)->schemes[0]);
    }
    for (const struct encoder_ops *const *e = encoders; *e; e++)
        check_ranges((*e)->options, (*e)->name);
    for (const struct step_ops *const *step = policy_steps; *step; step++)
        check_ranges((*step)->options, (*step)->name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_and_defaults_are_understood),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(noise_harms_nothing),
        cmocka_unit_test(urls_find_their_adapters),
        cmocka_unit_test(numbers_end_where_64_bits_do),
        cmocka_unit_test(every_unit_is_known),
        cmocka_unit_test(every_number_has_a_range_and_keeps_it),
        cmocka_unit_test(a_lower_bound_alone_is_told_as_such),
        cmocka_unit_test(a_ring_beyond_all_memory_is_refused),
        cmocka_unit_test(a_long_mistake_leaves_room_for_the_answer),
        cmocka_unit_test(places_that_are_none_are_named),
        cmocka_unit_test(a_source_waits_if_its_upstream_keeps_or_it_is_told),
        cmocka_unit_test(sizes_are_printed_as_people_write_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
