/* Loads and their windows, bodies, the answers of _bulk, and when to try again. */
#include "adapters/http_body.h"
#include "adapters/http_document.h"
#include "adapters/http_items.h"
#include "adapters/http_load.h"
#include "adapters/http_retry.h"
#include "frame.h"
#include "harness.h"

static const uint32_t ends[] = {4, 9, 12, 20, 22, 30, 31, 40, 45, 50};
enum { RECORDS = sizeof ends / sizeof *ends, OCTETS = 50 };
static uint8_t octets[OCTETS];
static uint8_t framed[OCTETS + 4 * RECORDS]; /* the same as data frames */

static struct parcel parcel_of(struct account *account)
{
    return (struct parcel){
        .data = octets, .len = OCTETS, .ends = ends, .count = RECORDS, .account = account};
}

static uint64_t settled(struct account *account, enum outcome outcome)
{
    return atomic_load(&account->settled[outcome]);
}

static void fill_to_limits(struct parcel parcel)
{
    for (uint32_t count_max = 1; count_max < 12; count_max++) {
        for (size_t size_max = 1; size_max < 100; size_max++) {
            struct load *load = load_new(count_max);
            struct load_cursor cursor = {.parcel = &parcel};
            uint32_t records = 0;
            bool done = false;
            while (!done) {
                done = load_add(load, &cursor, size_max);
                assert_true(load->count >= 1 && load->count <= count_max);
                assert_true(load->records.len <= size_max || load->count == 1);
                size_t len;
                const uint8_t *last = load_record(load, load->count - 1, &len);
                assert_ptr_equal(last + len, load->records.data + load->records.len);
                records += load->count;
                load_clear(load);
            }
            assert_int_equal(records, RECORDS);
            load_free(load);
        }
    }
}

static void loads_are_filled_to_their_limits(void **state)
{
    (void)state;
    struct account account = {0};
    struct parcel lines = parcel_of(&account), frames = lines;
    for (uint32_t i = 0, at = 0; i < RECORDS; at = ends[i++])
        store_be32(framed + 4 * i + at, ends[i] - at);
    frames.data = framed;
    frames.len = sizeof framed;
    frames.ends = NULL;
    fill_to_limits(lines);
    fill_to_limits(frames);
}

static void windows_halve_and_go_on(void **state)
{
    (void)state;
    struct account account = {0};
    struct parcel parcel = parcel_of(&account);
    struct load *load = load_new(100);
    struct load_cursor cursor = {.parcel = &parcel};
    assert_true(load_add(load, &cursor, 1000));
    load_begin(load, 1000);
    assert_int_equal(load->to, RECORDS);
    assert_true(load_halve(load));
    assert_true(load_halve(load));
    assert_int_equal(load->to, 2);
    assert_int_equal(load_octets(load), 9);
    assert_true(load_halve(load));
    assert_false(load_halve(load));
    uint32_t windows = 1;
    do {
        load_settle(load, windows % 2 ? OUTCOME_DELIVERED : OUTCOME_FAILED);
    } while (load_next(load) && ++windows);
    assert_int_equal(windows, RECORDS);
    assert_int_equal(settled(&account, OUTCOME_DELIVERED), 5);
    assert_int_equal(settled(&account, OUTCOME_FAILED), 5);
    load_begin(load, 12); /* the first three */
    assert_int_equal(load->to, 3);
    load_begin(load, 1);
    assert_int_equal(load->to, 1);
    load_free(load);
}

static void each_share_is_settled_in_its_account_and_once(void **state)
{
    (void)state;
    struct account accounts[3] = {0};
    struct load *load = load_new(100);
    for (int i = 0; i < 3; i++) {
        struct parcel parcel = parcel_of(&accounts[i]);
        struct load_cursor cursor = {.parcel = &parcel};
        assert_true(load_add(load, &cursor, 1000));
    }
    load_begin(load, 1000);
    load_settle_one(load, 5, OUTCOME_FAILED);
    load_settle_one(load, 5, OUTCOME_FAILED);
    for (uint32_t i = 15; i < 25; i++)
        load_settle_one(load, i, OUTCOME_FAILED);
    assert_int_equal(load_open(load), 19);
    load_settle(load, OUTCOME_DELIVERED);
    static const uint64_t failed[] = {1, 5, 5};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(settled(&accounts[i], OUTCOME_FAILED), failed[i]);
        assert_int_equal(settled(&accounts[i], OUTCOME_DELIVERED), RECORDS - failed[i]);
    }
    load_free(load);
}

