/* The tap as a server sees it, against collectors that are well, down, stalled, rude or killed. */
#include "tap.h"

#include "tap_collector.h"

#include <dirent.h>
#include <fstrm.h>
#include <inttypes.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { PATIENCE_MS = 10000 }; /* for what should happen soon; the machine may be busy */

static uint64_t random_state = 1;

static uint32_t random_below(uint32_t bound)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((random_state >> 33) % bound);
}

static const char *url(const char *scheme, const char *path)
{
    static char text[256];
    snprintf(text, sizeof text, "%s:%s", scheme, path);
    return text;
}

static struct tap *open_tap(const char *where, const struct tap_options *options)
{
    char error[TAP_ERROR_SIZE] = "";
    struct tap *tap = tap_open(where, options, error, sizeof error);
    if (!tap)
        print_error("%s\n", error);
    assert_non_null(tap);
    return tap;
}

static void assert_balanced(const struct tap_counters *c)
{
    assert_int_equal(c->accepted, c->written + c->failed);
    assert_int_equal(c->ring_used, 0);
}

/* Until `what` holds, with a limit. */
#define WAIT_FOR(what)                                \
    do {                                              \
        int64_t until_ = test_now_ms() + PATIENCE_MS; \
        while (!(what) && test_now_ms() < until_)     \
            test_sleep_ms(1);                         \
        assert_true(what);                            \
    } while (0)

/* A thread that is a good collector for one connection, to STOP and FINISH. */
struct good_collector {
    struct collector c;
    pthread_t thread;
    bool finished;
};

static void *good_collector_run(void *arg)
{
    struct good_collector *good = arg;
    if (!collector_greet(&good->c, PATIENCE_MS))
        return NULL;
    collector_receive(&good->c, SIZE_MAX, PATIENCE_MS);
    good->finished = good->c.stopped && collector_finish(&good->c);
    return NULL;
}

static void good_collector_start(struct good_collector *good)
{
    good->finished = false;
    assert_int_equal(pthread_create(&good->thread, NULL, good_collector_run, good), 0);
}

static void good_collector_join(struct good_collector *good)
{
    pthread_join(good->thread, NULL);
    assert_true(good->finished);
}

/* What was received is messages `from`, from + 1, ... whole and in order; returns how many. */
static uint32_t expect_numbers(struct collector *c, uint32_t from)
{
    const uint8_t *data;
    size_t len;
    uint32_t number, count = 0;
    while (collector_next(c, &data, &len)) {
        assert_true(numbered_check(data, len, &number));
        assert_int_equal(number, from + count);
        count++;
    }
    return count;
}

/* ---- it arrives ---- */

static size_t varint_size(size_t value)
{
    size_t size = 1;
    while (value >>= 7)
        size++;
    return size;
}

/* Octets of numbered_emit's frame. */
static size_t numbered_size(uint32_t len)
{
    len = len < 4 ? 4 : len;
    size_t body = 6 + 1 + varint_size(len) + len;
    return 4 + 1 + varint_size(body) + body + 2;
}

static uint32_t read_file_numbers(const char *path)
{
    struct fstrm_file_options *options = fstrm_file_options_init();
    fstrm_file_options_set_file_path(options, path);
    struct fstrm_reader *reader = fstrm_file_reader_init(options, NULL);
    fstrm_file_options_destroy(&options);
    assert_non_null(reader);
    const uint8_t *data;
    size_t len;
    uint32_t number, count = 0;
    fstrm_res result;
    while ((result = fstrm_reader_read(reader, &data, &len)) == fstrm_res_success) {
        assert_true(numbered_check(data, len, &number));
        assert_int_equal(number, count);
        count++;
    }
    assert_int_equal(result, fstrm_res_stop);
    fstrm_reader_destroy(&reader);
    return count;
}

static void a_file_holds_all(void **state)
{
    (void)state;
    const char *path = test_path("all.fstrm");
    struct tap *tap = open_tap(path, NULL);
    struct tap_lane *lane = tap_lane(tap);
    for (uint32_t i = 0; i < 10000; i++)
        assert_true(numbered_emit(lane, i, i % 300));
    struct tap_counters total;
    tap_close(&tap, PATIENCE_MS, &total);
    assert_null(tap);
    assert_balanced(&total);
    assert_int_equal(total.written, 10000);
    assert_int_equal(read_file_numbers(path), 10000);

    tap = open_tap(url("file", path), NULL); /* begun anew */
    tap_close(&tap, PATIENCE_MS, NULL);
    assert_int_equal(read_file_numbers(path), 0);
}

