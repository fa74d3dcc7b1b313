/* What one dnstap message costs the server's thread: tap_emit against what servers do today, which
 * is to pack with protobuf-c and to submit to libfstrm's I/O thread.
 *
 * Measured: CPU time of the emitting threads (CLOCK_THREAD_CPUTIME_ID) around chunks of messages,
 * divided by the messages. Each message is a CLIENT_RESPONSE of a 150-octet DNS message with all
 * that a server knows: identity, version, addresses, ports, both times. Both sides fill in their
 * structure anew for each message. Between chunks the threads sleep, so that neither queue is full
 * and the cost is that of messages that are accepted; all threads together emit RATE a second. Both
 * send to a process that reads their unix socket and throws away what it reads. */
#include "tap.h"

#include "dnstap.pb-c.h"
#include "tap_collector.h"

#include <fstrm.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    RUNS = 7,
    CHUNK = 1000,   /* messages between sleeps */
    TOTAL = 200000, /* messages in a run, over all threads */
    RATE = 200000,  /* messages a second, over all threads */
    MAX_THREADS = 4,
    FSTRM_QUEUE = 16384,
    DNS_SIZE = 150,
};

static uint8_t dns[DNS_SIZE];
static struct sockaddr_in client, server;

struct producer {
    pthread_t thread;
    unsigned threads; /* that emit beside this one, with it */
    struct tap_lane *lane;
    struct fstrm_iothr *iothr;
    struct fstrm_iothr_queue *queue;
    bool (*emit)(struct producer *p);
    uint64_t accepted, dropped;
    double ns; /* CPU time */
};

static bool emit_tap(struct producer *p)
{
    const time_t now = 1700000000 + (time_t)p->accepted;
    struct tap_message m;
    tap_message_init(&m, TAP_CLIENT_RESPONSE);
    m.protocol = TAP_UDP;
    tap_message_query_peer(&m, (const struct sockaddr *)&client);
    tap_message_response_peer(&m, (const struct sockaddr *)&server);
    m.query_time = (struct timespec){now, 123456789};
    m.response_time = (struct timespec){now, 123956789};
    m.response_message = (struct tap_bytes){dns, sizeof dns};
    return tap_emit(p->lane, &m);
}

static void fill_address(ProtobufCBinaryData *octets, uint32_t *port, struct sockaddr_in *in)
{
    octets->data = (uint8_t *)&in->sin_addr;
    octets->len = 4;
    *port = ntohs(in->sin_port);
}

static void fill(Dnstap__Dnstap *d, Dnstap__Message *m, const struct producer *p)
{
    static uint8_t identity[] = "ns1.example.net", version[] = "server 1.2.3";
    d->has_identity = d->has_version = 1;
    d->identity = (ProtobufCBinaryData){sizeof identity - 1, identity};
    d->version = (ProtobufCBinaryData){sizeof version - 1, version};
    d->type = DNSTAP__DNSTAP__TYPE__MESSAGE;
    d->message = m;
    m->type = DNSTAP__MESSAGE__TYPE__CLIENT_RESPONSE;
    m->has_socket_family = m->has_socket_protocol = 1;
    m->socket_family = DNSTAP__SOCKET_FAMILY__INET;
    m->socket_protocol = DNSTAP__SOCKET_PROTOCOL__UDP;
    m->has_query_address = m->has_query_port = 1;
    fill_address(&m->query_address, &m->query_port, &client);
    m->has_response_address = m->has_response_port = 1;
    fill_address(&m->response_address, &m->response_port, &server);
    m->has_query_time_sec = m->has_query_time_nsec = 1;
    m->query_time_sec = 1700000000 + p->accepted;
    m->query_time_nsec = 123456789;
    m->has_response_time_sec = m->has_response_time_nsec = 1;
    m->response_time_sec = 1700000000 + p->accepted;
    m->response_time_nsec = 123956789;
    m->has_response_message = 1;
    m->response_message = (ProtobufCBinaryData){sizeof dns, dns};
}

