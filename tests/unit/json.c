/* Whatever octets a text holds, what is written is JSON. */
#include "json.h"

#include "harness.h"
#include "json_reader.h"
#include "noise.h"

static void commas_stand_where_they_belong(void **state)
{
    (void)state;
    static const char expected[] = "{\"a\":1,\"b\":\"x\",\"c\":[1,{},{\"d\":true},[]],\"e\":{\"f\":"
                                   "18446744073709551615,\"g\":false}}";
    struct buffer out = {0};
    json_open(&out, NULL, '{');
    json_number(&out, "a", 1);
    json_text(&out, "b", "x");
    json_open(&out, "c", '[');
    json_number(&out, NULL, 1);
    json_open(&out, NULL, '{');
    json_close(&out, '}');
    json_open(&out, NULL, '{');
    json_bool(&out, "d", true);
    json_close(&out, '}');
    json_open(&out, NULL, '[');
    json_close(&out, ']');
    json_close(&out, ']');
    json_open(&out, "e", '{');
    json_number(&out, "f", UINT64_MAX);
    json_bool(&out, "g", false);
    json_close(&out, '}');
    json_close(&out, '}');
    assert_int_equal(out.len, sizeof expected - 1);
    assert_memory_equal(out.data, expected, out.len);
    assert_true(json_is_valid(&out));
    buffer_free(&out);
}

static void texts_that_end_like_brackets_still_get_their_comma(void **state)
{
    (void)state;
    struct buffer out = {0};
    json_open(&out, NULL, '[');
    json_text(&out, NULL, "{");
    json_text(&out, NULL, "[");
    json_text(&out, NULL, "");
    json_close(&out, ']');
    assert_int_equal(out.len, strlen("[\"{\",\"[\",\"\"]"));
    assert_true(json_is_valid(&out));
    buffer_free(&out);
}

static void texts_are_escaped_and_repaired(void **state)
{
    (void)state;
    static const struct {
        const char *text, *json;
    } cases[] = {
        {"a\"b\\c", "\"a\\\"b\\\\c\""},
        {"\n\x01\x1f\x7f", "\"\\n\\u0001\\u001f\x7f\""},
        {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""},
        {"\xff", "\"\xef\xbf\xbd\""},
        {"\xc3", "\"\xef\xbf\xbd\""},                                 /* cut short */
        {"\xc0\xaf", "\"\xef\xbf\xbd\xef\xbf\xbd\""},                 /* overlong */
        {"\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""}, /* a surrogate */
        {"\xf4\x90\x80\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
        {"\xe2\x82\"", "\"\xef\xbf\xbd\xef\xbf\xbd\\\"\""},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buffer out = {0};
        json_text(&out, NULL, cases[i].text);
        assert_int_equal(out.len, strlen(cases[i].json));
        assert_memory_equal(out.data, cases[i].json, out.len);
        buffer_free(&out);
    }
}

static void arbitrary_octets_give_valid_json(void **state)
{
    (void)state;
    uint64_t noise = 25;
    struct buffer out = {0};
    for (uint64_t i = work_for_build(1000000); i > 0; i--) {
        char text[17] = {0};
        for (unsigned k = 0; k < sizeof text - 1; k++) /* more leads and tails than letters */
            text[k] =
                (char)(noise_below(&noise, 4) ? 0x80 | noise_next(&noise) : noise_next(&noise));
        buffer_clear(&out);
        json_open(&out, NULL, '{');
        json_text(&out, "text", text);
        json_close(&out, '}');
        if (!json_is_valid(&out))
            fail_msg("%.*s", (int)out.len, (const char *)out.data);
    }
    buffer_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commas_stand_where_they_belong),
        cmocka_unit_test(texts_that_end_like_brackets_still_get_their_comma),
        cmocka_unit_test(texts_are_escaped_and_repaired),
        cmocka_unit_test(arbitrary_octets_give_valid_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