static void a_socket_receives_all(void **state)
{
    (void)state;
    struct good_collector good = {0};
    const char *path = test_path("all.sock");
    assert_true(collector_listen(&good.c, path));
    good_collector_start(&good);
    struct tap *tap = open_tap(url("unix", path), NULL);
    struct tap_lane *lane = tap_lane(tap);
    for (uint32_t i = 0; i < 5000; i++)
        assert_true(numbered_emit(lane, i, i == 77 ? 65535 : i % 700));
    struct tap_counters total;
    tap_close(&tap, PATIENCE_MS, &total);
    good_collector_join(&good);
    assert_balanced(&total);
    assert_int_equal(expect_numbers(&good.c, 0), 5000);
    collector_unlisten(&good.c);
}

static void tcp_receives_all(void **state)
{
    (void)state;
    struct good_collector good = {0};
    char where[64];
    snprintf(where, sizeof where, "tcp:127.0.0.1:%u", collector_listen_tcp(&good.c));
    good_collector_start(&good);
    struct tap *tap = open_tap(where, NULL);
    struct tap_lane *lane = tap_lane(tap);
    for (uint32_t i = 0; i < 5000; i++)
        assert_true(numbered_emit(lane, i, i % 700));
    struct tap_counters total;
    tap_close(&tap, PATIENCE_MS, &total);
    good_collector_join(&good);
    assert_balanced(&total);
    assert_int_equal(expect_numbers(&good.c, 0), 5000);
    collector_unlisten(&good.c);
}

static void a_fifo_waits_for_its_reader(void **state)
{
    (void)state;
    const char *path = test_path("fifo");
    assert_int_equal(mkfifo(path, 0600), 0);
    const struct tap_options options = {.reconnect_ms = 5, .reconnect_max_ms = 20};
    struct tap *tap = open_tap(path, &options);
    struct tap_lane *lane = tap_lane(tap);
    assert_true(numbered_emit(lane, 0, 10));
    test_sleep_ms(50);
    assert_false(tap_status(tap).connected);
    FILE *reader = fopen(path, "r");
    WAIT_FOR(tap_counters(tap).written == 1);
    tap_close(&tap, PATIENCE_MS, NULL);
    uint8_t data[512];
    size_t len = fread(data, 1, sizeof data, reader);
    assert_int_equal(len, 42 + numbered_size(10) + 12);
    assert_int_equal(load_be32(data + 8), 2);       /* begins with START */
    assert_int_equal(load_be32(data + len - 4), 3); /* ends with STOP */
    fclose(reader);
}

/* A message after a pause is seen by a writer that had gone to sleep. */
static void a_lone_message_does_not_wait_for_others(void **state)
{
    (void)state;
    struct collector c = {0};
    const char *path = test_path("lone.sock");
    assert_true(collector_listen(&c, path));
    struct tap *tap = open_tap(url("unix", path), NULL);
    struct tap_lane *lane = tap_lane(tap);
    assert_true(collector_greet(&c, PATIENCE_MS));
    int64_t quickest = INT64_MAX;
    for (uint32_t i = 0; i < 5; i++) {
        test_sleep_ms(300);
        int64_t sent = test_now_ms();
        assert_true(numbered_emit(lane, i, 50));
        assert_true(collector_receive(&c, 60, PATIENCE_MS) > 0);
        int64_t took = test_now_ms() - sent;
        quickest = took < quickest ? took : quickest;
    }
    assert_true(quickest <= TAP_IDLE_MS_DEFAULT + 50);
    collector_unlisten(&c);
    tap_close(&tap, 0, NULL);
}

static void lanes_are_returned_and_used_again(void **state)
{
    (void)state;
    const char *path = test_path("lanes.fstrm");
    struct tap *tap = open_tap(path, NULL);
    struct tap_lane *first = tap_lane(tap);
    struct tap_lane *second = tap_lane(tap);
    assert_ptr_not_equal(first, second);
    assert_true(numbered_emit(second, 0, 10));
    tap_lane_return(second);
    assert_ptr_equal(tap_lane(tap), second);
    assert_true(numbered_emit(second, 1, 10));
    tap_lane_return(NULL);
    struct tap_counters total;
    tap_close(&tap, PATIENCE_MS, &total);
    assert_int_equal(total.written, 2);
    assert_int_equal(read_file_numbers(path), 2);
    tap_close(&tap, 0, &total); /* NULL by now */
    assert_int_equal(total.written, 0);
}