static bool emit_fstrm(struct producer *p)
{
    Dnstap__Dnstap d = DNSTAP__DNSTAP__INIT;
    Dnstap__Message m = DNSTAP__MESSAGE__INIT;
    fill(&d, &m, p);
    size_t len = dnstap__dnstap__get_packed_size(&d);
    uint8_t *packed = malloc(len);
    dnstap__dnstap__pack(&d, packed);
    if (fstrm_iothr_submit(p->iothr, p->queue, packed, len, fstrm_free_wrapper, NULL) ==
        fstrm_res_success)
        return true;
    free(packed);
    return false;
}

static double thread_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void *produce(void *arg)
{
    struct producer *p = arg;
    const long pause_ns = 1000000000L / RATE * CHUNK * (long)p->threads;
    unsigned chunks = TOTAL / CHUNK / p->threads;
    for (unsigned i = 0; i < chunks; i++) {
        double begin = thread_ns();
        for (int n = 0; n < CHUNK; n++) {
            bool accepted = p->emit(p);
            p->accepted += accepted;
            p->dropped += !accepted;
        }
        p->ns += thread_ns() - begin;
        nanosleep(&(struct timespec){0, pause_ns}, NULL);
    }
    return NULL;
}

struct result {
    double ns; /* per message */
    uint64_t accepted, dropped;
};

static struct result run_producers(struct producer *producers, unsigned threads)
{
    struct result r = {0};
    for (unsigned i = 0; i < threads; i++) {
        producers[i].threads = threads;
        pthread_create(&producers[i].thread, NULL, produce, &producers[i]);
    }
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(producers[i].thread, NULL);
        r.accepted += producers[i].accepted;
        r.dropped += producers[i].dropped;
        r.ns += producers[i].ns;
    }
    r.ns /= (double)(r.accepted + r.dropped);
    return r;
}

/* A process that reads and throws away, connection after connection. */
static pid_t drain_start(const char *path)
{
    struct collector c = {0};
    if (!collector_listen(&c, path))
        return -1;
    pid_t pid = fork();
    if (pid != 0) {
        collector_unlisten(&c);
        return pid;
    }
    static uint8_t data[1 << 18];
    while (collector_greet(&c, -1)) {
        ssize_t n;
        bool stop = false;
        while (!stop && (n = read(c.fd, data, sizeof data)) > 0)
            stop = n >= 12 && memcmp(data + n - 12, "\0\0\0\0\0\0\0\4\0\0\0\3", 12) == 0;
        collector_finish(&c);
    }
    _exit(0);
}

static struct tap *open_tap(const char *path, size_t ring_bytes)
{
    char url[160], error[TAP_ERROR_SIZE];
    snprintf(url, sizeof url, "unix:%s", path);
    const struct tap_options options = {
        .identity = tap_string("ns1.example.net"),
        .version = tap_string("server 1.2.3"),
        .ring_bytes = ring_bytes,
    };
    struct tap *tap = tap_open(url, &options, error, sizeof error);
    if (!tap) {
        fprintf(stderr, "%s\n", error);
        exit(1);
    }
    return tap;
}

static struct result run_tap(const char *path, unsigned threads)
{
    struct tap *tap = open_tap(path, 0);
    while (!tap_status(tap).connected)
        test_sleep_ms(1);
    struct producer producers[MAX_THREADS] = {0};
    for (unsigned i = 0; i < threads; i++)
        producers[i] = (struct producer){.emit = emit_tap, .lane = tap_lane(tap)};
    struct result r = run_producers(producers, threads);
    struct tap_counters total;
    tap_close(&tap, 10000, &total);
    if (total.written != r.accepted)
        fprintf(stderr, "tap: %" PRIu64 " accepted, %" PRIu64 " written\n", r.accepted,
                total.written);
    return r;
}

