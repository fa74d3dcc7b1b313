/* Numbers are read while sources and sinks write them: by a thread of ours, where the thread sanitizer
 * watches what it may not see on a thread of nng's. */
#include "metrics.h"

#include <pthread.h>

#include "harness.h"
#include "hop.h"

enum { LOOPS = 20, CORPUS = 893 };

struct reader_thread {
    struct hop *hop;
    _Atomic bool done;
    unsigned readings;
};

static void *read_again_and_again(void *arg)
{
    struct reader_thread *reader = arg;
    struct buffer out = {0};
    while (!atomic_load(&reader->done) || reader->readings == 0) {
        buffer_clear(&out);
        struct ledger_copy ledger;
        hop_copy(reader->hop, &ledger);
        metrics_write(&ledger, 1500000, &out);
        ledger_write_json(&ledger, &out);
        ledger_copy_free(&ledger);
        reader->readings += !out.failed;
    }
    buffer_free(&out);
    return NULL;
}

static void add(struct config *config, enum direction direction, const char *url)
{
    struct error error = {{0}};
    if (!endpoint_parse(config_add(config, direction, &error), direction, url, &error))
        fail_msg("%s", error.text);
}

static void run_to_the_end(struct hop *hop, struct bell *bell)
{
    struct error error = {{0}};
    bool closed = false;
    assert_true(hop_start(hop, &error));
    while (!closed || !hop_sinks_ended(hop)) {
        uint32_t seen = bell_listen(bell);
        if (!closed && hop_sources_ended(hop)) {
            hop_close_sinks(hop);
            closed = true;
        } else if (!closed || !hop_sinks_ended(hop))
            bell_wait(bell, seen, 100);
    }
}

static void assert_says(const struct buffer *metrics, const char *line)
{
    if (!strstr((const char *)metrics->data, line))
        fail_msg("'%s' is missing in:\n%s", line, (const char *)metrics->data);
}

static void check_the_end(struct hop *hop)
{
    struct buffer metrics = {0};
    char line[256];
    struct ledger_copy ledger;
    hop_copy(hop, &ledger);
    strcpy(ledger.hop, "a\"b\\c\nd\xff");
    metrics_write(&ledger, 1500000, &metrics);
    ledger_copy_free(&ledger);
    buffer_put_char(&metrics, '\0');
    assert_false(metrics.failed);
    assert_says(&metrics, "hop=\"a\\\"b\\\\c\\nd\xef\xbf\xbd\"} 1\n");
    assert_says(&metrics, "\ndnstap_bridge_start_time_seconds 1.500000\n");
    const char *const sinks[] = {"/dev/null", "/dev/null#2"};
    for (int i = 0; i < 2; i++) {
        snprintf(line, sizeof line, "\ndnstap_bridge_delivered_total{source=\"%s\",sink=\"%s\"} %d\n",
                 TEST_DATA "/bind.fstrm.gz", sinks[i], LOOPS * CORPUS);
        assert_says(&metrics, line);
    }
    buffer_free(&metrics);
}

static void readings_disturb_nothing_and_end_exact(void **state)
{
    (void)state;
    struct config config;
    struct bell bell = {0};
    struct error error = {{0}};
    pthread_t thread;
    config_defaults(&config);
    add(&config, DIRECTION_SOURCE, TEST_DATA "/bind.fstrm.gz#loop=20");
    add(&config, DIRECTION_SINK, "/dev/null");
    add(&config, DIRECTION_SINK, "/dev/null#format=json");
    struct reader_thread reader = {.hop = hop_open(&config, &bell, &error)};
    assert_non_null(reader.hop);
    assert_int_equal(pthread_create(&thread, NULL, read_again_and_again, &reader), 0);
    run_to_the_end(reader.hop, &bell);
    atomic_store(&reader.done, true);
    pthread_join(thread, NULL);
    assert_true(reader.readings > 0);
    check_the_end(reader.hop);
    hop_free(reader.hop);
    config_free(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readings_disturb_nothing_and_end_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