/* More lanes than one write takes runs. */
static void a_hundred_lanes(void **state)
{
    (void)state;
    const char *path = test_path("hundred.fstrm");
    const struct tap_options options = {.ring_bytes = 4096};
    struct tap *tap = open_tap(path, &options);
    struct tap_lane *lanes[100];
    for (int i = 0; i < 100; i++)
        assert_non_null(lanes[i] = tap_lane(tap));
    uint64_t accepted = 0;
    for (uint32_t i = 0; i < 100000; i++)
        accepted += numbered_emit(lanes[i % 100], i, 100);
    struct tap_counters total;
    tap_close(&tap, PATIENCE_MS, &total);
    assert_int_equal(total.accepted, accepted);
    assert_int_equal(total.accepted + total.dropped, 100000);
    assert_int_equal(total.written, accepted);
}

/* ---- what goes wrong ---- */

static void mistakes_are_said_at_once(void **state)
{
    (void)state;
    static const struct {
        const char *url, *says;
    } mistakes[] = {
        {"", "empty"},
        {"nats:host", "unknown scheme \"nats\""},
        {"/nonexistent/dir/file", "No such file"},
        {"unix:", "path"},
        {"tcp:localhost", "tcp:HOST:PORT"},
        {"tcp:localhost:", "tcp:HOST:PORT"},
        {"tcp::53", "tcp:HOST:PORT"},
        {"tcp:::1:53", "tcp:HOST:PORT"},
        {"tcp:[]:53", "tcp:HOST:PORT"},
        {"tcp:127.0.0.1:dns-tap-no-such-port", ""},
    };
    char error[TAP_ERROR_SIZE];
    for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
        error[0] = '\0';
        assert_null(tap_open(mistakes[i].url, NULL, error, sizeof error));
        assert_non_null(strstr(error, mistakes[i].says));
        assert_int_not_equal(error[0], '\0');
    }
    struct tap_options options = {.ring_bytes = 10};
    assert_null(tap_open("unix:/x", &options, error, sizeof error));
    assert_non_null(strstr(error, "ring_bytes"));
    options = (struct tap_options){.extra = {"", TAP_CONSTANTS_MAX + 1}};
    assert_null(tap_open("unix:/x", &options, error, sizeof error));
    assert_non_null(strstr(error, "extra"));
    options = (struct tap_options){.idle_ms = UINT32_MAX};
    assert_null(tap_open("unix:/x", &options, error, sizeof error));
}

static void a_collector_that_is_down(void **state)
{
    (void)state;
    const char *path = test_path("down.sock");
    const struct tap_options options = {.ring_bytes = 10000};
    struct tap *tap = open_tap(url("unix", path), &options);
    int64_t begin = test_now_ms();
    tap_close(&tap, PATIENCE_MS, NULL); /* nothing to write: no reason to wait */
    assert_true(test_now_ms() - begin < PATIENCE_MS / 2);

    tap = open_tap(url("unix", path), &options);
    struct tap_lane *lane = tap_lane(tap);
    uint64_t accepted = 0;
    for (uint32_t i = 0; i < 1000; i++)
        accepted += numbered_emit(lane, i, 100);
    assert_true(accepted > 50 && accepted < 100);
    begin = test_now_ms();
    struct tap_counters total;
    tap_close(&tap, 300, &total);
    assert_in_range(test_now_ms() - begin, 290, 300 + PATIENCE_MS / 2);
    assert_balanced(&total);
    assert_int_equal(total.failed, accepted);
    assert_int_equal(total.dropped, 1000 - accepted);
}

/* It comes up while the tap closes: what waits is delivered still. */
static void a_collector_that_comes_late(void **state)
{
    (void)state;
    const char *path = test_path("late.sock");
    struct tap *tap = open_tap(url("unix", path), NULL);
    struct tap_lane *lane = tap_lane(tap);
    for (uint32_t i = 0; i < 1000; i++)
        assert_true(numbered_emit(lane, i, 100));
    struct good_collector good = {0};
    assert_true(collector_listen(&good.c, path));
    good_collector_start(&good);
    struct tap_counters total;
    tap_close(&tap, PATIENCE_MS, &total);
    good_collector_join(&good);
    assert_int_equal(total.written, 1000);
    assert_int_equal(expect_numbers(&good.c, 0), 1000);
    collector_unlisten(&good.c);
}

