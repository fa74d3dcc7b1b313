/* dnstap-bridge: from the command line to a running hop, and back out in good order. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cli.h"
#include "clock.h"
#include "complete.h"
#include "hop.h"
#include "live.h"
#include "log.h"
#include "receipt/command.h"
#include "service.h"
#include "status.h"

enum { EXIT_WHOLE = 0, EXIT_INCOMPLETE = 1, EXIT_NO_START = 2 };

/* The signals of this program are taken by one thread, which turns them into these and rings a bell
 * that the main thread sleeps beside. */
struct signals {
    sigset_t set;
    struct bell *bell;
    _Atomic unsigned stops;
    _Atomic unsigned ledgers;
    _Atomic unsigned reopens;
};

/* Ends by being cancelled in sigwait. */
static void *take_signals(void *arg)
{
    struct signals *signals = arg;
    int number;
    while (sigwait(&signals->set, &number) == 0) {
        if (number == SIGUSR1)
            atomic_fetch_add(&signals->ledgers, 1);
        else if (number == SIGHUP)
            atomic_fetch_add(&signals->reopens, 1);
        else
            atomic_fetch_add(&signals->stops, 1);
        bell_ring(signals->bell);
    }
    return NULL;
}

static sigset_t our_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR1);
    return set;
}

static bool signals_start(struct signals *signals, struct bell *bell, pthread_t *thread)
{
    *signals = (struct signals){.bell = bell, .set = our_signals()};
    return pthread_create(thread, NULL, take_signals, signals) == 0;
}

/* Where a run stands on its way out. */
struct run {
    struct config *config;
    int argc; /* to read the configuration again */
    char **argv;
    struct hop *hop;
    struct signals *signals;
    struct bell *bell;
    struct status *status; /* NULL: not asked for */
    unsigned stops_seen;
    unsigned ledgers_seen;
    unsigned reopens_seen;
    struct live live;
    int64_t deadline; /* of the drain, ms; -1: none, for nobody asked to stop */
    bool sinks_closed;
    bool gave_up;
};

/* The hop's own settings: some can be changed under way. */
static void change_settings(struct config *config, struct config *next)
{
    if (strcmp(config->hop, next->hop) != 0 || !option_same_text(config->status, next->status) || config->log != next->log)
        log_line(LOG_WARN, "hop, status and log are not changed under way: that takes a restart");
    config->drain_ms = next->drain_ms;
    free(config->ledger_file);
    config->ledger_file = next->ledger_file;
    next->ledger_file = NULL;
}

/* SIGHUP: sinks reopen what they write to, and what is new in the configuration is done. */
static void read_again(struct run *run)
{
    struct config next;
    struct error error = {{0}};
    hop_reopen(run->hop);
    enum cli_action action = cli_parse(&next, run->argc, run->argv, &error);
    if (action == CLI_RUN && hop_reload(run->hop, &next, &error)) {
        change_settings(run->config, &next);
        log_line(LOG_INFO, "the configuration was read again");
    } else {
        log_line(LOG_ERROR, "the configuration was read again, but not taken over: %s; everything goes on as it was",
                 error.text);
    }
    config_free(&next);
}

static void heed_signals(struct run *run)
{
    unsigned ledgers = atomic_load(&run->signals->ledgers);
    if (ledgers != run->ledgers_seen) {
        live_clear(&run->live);
        hop_print_ledger(run->hop, stderr);
    }
    run->ledgers_seen = ledgers;

    unsigned reopens = atomic_load(&run->signals->reopens);
    if (reopens != run->reopens_seen && run->stops_seen == 0)
        read_again(run);
    run->reopens_seen = reopens;

    unsigned stops = atomic_load(&run->signals->stops);
    if (stops == run->stops_seen)
        return;
    if (run->stops_seen == 0) {
        log_line(LOG_INFO, "stopping: the sinks have %llu ms to take what is left (a second signal ends it now)",
                 (unsigned long long)run->config->drain_ms);
        run->deadline = clock_ms(CLOCK_MONOTONIC) + (int64_t)run->config->drain_ms;
        service_stopping();
        status_set_ready(run->status, false);
        hop_stop_sources(run->hop);
    }
    if (stops > 1)
        run->deadline = clock_ms(CLOCK_MONOTONIC);
    run->stops_seen = stops;
}

/* Sleeps until something happens, or the drain's time is over. */
static void wait_for_change(struct run *run, uint32_t seen, int progress)
{
    int timeout = clock_sooner(progress, clock_sooner(service_alive(), live_draw(&run->live, run->hop)));
    if (run->deadline >= 0 && !run->gave_up) {
        int64_t left = run->deadline - clock_ms(CLOCK_MONOTONIC);
        timeout = clock_sooner(timeout, left > 0 ? (int)left : 0);
    }
    if (timeout != 0)
        bell_wait(run->bell, seen, timeout);
    if (run->deadline >= 0 && !run->gave_up && clock_ms(CLOCK_MONOTONIC) >= run->deadline) {
        run->gave_up = true;
        hop_give_up(run->hop);
    }
}

