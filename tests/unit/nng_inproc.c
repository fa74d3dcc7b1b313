/* The nng adapter's two ends in one process: nng+inproc, through the vtables that the hop uses. */
#include <pthread.h>
#include <string.h>

#include "cmocka_all.h"
#include "endpoint.h"
#include "intake.h"

struct far_end {
    struct endpoint endpoint;
    struct source *source;
    struct intake *intake;
    struct bell filled;
    struct ring *ring;
    struct account account;
    pthread_t thread;
};

static void *run(void *arg)
{
    struct far_end *far = arg;
    far->endpoint.adapter->source->run(far->source, far->intake);
    return NULL;
}

static void open_far(struct far_end *far, const char *url)
{
    struct error error;
    *far = (struct far_end){0};
    assert_true(endpoint_parse(&far->endpoint, DIRECTION_SOURCE, url, &error));
    far->intake = intake_new("far", WHEN_FULL_DROP, NULL);
    far->ring = ring_new(1 << 20, &far->filled);
    intake_add(far->intake,
               (struct entrance){.ring = far->ring, .account = &far->account, .sink = "test"});
    far->source = far->endpoint.adapter->source->open(&far->endpoint.place, &error);
    assert_non_null(far->source);
    assert_int_equal(pthread_create(&far->thread, NULL, run, far), 0);
}

static struct batch *take(struct far_end *far)
{
    for (;;) {
        uint32_t seen = bell_listen(&far->filled);
        struct batch *batch = ring_take(far->ring);
        if (batch)
            return batch;
        bell_wait(&far->filled, seen, -1);
    }
}

static void close_far(struct far_end *far)
{
    far->endpoint.adapter->source->stop(far->source);
    pthread_join(far->thread, NULL);
    far->endpoint.adapter->source->free(far->source);
    intake_free(far->intake);
    ring_free(far->ring);
    endpoint_free(&far->endpoint);
}

static void no_ledger(void *arg, struct tally *tally, uint64_t *lost)
{
    (void)arg;
    *tally = (struct tally){.received = 2, .delivered = 0};
    *lost = 0;
}

static void no_path(void *arg, struct envelope *envelope)
{
    (void)arg;
    (void)envelope;
}

static void a_batch_crosses_from_sink_to_source(void **state)
{
    (void)state;
    static const uint8_t frames[] = "\0\0\0\3one\0\0\0\3two";
    const struct sink_host host = {.hop = "near", .ledger = no_ledger, .path = no_path};
    struct account account = {0};
    struct endpoint near;
    struct error error;
    struct far_end far;
    open_far(&far, "nng+inproc:unit");
    assert_true(endpoint_parse(&near, DIRECTION_SINK, "nng+inproc:unit", &error));
    const struct sink_ops *ops = near.adapter->sink;
    struct sink *sink = ops->open(&near.place, &host, &error);
    assert_non_null(sink);

    struct batch *sent = batch_alloc(sizeof frames - 1);
    memcpy(sent + 1, frames, sizeof frames - 1);
    sent->count = 2;
    struct parcel parcel = {
        .batch = sent, .data = sent->data, .len = sent->len, .count = 2, .account = &account};
    account_received(&account, 2);
    ops->write(sink, &parcel);
    assert_int_equal(account_read(&account).delivered, 2);
    batch_unref(sent);

    struct batch *got = take(&far);
    assert_int_equal(got->count, 2);
    assert_int_equal(got->len, sizeof frames - 1);
    assert_memory_equal(got->data, frames, got->len);
    struct envelope envelope;
    assert_true(envelope_read(&envelope, got->envelope, got->envelope_len));
    assert_string_equal(envelope.path[0].hop, "near");
    assert_int_equal(envelope.sequence, 0);
    batch_unref(got);

    ops->finish(sink);
    ops->free(sink);
    close_far(&far);
    endpoint_free(&near);
}

static void an_interrupted_sink_leaves_what_nobody_took(void **state)
{
    (void)state;
    const struct sink_host host = {.hop = "near", .ledger = no_ledger, .path = no_path};
    struct account account = {0};
    struct endpoint near;
    struct error error;
    assert_true(endpoint_parse(&near, DIRECTION_SINK, "nng+inproc:nobody", &error));
    struct sink *sink = near.adapter->sink->open(&near.place, &host, &error);
    struct batch *batch = batch_alloc(7);
    memcpy(batch + 1, "\0\0\0\3one", 7);
    batch->count = 1;
    struct parcel parcel = {
        .batch = batch, .data = batch->data, .len = batch->len, .count = 1, .account = &account};
    account_received(&account, 1);
    near.adapter->sink->interrupt(sink);
    near.adapter->sink->write(sink, &parcel);
    assert_int_equal(account_read(&account).in_flight, 1);
    near.adapter->sink->free(sink);
    batch_unref(batch);
    endpoint_free(&near);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_crosses_from_sink_to_source),
        cmocka_unit_test(an_interrupted_sink_leaves_what_nobody_took),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