static void bodies_hold_what_is_not_settled(void **state)
{
    (void)state;
    static const char lines[] = "{\"a\":1}\n{\"b\":2}\n{\"c\":3}\n";
    static const uint32_t line_ends[] = {8, 16, 24};
    static const struct {
        const char *body, *all, *without_b;
    } cases[] = {
        {"ndjson", lines, "{\"a\":1}\n{\"c\":3}\n"},
        {"array", "[{\"a\":1},{\"b\":2},{\"c\":3}]", "[{\"a\":1},{\"c\":3}]"},
        {"elastic",
         "{\"create\":{}}\n{\"a\":1}\n{\"create\":{}}\n{\"b\":2}\n{\"create\":{}}\n{\"c\":3}\n",
         "{\"create\":{}}\n{\"a\":1}\n{\"create\":{}}\n{\"c\":3}\n"},
        {"splunk", "{\"event\":{\"a\":1}}\n{\"event\":{\"b\":2}}\n{\"event\":{\"c\":3}}\n",
         "{\"event\":{\"a\":1}}\n{\"event\":{\"c\":3}}\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct account account = {0};
        struct parcel parcel = {.data = (const uint8_t *)lines,
                                .len = 24,
                                .ends = line_ends,
                                .count = 3,
                                .account = &account};
        struct load *load = load_new(10);
        struct load_cursor cursor = {.parcel = &parcel};
        struct buffer room = {0};
        struct body body = {.kind = body_find(cases[i].body)};
        size_t len;
        load_add(load, &cursor, 1000);
        load_begin(load, 1000);
        const uint8_t *made = body_make(&body, load, &room, &len);
        assert_int_equal(len, strlen(cases[i].all));
        assert_memory_equal(made, cases[i].all, len);
        assert_true(len <= body_bound(body.kind, 24, 3));
        load_settle_one(load, 1, OUTCOME_FAILED);
        made = body_make(&body, load, &room, &len);
        assert_int_equal(len, strlen(cases[i].without_b));
        assert_memory_equal(made, cases[i].without_b, len);
        buffer_free(&room);
        load_free(load);
    }
    assert_null(body_find("pigeon"));
}

/* The time of a document, and the index that it names. */
static void documents_have_a_time(void **state)
{
    (void)state;
    static const struct {
        const char *record, *time, *index;
    } cases[] = {
        {"{\"time\":\"2026-11-27T22:13:20.123456789Z\",\"type\":\"x\"}", "2026-11-27T22:13:20.123456789Z", "d-2026.11.27-22"},
        {"{\"time\":\"2024-02-29T23:59:59.000000000Z\"}", "2024-02-29T23:59:59.000000000Z", "d-2024.02.29-23"},
        {"{\"time\":\"1970-01-01T00:00:00.000000000Z\"}", "1970-01-01T00:00:00.000000000Z", "d-1970.01.01-00"},
        {"{\"type\":\"MESSAGE\",\"message\":{\"query_time\":\"2026-11-27T22:13:20Z\"}}", "2026-11-27T22:13:20Z", "d-2026.11.27-22"},
        {"{\"m\":{\"query_time\":\"2026-11-27T22:13:20Z\",\"response_time\":\"2026-11-27T23:00:00Z\"}}", "2026-11-27T23:00:00Z", "d-2026.11.27-23"},
        {"{\"count\":1,\"time_first\":1,\"time_last\":1795536983,\"rrname\":\"a.\"}", "2026-11-24T16:16:23Z", "d-2026.11.24-16"},
        {"{\"m\":{\"query_time\":\"2147483648-01-01T00:00:00Z\"}}", "", NULL},
        {"{\"type\":\"CLIENT_QUERY\",\"identity\":\"\\\"query_time\\\":\\\"2026-11-27T22:13:20Z\"}", "", NULL},
        {"{\"time\":\"2026", "", NULL},
        {"{\"time_last\":", "", NULL},
        {"", "", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buffer out = {0};
        const struct document_time time = document_time_of((const uint8_t *)cases[i].record, strlen(cases[i].record));
        assert_string_equal(time.text, cases[i].time);
        if (!cases[i].index)
            continue;
        document_put_index("d-%Y.%m.%d-%H", time.second, &out);
        buffer_put_char(&out, '\0');
        assert_string_equal(out.data, cases[i].index);
        buffer_free(&out);
    }
}

static char seen[64];

static void note(void *arg, uint32_t i, enum item_result result, const char *reason)
{
    (void)arg;
    (void)i;
    snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "%c%s", "TYR"[result], reason);
}

static void answers_of_bulk_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        uint32_t count;
        const char *seen; /* NULL: no answer */
    } cases[] = {
        {"{\"errors\":false,\"items\":[{\"create\":{\"status\":201}},{\"index\":{\"status\":200}}]"
         "}",
         2, "TT"},
        {"{\"items\":[{\"create\":{\"status\":429}},{\"create\":{\"status\":400,\"error\":{"
         "\"reason\":\"x\"}}},"
         "{\"create\":{\"status\":503}}]}",
         3, "YRxY"},
        {"{\"items\":[]}", 0, ""},
        {"{\"items\":[{\"create\":{\"status\":201}}]}", 2, NULL},
        {"{\"items\":[{\"create\":{\"status\":\"201\"}}]}", 1, NULL},
        {"{\"items\":[{}]}", 1, NULL},
        {"{\"items\":[7]}", 1, NULL},
        {"{\"items\":7}", 1, NULL},
        {"[]", 0, NULL},
        {"{\"items\":[{\"create\":{\"status\":201}}", 1, NULL},
        {"", 1, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        seen[0] = '\0';
        bool ok =
            http_items_read(cases[i].answer, strlen(cases[i].answer), cases[i].count, note, NULL);
        assert_int_equal(ok, cases[i].seen != NULL);
        assert_string_equal(seen, cases[i].seen ? cases[i].seen : "");
    }
}

