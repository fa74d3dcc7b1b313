/* A small forwarding resolver that carries the tap. */
#include "worker.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS_MAX = 64, DRAIN_MS = 2000 };

static const char help[] =
    "tapped-forwarder --listen ADDRESS@PORT --upstream ADDRESS@PORT [OPTION ...]\n"
    "\n"
    "A forwarding resolver with a cache, over UDP and TCP, that tells a tap what it does:\n"
    "CLIENT_QUERY, CLIENT_RESPONSE, FORWARDER_QUERY, FORWARDER_RESPONSE.\n"
    "\n"
    "  --threads N       threads, each with sockets, cache and lane of its own (2)\n"
    "  --cache OCTETS    per thread (16777216)\n"
    "  --tap URL         where dnstap goes: PATH, unix:PATH, tcp:HOST:PORT (nowhere)\n"
    "  --ring OCTETS     of the tap, per thread (4194304)\n"
    "  --identity NAME   goes with every message (tapped-forwarder)\n"
    "  --events          also tell when entries leave the cache; not every receiver knows events\n"
    "  --help            this\n"
    "\n"
    "SIGINT or SIGTERM ends it; it then prints what it did.\n";

struct settings {
    struct worker_config worker;
    unsigned threads;
    const char *tap_url;
    struct tap_options tap;
};

static int mistake(const char *what, const char *value)
{
    fprintf(stderr, "tapped-forwarder: %s: %s\n", what, value);
    return 2;
}

/* ADDRESS@PORT, numeric. */
static bool parse_address(const char *text, struct address *address)
{
    char host[64];
    const char *at = strchr(text, '@');
    if (!at || (size_t)(at - text) >= sizeof host)
        return false;
    memcpy(host, text, (size_t)(at - text));
    host[at - text] = '\0';
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV}, *found;
    if (getaddrinfo(host, at + 1, &hints, &found) != 0)
        return false;
    memcpy(&address->storage, found->ai_addr, found->ai_addrlen);
    address->len = found->ai_addrlen;
    freeaddrinfo(found);
    return true;
}

static bool parse_number(const char *text, unsigned long min, unsigned long max,
                         unsigned long *number)
{
    char *end;
    errno = 0;
    *number = strtoul(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && *number >= min && *number <= max;
}

static bool set_option(struct settings *s, int option, const char *value)
{
    unsigned long number = 0;
    switch (option) {
    case 'l':
        return parse_address(value, &s->worker.listen);
    case 'u':
        return parse_address(value, &s->worker.upstream);
    case 't':
        if (!parse_number(value, 1, THREADS_MAX, &number))
            return false;
        s->threads = (unsigned)number;
        return true;
    case 'c':
        if (!parse_number(value, 1, 1ul << 40, &number))
            return false;
        s->worker.cache_octets = number;
        return true;
    case 'r':
        if (!parse_number(value, TAP_RING_MIN, TAP_RING_MAX, &number))
            return false;
        s->tap.ring_bytes = number;
        return true;
    case 'T':
        s->tap_url = value;
        return true;
    case 'i':
        s->tap.identity = tap_string(value);
        return true;
    default:
        s->worker.events = true;
        return true;
    }
}

static const struct option options[] = {
    {"listen", required_argument, NULL, 'l'},   {"upstream", required_argument, NULL, 'u'},
    {"threads", required_argument, NULL, 't'},  {"cache", required_argument, NULL, 'c'},
    {"tap", required_argument, NULL, 'T'},      {"ring", required_argument, NULL, 'r'},
    {"identity", required_argument, NULL, 'i'}, {"events", no_argument, NULL, 'e'},
    {"help", no_argument, NULL, 'h'},           {NULL, 0, NULL, 0},
};

/* 0: go on; 1: help was asked for; 2: a mistake, and said so. */
static int parse(int argc, char **argv, struct settings *s)
{
    int option, index = 0;
    while ((option = getopt_long(argc, argv, "", options, &index)) != -1) {
        if (option == '?')
            return 2;
        if (option == 'h') {
            fputs(help, stdout);
            return 1;
        }
        if (!set_option(s, option, optarg))
            return mistake(options[index].name, optarg);
    }
    if (optind < argc)
        return mistake("what is this", argv[optind]);
    if (s->worker.listen.len == 0 || s->worker.upstream.len == 0)
        return mistake("needed", "--listen ADDRESS@PORT and --upstream ADDRESS@PORT");
    return 0;
}

static void log_tap(void *arg, const char *line)
{
    (void)arg;
    fprintf(stderr, "tapped-forwarder: %s\n", line);
}

static void *run(void *arg)
{
    worker_run(arg);
    return NULL;
}

static void print_counts(struct worker *const *workers, unsigned count)
{
    struct worker_counts sum = {0};
    for (unsigned i = 0; i < count; i++) {
        struct worker_counts c = worker_counts(workers[i]);
        sum.queries += c.queries;
        sum.replies += c.replies;
        sum.hits += c.hits;
        sum.forwarded += c.forwarded;
        sum.timeouts += c.timeouts;
    }
    printf("queries %" PRIu64 " replies %" PRIu64 " hits %" PRIu64 " forwarded %" PRIu64
           " timeouts %" PRIu64 "\n",
           sum.queries, sum.replies, sum.hits, sum.forwarded, sum.timeouts);
}

/* Serves until a signal says stop. The signals are blocked in all threads. */
static int serve(const struct settings *s, const sigset_t *signals)
{
    struct worker *workers[THREADS_MAX];
    pthread_t threads[THREADS_MAX];
    unsigned count = 0;
    int result = 0, signal_number;
    for (; count < s->threads; count++) {
        workers[count] = worker_new(&s->worker);
        if (!workers[count] || pthread_create(&threads[count], NULL, run, workers[count]) != 0) {
            result = mistake("cannot serve", strerror(errno));
            worker_free(workers[count]);
            break;
        }
    }
    if (result == 0) {
        fprintf(stderr, "tapped-forwarder: ready\n");
        sigwait(signals, &signal_number);
    }
    for (unsigned i = 0; i < count; i++)
        worker_stop(workers[i]);
    for (unsigned i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    if (result == 0)
        print_counts(workers, count);
    for (unsigned i = 0; i < count; i++)
        worker_free(workers[i]);
    return result;
}

int main(int argc, char **argv)
{
    static struct settings s = {.threads = 2, .worker.cache_octets = 16 << 20};
    s.tap.identity = tap_string("tapped-forwarder");
    s.tap.version = tap_string("tapped-forwarder");
    s.tap.log = log_tap;
    int result = parse(argc, argv, &s);
    if (result != 0)
        return result == 1 ? 0 : result;
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    char error[TAP_ERROR_SIZE];
    if (s.tap_url && !(s.worker.tap = tap_open(s.tap_url, &s.tap, error, sizeof error)))
        return mistake("tap", error);
    bool tapped = s.worker.tap != NULL;
    result = serve(&s, &signals);
    struct tap_counters total;
    tap_close(&s.worker.tap, DRAIN_MS, &total);
    if (tapped)
        printf("tap accepted %" PRIu64 " dropped %" PRIu64 " written %" PRIu64 " failed %" PRIu64
               "\n",
               total.accepted, total.dropped, total.written, total.failed);
    return result;
}