static struct result run_fstrm(const char *path, unsigned threads)
{
    struct fstrm_unix_writer_options *where = fstrm_unix_writer_options_init();
    fstrm_unix_writer_options_set_socket_path(where, path);
    struct fstrm_writer_options *writer_options = fstrm_writer_options_init();
    fstrm_writer_options_add_content_type(writer_options, "protobuf:dnstap.Dnstap", 22);
    struct fstrm_writer *writer = fstrm_unix_writer_init(where, writer_options);
    struct fstrm_iothr_options *options = fstrm_iothr_options_init();
    fstrm_iothr_options_set_num_input_queues(options, threads);
    fstrm_iothr_options_set_queue_model(options, FSTRM_IOTHR_QUEUE_MODEL_SPSC);
    fstrm_iothr_options_set_input_queue_size(options, FSTRM_QUEUE);
    struct fstrm_iothr *iothr = fstrm_iothr_init(options, &writer);
    fstrm_iothr_options_destroy(&options);
    fstrm_writer_options_destroy(&writer_options);
    fstrm_unix_writer_options_destroy(&where);
    test_sleep_ms(50); /* it connects */
    struct producer producers[MAX_THREADS] = {0};
    for (unsigned i = 0; i < threads; i++)
        producers[i] = (struct producer){
            .emit = emit_fstrm, .iothr = iothr, .queue = fstrm_iothr_get_input_queue(iothr)};
    struct result r = run_producers(producers, threads);
    fstrm_iothr_destroy(&iothr);
    return r;
}

static int by_ns(const void *a, const void *b)
{
    double x = ((const struct result *)a)->ns, y = ((const struct result *)b)->ns;
    return (x > y) - (x < y);
}

static void print_result(unsigned threads, const char *name, struct result *runs)
{
    uint64_t accepted = 0, dropped = 0;
    for (int i = 0; i < RUNS; i++) {
        accepted += runs[i].accepted;
        dropped += runs[i].dropped;
    }
    qsort(runs, RUNS, sizeof *runs, by_ns);
    printf("%7u  %-32s %8.1f  %6.1f..%-6.1f %10" PRIu64 " %8" PRIu64, threads, name,
           runs[RUNS / 2].ns, runs[0].ns, runs[RUNS - 1].ns, accepted, dropped);
}

static void compare(const char *path, unsigned threads)
{
    struct result tap[RUNS], fstrm[RUNS];
    for (int i = 0; i < RUNS; i++) { /* in turns: what disturbs one disturbs the other */
        fstrm[i] = run_fstrm(path, threads);
        tap[i] = run_tap(path, threads);
    }
    print_result(threads, "protobuf-c + fstrm_iothr_submit", fstrm);
    printf("\n");
    print_result(threads, "tap_emit", tap);
    printf("   %.1f times cheaper\n", fstrm[RUNS / 2].ns / tap[RUNS / 2].ns);
    fflush(stdout);
}

/* A ring that nobody empties: what a collector that is down costs the server. */
static void measure_full_ring(void)
{
    struct tap *tap = open_tap(test_path("nobody.sock"), 4096);
    struct producer p = {.lane = tap_lane(tap), .emit = emit_tap};
    while (emit_tap(&p))
        ;
    double runs[RUNS];
    for (int i = 0; i < RUNS; i++) {
        double begin = thread_ns();
        for (int n = 0; n < TOTAL; n++)
            emit_tap(&p);
        runs[i] = (thread_ns() - begin) / TOTAL;
    }
    double best = runs[0];
    for (int i = 1; i < RUNS; i++)
        best = runs[i] < best ? runs[i] : best;
    printf("\ntap_emit on a full ring (dropped and counted): %.1f ns\n", best);
    tap_close(&tap, 0, NULL);
}

int main(void)
{
    for (int i = 0; i < DNS_SIZE; i++)
        dns[i] = (uint8_t)(i * 37);
    client = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(54321)};
    client.sin_addr.s_addr = htonl(0xc0000201);
    server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(53)};
    server.sin_addr.s_addr = htonl(0xc6336401);

    char path[128];
    snprintf(path, sizeof path, "%s", test_path("drain.sock"));
    pid_t drain = drain_start(path);
    if (drain < 0)
        return 1;
    printf(
        "CPU time of the emitting thread per CLIENT_RESPONSE of %d octets; %d runs of %d messages, "
        "%d/s paced\n\n",
        DNS_SIZE, RUNS, TOTAL, RATE);
    printf("threads  %-32s %8s  %14s %10s %8s\n", "", "ns, med.", "min..max", "accepted",
           "dropped");
    for (unsigned threads = 1; threads <= MAX_THREADS; threads *= 2)
        compare(path, threads);
    measure_full_ring();
    kill(drain, SIGTERM);
    waitpid(drain, NULL, 0);
    test_dir_remove();
    return 0;
}