/* Accepts, shakes hands, and never reads: the server notices nothing but its counters. */
static void a_collector_that_never_reads(void **state)
{
    (void)state;
    struct collector c = {0};
    const char *path = test_path("stalled.sock");
    assert_true(collector_listen(&c, path));
    const struct tap_options options = {.ring_bytes = 100000};
    struct tap *tap = open_tap(url("unix", path), &options);
    struct tap_lane *lane = tap_lane(tap);
    assert_true(collector_greet(&c, PATIENCE_MS));
    uint32_t number = 0;
    int64_t begin = test_now_ms();
    for (int i = 0; i < 200000; i++)
        number += numbered_emit(lane, number, 100);
    assert_true(test_now_ms() - begin < PATIENCE_MS);
    assert_true(tap_counters(tap).dropped > 0);
    begin = test_now_ms();
    struct tap_counters total;
    tap_close(&tap, 200, &total);
    assert_in_range(test_now_ms() - begin, 190, 200 + PATIENCE_MS / 2);
    assert_balanced(&total);
    assert_true(total.failed > 0);
    collector_receive(&c, SIZE_MAX, PATIENCE_MS);
    assert_false(c.stopped); /* the stream broke off inside a message, or before STOP fitted */
    assert_int_equal(expect_numbers(&c, 0), total.written);
    collector_unlisten(&c);
}

/* Accepts the connection and says nothing: given up after connect_ms, tried again; close is
 * bounded. */
static void a_collector_that_never_answers(void **state)
{
    (void)state;
    struct collector c = {0};
    const char *path = test_path("mute.sock");
    assert_true(collector_listen(&c, path));
    const struct tap_options options = {.connect_ms = 50, .reconnect_ms = 1};
    struct tap *tap = open_tap(url("unix", path), &options);
    struct tap_lane *lane = tap_lane(tap);
    assert_true(collector_accept(&c, PATIENCE_MS));
    assert_true(collector_accept(&c, PATIENCE_MS)); /* the second attempt */
    assert_true(numbered_emit(lane, 0, 10));
    int64_t begin = test_now_ms();
    struct tap_counters total;
    tap_close(&tap, 100, &total);
    assert_true(test_now_ms() - begin < 100 + PATIENCE_MS / 2);
    assert_int_equal(total.failed, 1);
    collector_unlisten(&c);
}

static char logged[8][256];
static atomic_uint logged_count;

static void keep_log(void *arg, const char *line)
{
    (void)arg;
    unsigned i = atomic_load(&logged_count);
    if (i < 8)
        snprintf(logged[i], sizeof logged[i], "%s", line);
    atomic_store(&logged_count, i + 1);
}

static void a_receiver_of_something_else_is_refused(void **state)
{
    (void)state;
    struct collector c = {0};
    const char *path = test_path("other.sock");
    assert_true(collector_listen(&c, path));
    atomic_store(&logged_count, 0);
    const struct tap_options options = {.reconnect_ms = 1, .log = keep_log};
    struct tap *tap = open_tap(url("unix", path), &options);
    for (int i = 0; i < 3; i++) {
        assert_true(collector_accept(&c, PATIENCE_MS));
        assert_false(collector_handshake(&c, "text:plain"));
    }
    assert_int_equal(tap_status(tap).connections, 0);
    /* said once, not at each attempt */
    assert_int_equal(atomic_load(&logged_count), 1);
    assert_non_null(strstr(logged[0], "does not take protobuf:dnstap.Dnstap"));
    assert_true(collector_accept(&c, PATIENCE_MS));
    assert_true(collector_handshake(&c, NULL)); /* one that names no type takes any */
    WAIT_FOR(tap_status(tap).connected);
    collector_unlisten(&c);
    tap_close(&tap, 0, NULL);
}