static void run_to_the_end(struct run *run)
{
    for (;;) {
        uint32_t seen = bell_listen(run->bell);
        heed_signals(run);
        if (!run->sinks_closed && hop_sources_ended(run->hop)) {
            run->sinks_closed = true;
            status_set_ready(run->status, false);
            hop_close_sinks(run->hop);
        }
        int progress = hop_progress(run->hop);
        if (run->sinks_closed && hop_sinks_ended(run->hop))
            return;
        wait_for_change(run, seen, progress);
    }
}

/* The file appears whole or not at all. */
static bool write_ledger(struct hop *hop, const char *path)
{
    struct buffer json = {0};
    char part[4096];
    snprintf(part, sizeof part, "%s.part", path);
    hop_json_ledger(hop, &json);
    FILE *file = fopen(part, "w");
    bool ok = file && !json.failed && fwrite(json.data, 1, json.len, file) == json.len;
    if (file)
        ok = fclose(file) == 0 && ok;
    ok = ok && rename(part, path) == 0;
    if (!ok)
        log_line(LOG_ERROR, "cannot write the ledger to %s: %s", path, strerror(errno));
    buffer_free(&json);
    return ok;
}

static int run_hop(struct run run)
{
    struct config *config = run.config;
    struct error error = {{0}};
    struct live live;
    live_start(&live, config); /* looks at the sinks, which the hop takes over */
    struct hop *hop = hop_open(config, run.bell, &error);
    struct status *status = NULL;
    if (hop && config->status)
        status = status_open(config->status, config->hop, hop, &error);
    if (!hop || (config->status && !status) || !hop_start(hop, &error)) {
        fprintf(stderr, "dnstap-bridge: %s\n", error.text);
        status_close(status);
        hop_free(hop);
        return EXIT_NO_START;
    }
    status_set_ready(status, true);
    log_line(LOG_INFO, "running: %u sources, %u sinks", config->source_count, config->sink_count);
    service_ready();
    run.hop = hop;
    run.status = status;
    run.live = live;
    run_to_the_end(&run);
    live_end(&run.live);
    hop_print_ledger(hop, stderr);
    bool told = !config->ledger_file || write_ledger(hop, config->ledger_file);
    int code = hop_is_whole(hop) && told ? EXIT_WHOLE : EXIT_INCOMPLETE;
    status_close(status);
    hop_free(hop);
    return code;
}

/* Each sender is a descriptor: the usual soft limit of 1,024 is there for select(), which we do not use. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int run(struct config *config, int argc, char **argv)
{
    struct bell bell = {0};
    struct signals signals;
    pthread_t thread;
    log_init(config->hop);
    log_as(config->log);
    raise_descriptor_limit();
    if (!signals_start(&signals, &bell, &thread)) {
        fprintf(stderr, "dnstap-bridge: cannot start a thread: %s\n", strerror(errno));
        return EXIT_NO_START;
    }
    int status = run_hop((struct run){
        .config = config, .argc = argc, .argv = argv, .signals = &signals, .bell = &bell, .deadline = -1});
    pthread_cancel(thread);
    pthread_join(thread, NULL);
    return status;
}

int main(int argc, char **argv)
{
    struct config config;
    struct error error = {{0}};
    int status = EXIT_WHOLE;
    if (argc > 1 && strcmp(argv[1], "receipts") == 0)
        return receipt_command(argc - 1, argv + 1);
    if (argc == 4 && strcmp(argv[1], "--complete") == 0) { /* a shell asks */
        complete(argv[2], argv[3], stdout);
        return EXIT_WHOLE;
    }
    /* before any thread, so that all inherit it: libraries start theirs when a configuration is judged */
    sigset_t set = our_signals();
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    switch (cli_parse(&config, argc, argv, &error)) {
    case CLI_RUN:
        status = run(&config, argc, argv);
        break;
    case CLI_CHECK:
        config_describe(&config, stdout);
        break;
    case CLI_HELP:
        if (cli_help(cli_topic(argc, argv), stdout))
            break;
        error_set(&error, "there is no adapter or format '%s' to help with; see --help", cli_topic(argc, argv));
        /* fall through */
    case CLI_MISTAKE:
        fprintf(stderr, "dnstap-bridge: %s\n", error.text);
        status = EXIT_NO_START;
        break;
    case CLI_VERSION:
        printf("dnstap-bridge %s\n", VERSION);
        break;
    }
    config_free(&config);
    return status;
}