static void steps_double_up_to_a_limit(void **state)
{
    (void)state;
    int64_t step = RETRY_FIRST_MS;
    for (unsigned attempts = 1; attempts < 100; attempts++) {
        int64_t least = retry_delay_ms(attempts, 0), most = 0;
        for (uint32_t r = 0; r < 50000; r += 7)
            most = retry_delay_ms(attempts, r) > most ? retry_delay_ms(attempts, r) : most;
        assert_int_equal(least, step / 2);
        assert_true(most <= step && most >= step - 7);
        step = 2 * step < RETRY_MAX_MS ? 2 * step : RETRY_MAX_MS;
    }
    assert_int_equal(verdict_of(CURLE_OK, 204), VERDICT_TAKEN);
    assert_int_equal(verdict_of(CURLE_PARTIAL_FILE, 200), VERDICT_RETRY);
    assert_int_equal(verdict_of(CURLE_OK, 429), VERDICT_RETRY);
    assert_int_equal(verdict_of(CURLE_OK, 413), VERDICT_TOO_MUCH);
    assert_int_equal(verdict_of(CURLE_OK, 302), VERDICT_REJECTED);
}

static void a_server_cannot_ask_for_more_than_the_bound(void **state)
{
    (void)state;
    assert_int_equal(retry_after_ms(1), 1000);
    assert_int_equal(retry_after_ms(RETRY_AFTER_MAX_S), RETRY_AFTER_MAX_S * 1000);
    assert_int_equal(retry_after_ms(RETRY_AFTER_MAX_S + 1), RETRY_AFTER_MAX_S * 1000);
    assert_int_equal(retry_after_ms(INT64_MAX), RETRY_AFTER_MAX_S * 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loads_are_filled_to_their_limits),
        cmocka_unit_test(windows_halve_and_go_on),
        cmocka_unit_test(each_share_is_settled_in_its_account_and_once),
        cmocka_unit_test(bodies_hold_what_is_not_settled),
        cmocka_unit_test(documents_have_a_time),
        cmocka_unit_test(answers_of_bulk_are_read),
        cmocka_unit_test(steps_double_up_to_a_limit),
        cmocka_unit_test(a_server_cannot_ask_for_more_than_the_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