/* The peer goes while nothing is sent, and comes back: the next message finds it. */
static void a_restart_is_noticed_while_idle(void **state)
{
    (void)state;
    struct collector c = {0};
    const char *path = test_path("restart.sock");
    const struct tap_options options = {.reconnect_ms = 5, .reconnect_max_ms = 20};
    assert_true(collector_listen(&c, path));
    struct tap *tap = open_tap(url("unix", path), &options);
    struct tap_lane *lane = tap_lane(tap);
    for (uint32_t i = 0; i < 10; i++) {
        assert_true(collector_greet(&c, PATIENCE_MS));
        WAIT_FOR(tap_status(tap).connections == i + 1);
        assert_true(numbered_emit(lane, i, 10));
        assert_true(collector_receive(&c, 1, PATIENCE_MS) == 1);
        collector_receive(&c, SIZE_MAX, 1);
        assert_int_equal(expect_numbers(&c, i), 1);
        collector_unlisten(&c);
        WAIT_FOR(!tap_status(tap).connected); /* without a message to fail on */
        assert_true(collector_listen(&c, path));
    }
    struct tap_counters now = tap_counters(tap);
    assert_int_equal(now.written, 10);
    collector_unlisten(&c);
    tap_close(&tap, 0, NULL);
}

/* A disk that is full for a while: the file never holds a torn message, and in the end holds all.
 */
static void a_full_disk(void **state)
{
    (void)state;
    const char *path = test_path("full.fstrm");
    struct rlimit before, small;
    getrlimit(RLIMIT_FSIZE, &before);
    small = before;
    small.rlim_cur = 50000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    const struct tap_options options = {.reconnect_ms = 5, .reconnect_max_ms = 20};
    struct tap *tap = open_tap(path, &options);
    struct tap_lane *lane = tap_lane(tap);
    for (uint32_t i = 0; i < 1000; i++)
        assert_true(numbered_emit(lane, i, 200));
    WAIT_FOR(tap_counters(tap).written > 100);
    test_sleep_ms(100); /* some more attempts */
    struct tap_counters now = tap_counters(tap);
    assert_true(now.written < 300);
    setrlimit(RLIMIT_FSIZE, &before);
    tap_close(&tap, PATIENCE_MS, &now);
    assert_int_equal(now.written, 1000);
    assert_int_equal(read_file_numbers(path), 1000);
}

/* ---- killed a thousand times ---- */

struct killing {
    struct tap *tap;
    struct tap_lane *lane;
    struct collector c;
    const char *path;
    size_t sizes[4096]; /* of the last accepted messages */
    uint32_t accepted, refused;
    uint64_t connections;
    uint64_t received, torn;
};

static void killing_emit(struct killing *k)
{
    uint32_t many = random_below(4) ? random_below(30) : 1000;
    for (uint32_t i = 0; i < many; i++) {
        uint32_t len = random_below(50) ? random_below(400) : random_below(30000);
        if (!numbered_emit(k->lane, k->accepted, len)) {
            k->refused++;
            continue;
        }
        k->sizes[k->accepted % 4096] = numbered_size(len);
        k->accepted++;
    }
}

/* What is in the ring, found by its octets, makes up the difference. Nothing moves meanwhile. */
static void killing_check(const struct killing *k)
{
    struct tap_counters c = tap_lane_counters(k->lane);
    assert_int_equal(c.accepted, k->accepted);
    assert_int_equal(c.dropped, k->refused);
    uint64_t in_ring = 0;
    size_t octets = 0;
    while (octets < c.ring_used && in_ring < k->accepted)
        octets += k->sizes[(k->accepted - ++in_ring) % 4096];
    assert_int_equal(octets, c.ring_used);
    assert_int_equal(c.accepted, c.written + c.failed + in_ring);
    assert_int_equal(c.failed, 0);
}

/* One connection, received from up to a random octet, then killed. */
static void killing_connection(struct killing *k)
{
    uint32_t from = (uint32_t)tap_lane_counters(k->lane).written;
    assert_true(collector_greet(&k->c, PATIENCE_MS));
    k->connections++;
    WAIT_FOR(tap_status(k->tap).connections == k->connections);
    killing_emit(k);
    size_t budget = random_below(random_below(3) ? 5000 : 500000);
    collector_receive(&k->c, budget, (int)random_below(8));
    uint32_t whole = expect_numbers(&k->c, from);
    k->received += whole;
    k->torn += k->c.at < k->c.len;
    collector_drop(&k->c);
    WAIT_FOR(!tap_status(k->tap).connected);
    assert_true(tap_lane_counters(k->lane).written >= from + whole);
}

