/* Sinks that remember a bounded number of unsettled records, when that is reached and nothing can go out. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "adapters/file_out.h"
#include "cmocka_all.h"
#include "endpoint.h"
#include "waker.h"

static const uint8_t frame[] = "\0\0\0\x06\x72\2\x08\5\x78\1";

static struct batch *lone_message(void)
{
    struct batch *batch = batch_alloc(sizeof frame - 1);
    assert_non_null(batch);
    memcpy(batch + 1, frame, sizeof frame - 1);
    batch->count = 1;
    return batch;
}

static struct parcel parcel_of(struct batch *batch, struct account *account)
{
    account_received(account, 1);
    return (struct parcel){
        .batch = batch, .data = batch->data, .len = batch->len, .count = 1, .account = account};
}

struct interrupter {
    const struct sink_ops *ops;
    struct sink *sink;
    _Atomic unsigned written;
};

/* Interrupts the flush that the 513th message causes: the first datagrams went, and rate=1 holds the next. */
static void *interrupt_later(void *arg)
{
    struct interrupter *i = arg;
    while (i->written < 512)
        sched_yield();
    usleep(200000);
    i->ops->interrupt(i->sink);
    return NULL;
}

static int listen_somewhere(char url[80])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    snprintf(url, 80, "nmsg+udp:127.0.0.1:%u#mtu=65000,flush=60s,rate=1", ntohs(address.sin_port));
    return fd;
}

static void an_nmsg_flush_that_is_interrupted(void **state)
{
    (void)state;
    char url[80];
    int fd = listen_somewhere(url);
    const struct sink_host host = {.hop = "near"};
    struct account account = {0};
    struct endpoint endpoint;
    struct error error;
    pthread_t thread;
    assert_true(endpoint_parse(&endpoint, DIRECTION_SINK, url, &error));
    struct interrupter i = {.ops = endpoint.adapter->sink};
    i.sink = i.ops->open(&endpoint.place, &host, &error);
    assert_non_null(i.sink);
    assert_int_equal(pthread_create(&thread, NULL, interrupt_later, &i), 0);
    for (; i.written < 600; i.written++) {
        struct batch *batch = lone_message();
        struct parcel parcel = parcel_of(batch, &account);
        i.ops->write(i.sink, &parcel);
        batch_unref(batch);
    }
    pthread_join(thread, NULL);
    i.ops->finish(i.sink);
    i.ops->free(i.sink);
    const struct tally tally = account_read(&account);
    assert_int_equal(tally.received, 600);
    assert_int_equal(tally.delivered + tally.in_flight, 600); /* nothing failed, nothing twice */
    assert_true(tally.in_flight > 0);
    endpoint_free(&endpoint);
    close(fd);
}

/* A packed file on a full disk: records that come all the same, after the sink was interrupted, find no room. */
static void a_packed_file_on_a_full_disk(void **state)
{
    (void)state;
    struct waker waker;
    struct account account = {0};
    assert_true(waker_init(&waker));
    const struct file_kind kind = {.framed = true, .packing = PACKING_GZIP, .waker = &waker};
    struct file_out *out = file_out_new(&kind, open("/dev/full", O_WRONLY | O_CLOEXEC), NULL);
    assert_non_null(out);
    unsigned full = 0;
    for (unsigned i = 0; i < 2000; i++) {
        struct batch *batch = lone_message();
        struct parcel parcel = parcel_of(batch, &account);
        struct progress progress = {0};
        full += file_out_write(out, &parcel, &progress) == OUTPUT_FULL;
        batch_unref(batch);
    }
    assert_true(full > 900);
    assert_int_equal(account_read(&account).in_flight, 2000);
    file_out_fail(out);
    assert_int_equal(account_read(&account).failed, 1024);
    file_out_free(out);
    waker_close(&waker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_nmsg_flush_that_is_interrupted),
        cmocka_unit_test(a_packed_file_on_a_full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