static void killing_round(struct killing *k)
{
    switch (random_below(20)) {
    case 0: /* gone before it accepted */
        collector_unlisten(&k->c);
        killing_emit(k);
        assert_true(collector_listen(&k->c, k->path));
        break;
    case 1: /* gone before it answered */
        assert_true(collector_accept(&k->c, PATIENCE_MS));
        collector_drop(&k->c);
        break;
    case 2: /* gone in the handshake */
        assert_true(collector_accept(&k->c, PATIENCE_MS));
        assert_false(collector_handshake(&k->c, "text:plain"));
        collector_drop(&k->c);
        break;
    default:
        killing_connection(k);
    }
    killing_check(k);
}

static void a_collector_killed_a_thousand_times(void **state)
{
    (void)state;
    static struct killing k;
    k.path = test_path("killed.sock");
    assert_true(collector_listen(&k.c, k.path));
    const struct tap_options options = {.ring_bytes = 400000,
                                        .flush_ms = 1,
                                        .idle_ms = 2,
                                        .reconnect_ms = 1,
                                        .reconnect_max_ms = 2};
    k.tap = open_tap(url("unix", k.path), &options);
    k.lane = tap_lane(k.tap);
    for (int i = 0; i < 1000; i++)
        killing_round(&k);
    uint32_t from = (uint32_t)tap_lane_counters(k.lane).written;
    struct good_collector good = {.c = k.c};
    good_collector_start(&good);
    struct tap_counters total;
    tap_close(&k.tap, PATIENCE_MS, &total);
    good_collector_join(&good);
    assert_balanced(&total);
    assert_int_equal(total.failed, 0);
    assert_int_equal(from + expect_numbers(&good.c, from), k.accepted);
    collector_unlisten(&good.c);
    print_message("%" PRIu64 " connections killed, %" PRIu64
                  " inside a message; %u messages accepted, "
                  "%u dropped, %" PRIu64 " received before a kill\n",
                  k.connections, k.torn, k.accepted, k.refused, k.received);
    assert_true(k.connections > 700 && k.torn > 100 && k.received > 1000);
}

/* ---- many threads and a collector that flaps ---- */

enum { FLAP_LANES = 3 };

struct flapping {
    struct tap *tap;
    atomic_bool enough;
    _Atomic uint64_t emitted;
};

static void *flapping_emit(void *arg)
{
    struct flapping *f = arg;
    struct tap_lane *lane = tap_lane(f->tap);
    uint64_t emitted = 0;
    for (uint32_t i = 0; !atomic_load(&f->enough); i++, emitted++)
        numbered_emit(lane, i, i % 500);
    atomic_fetch_add(&f->emitted, emitted);
    return NULL;
}

static void many_threads_and_a_flapping_collector(void **state)
{
    (void)state;
    struct collector c = {0};
    const char *path = test_path("flap.sock");
    assert_true(collector_listen(&c, path));
    const struct tap_options options = {
        .ring_bytes = 50000, .flush_ms = 1, .reconnect_ms = 1, .reconnect_max_ms = 5};
    struct flapping f = {.tap = open_tap(url("unix", path), &options)};
    pthread_t threads[FLAP_LANES];
    for (int i = 0; i < FLAP_LANES; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, flapping_emit, &f), 0);
    uint64_t received = 0;
    int64_t end = test_now_ms() + 1500;
    while (test_now_ms() < end) {
        assert_true(collector_greet(&c, PATIENCE_MS));
        collector_receive(&c, SIZE_MAX, 30);
        const uint8_t *data;
        size_t len;
        uint32_t number;
        for (; collector_next(&c, &data, &len); received++)
            assert_true(numbered_check(data, len, &number));
        struct tap_counters now = tap_counters(f.tap);
        assert_true(now.written + now.failed <= now.accepted);
        assert_true(received <= now.written + 1000000);
    }
    atomic_store(&f.enough, true);
    for (int i = 0; i < FLAP_LANES; i++)
        pthread_join(threads[i], NULL);
    collector_unlisten(&c);
    struct tap_counters total;
    tap_close(&f.tap, 50, &total);
    assert_balanced(&total);
    assert_int_equal(total.accepted + total.dropped, f.emitted);
    assert_true(received <= total.written);
    assert_true(received > 0);
}

/* ---- what the server's thread is promised ---- */

#if !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__

static atomic_int silent; /* 1: emitted all; 2: could not be tried here */

/* In strict mode the kernel kills a thread at any system call but read, write and exit. */
static void *emit_in_silence(void *arg)
{
    struct tap_lane *lane = arg;
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0) {
        atomic_store(&silent, 2);
        return NULL;
    }
    uint8_t dns[512] = {0};
    const struct tap_message m = {.type = TAP_CLIENT_RESPONSE, .response_message = {dns, 512}};
    for (int i = 0; i < 100000; i++)
        tap_emit(lane, &m);
    atomic_store(&silent, 1);
    syscall(SYS_exit, 0);
    return NULL;
}

static int silent_child(const char *path)
{
    const struct tap_options options = {.ring_bytes = 1 << 20}; /* so that it also fills up */
    struct tap *tap = tap_open(path, &options, NULL, 0);
    pthread_t thread;
    pthread_create(&thread, NULL, emit_in_silence, tap_lane(tap));
    for (int i = 0; i < PATIENCE_MS && atomic_load(&silent) == 0; i++)
        test_sleep_ms(1);
    struct tap_counters total;
    tap_close(&tap, PATIENCE_MS, &total);
    if (atomic_load(&silent) == 2)
        return 2;
    bool good = atomic_load(&silent) == 1 && total.accepted + total.dropped == 100000 &&
                total.accepted == total.written;
    return good ? 0 : 1;
}

static void emitting_makes_no_system_call(void **state)
{
    (void)state;
    const char *path = test_path("silent.fstrm");
    pid_t child = fork();
    if (child == 0)
        _exit(silent_child(path));
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 2)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

#endif

/* Voluntary context switches of the only other thread. */
static long writer_switches(void)
{
    long switches = -1;
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *task;
    while (tasks && (task = readdir(tasks))) {
        char path[300], line[200];
        if (task->d_name[0] == '.' || atoi(task->d_name) == getpid())
            continue;
        snprintf(path, sizeof path, "/proc/self/task/%s/status", task->d_name);
        FILE *f = fopen(path, "r");
        while (f && fgets(line, sizeof line, f))
            sscanf(line, "voluntary_ctxt_switches: %ld", &switches);
        if (f)
            fclose(f);
    }
    if (tasks)
        closedir(tasks);
    return switches;
}

static void an_idle_writer_wakes_ten_times_a_second(void **state)
{
    (void)state;
#ifdef __SANITIZE_THREAD__
    skip(); /* tsan has a thread of its own */
#endif
    struct tap *tap = open_tap(test_path("idle.fstrm"), NULL);
    assert_true(numbered_emit(tap_lane(tap), 0, 10));
    test_sleep_ms(700);
    long before = writer_switches();
    test_sleep_ms(1000);
    long wakeups = writer_switches() - before;
    assert_in_range(wakeups, 1, 12);
    tap_close(&tap, PATIENCE_MS, NULL);
}

static void the_writer_takes_no_signals(void **state)
{
    (void)state;
    struct tap *tap = open_tap(test_path("signals.fstrm"), NULL);
    sigset_t mine, none;
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, NULL, &mine);
    assert_int_equal(sigismember(&mine, SIGUSR1), 0); /* ours is as it was */
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *task;
    int blocked = 0;
    while ((task = readdir(tasks))) {
        char path[300], line[200];
        unsigned long long mask = 0;
        snprintf(path, sizeof path, "/proc/self/task/%s/status", task->d_name);
        FILE *f = task->d_name[0] == '.' ? NULL : fopen(path, "r");
        while (f && fgets(line, sizeof line, f))
            sscanf(line, "SigBlk: %llx", &mask);
        if (f)
            fclose(f);
        blocked += (mask >> (SIGUSR1 - 1) & mask >> (SIGPIPE - 1) & 1) == 1;
    }
    closedir(tasks);
    assert_true(blocked >= 1);
    tap_close(&tap, PATIENCE_MS, NULL);
}

/* ---- an output that the server brings along ---- */

struct bus {
    struct tap_output output;
    unsigned opens, calls;
    uint64_t messages;
};

static struct bus the_bus;

static const struct tap_output_ops bus_ops;

static struct tap_output *bus_create(const struct tap_output_ops *ops, const struct tap *tap,
                                     const char *address, const struct tap_options *options, char *error,
                                     size_t size)
{
    (void)tap;
    (void)options;
    assert_ptr_equal(ops, &bus_ops);
    if (strcmp(address, "//topic") != 0) {
        snprintf(error, size, "no such topic");
        return NULL;
    }
    the_bus = (struct bus){.output = {&bus_ops}};
    return &the_bus.output;
}

static bool bus_open(struct tap_output *output, struct tap_wait *wait, char *error, size_t size)
{
    (void)wait;
    snprintf(error, size, "not yet");
    return ++((struct bus *)output)->opens > 2;
}

/* Takes run by run, gives up the first message of each, and loses its connection now and then. */
static ssize_t bus_write(struct tap_output *output, const struct tap_run *runs, unsigned count,
                         uint32_t *failed, struct tap_wait *wait)
{
    (void)wait;
    struct bus *bus = (struct bus *)output;
    assert_true(count > 0 && runs[0].messages > 0 && runs[0].len > 0);
    if (++bus->calls % 3 == 0)
        return -1;
    *failed = 1;
    bus->messages += runs[0].messages;
    return (ssize_t)runs[0].len;
}

static int bus_descriptor(const struct tap_output *output)
{
    (void)output;
    return -1;
}

static void bus_close(struct tap_output *output, enum tap_end end, size_t torn,
                      struct tap_wait *wait)
{
    (void)output;
    (void)wait;
    (void)end;
    assert_int_equal(torn, 0);
}

static void bus_destroy(struct tap_output *output)
{
    (void)output;
}

static const struct tap_output_ops bus_ops = {"bus",          bus_create, bus_open,   bus_write,
                                              bus_descriptor, bus_close,  bus_destroy};

static void another_output_can_be_brought_along(void **state)
{
    (void)state;
    const struct tap_output_ops *const outputs[] = {&bus_ops, NULL};
    const struct tap_options options = {
        .outputs = outputs, .reconnect_ms = 1, .reconnect_max_ms = 1, .flush_ms = 1};
    char error[TAP_ERROR_SIZE];
    assert_null(tap_open("bus://nothing", &options, error, sizeof error));
    assert_string_equal(error, "no such topic");
    assert_null(tap_open("buss://topic", &options, error, sizeof error));
    assert_non_null(strstr(error, "bus:"));
    struct tap *tap = open_tap("bus://topic", &options);
    struct tap_lane *lane = tap_lane(tap);
    for (uint32_t i = 0; i < 1000; i++) {
        assert_true(numbered_emit(lane, i, 100));
        if (i % 100 == 0)
            test_sleep_ms(3);
    }
    struct tap_counters total;
    tap_close(&tap, PATIENCE_MS, &total);
    assert_balanced(&total);
    assert_int_equal(the_bus.messages, 1000);
    assert_in_range(total.failed, 1, the_bus.calls);
}

static int remove_dir(void **state)
{
    (void)state;
    test_dir_remove();
    return 0;
}

int main(void)
{
    test_dir();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_holds_all),
        cmocka_unit_test(a_socket_receives_all),
        cmocka_unit_test(tcp_receives_all),
        cmocka_unit_test(a_fifo_waits_for_its_reader),
        cmocka_unit_test(a_lone_message_does_not_wait_for_others),
        cmocka_unit_test(lanes_are_returned_and_used_again),
        cmocka_unit_test(a_hundred_lanes),
        cmocka_unit_test(mistakes_are_said_at_once),
        cmocka_unit_test(a_collector_that_is_down),
        cmocka_unit_test(a_collector_that_comes_late),
        cmocka_unit_test(a_collector_that_never_reads),
        cmocka_unit_test(a_collector_that_never_answers),
        cmocka_unit_test(a_receiver_of_something_else_is_refused),
        cmocka_unit_test(a_restart_is_noticed_while_idle),
        cmocka_unit_test(a_full_disk),
        cmocka_unit_test(a_collector_killed_a_thousand_times),
        cmocka_unit_test(many_threads_and_a_flapping_collector),
#if !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__
        cmocka_unit_test(emitting_makes_no_system_call),
#endif
        cmocka_unit_test(an_idle_writer_wakes_ten_times_a_second),
        cmocka_unit_test(the_writer_takes_no_signals),
        cmocka_unit_test(another_output_can_be_brought_along),
    };
    return cmocka_run_group_tests(tests, NULL, remove_dir);
}
