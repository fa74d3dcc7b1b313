/* dnstap-bridge: from the command line to a running hop, and back out in good order. */
#include <fcntl.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cli.h"
#include "clock.h"
#include "complete.h"
#include "hop.h"
#include "json.h"
#include "ledger_file.h"
#include "live.h"
#include "log.h"
#include "receipt/command.h"
#include "service.h"
#include "status.h"

enum { EXIT_WHOLE = 0, EXIT_INCOMPLETE = 1, EXIT_NO_START = 2 };

enum {
    STUCK_MS = 5000,   /* after all waiting was ended: threads that have not ended by then are left behind */
    CLOSE_MS = 10000,  /* for libraries to close what they have open */
    LOG_LAST_MS = 3000, /* for standard error to take the last lines */
    SECURE_HEAP = 256 * 1024, /* octets for private keys */
    SECURE_LEAST = 32,
};

/* The signals of this program are taken by one thread, which turns them into these and rings a bell
 * that the main thread sleeps beside. */
struct signals {
    sigset_t set;
    struct bell *bell;
    _Atomic unsigned stops;
    _Atomic unsigned ledgers;
    _Atomic unsigned reopens;
    _Atomic unsigned turns; /* of the main thread */
    _Atomic bool ending;    /* the thread is to end: it is sent a signal then */
};

/* A second signal always ends the process: also one whose main thread waits for what never comes. */
static void end_if_stuck(const struct signals *signals, unsigned before)
{
    static const struct timespec moment = {.tv_nsec = 100000000};
    for (int waited = 0; waited < STUCK_MS; waited += 100) {
        nanosleep(&moment, NULL);
        if (atomic_load(&signals->turns) != before || atomic_load(&signals->ending))
            return;
    }
    log_line(LOG_ERROR, "the main thread does not turn: the process ends now");
    log_stop(LOG_LAST_MS);
    _exit(EXIT_INCOMPLETE);
}

static void *take_signals(void *arg)
{
    struct signals *signals = arg;
    int number;
    while (sigwait(&signals->set, &number) == 0 && !atomic_load(&signals->ending)) {
        unsigned before = atomic_load(&signals->turns);
        if (number == SIGUSR1)
            atomic_fetch_add(&signals->ledgers, 1);
        else if (number == SIGHUP)
            atomic_fetch_add(&signals->reopens, 1);
        else
            atomic_fetch_add(&signals->stops, 1);
        bell_ring(signals->bell);
        if (number != SIGUSR1 && number != SIGHUP && atomic_load(&signals->stops) > 1)
            end_if_stuck(signals, before);
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

/* 0, or the error's number. */
static int signals_start(struct signals *signals, struct bell *bell, pthread_t *thread)
{
    *signals = (struct signals){.bell = bell, .set = our_signals()};
    return pthread_create(thread, NULL, take_signals, signals);
}

static void say_mistake(const struct error *error)
{
    struct buffer text = {0};
    if (log_is_json()) {
        log_line(LOG_ERROR, "%s", error->text);
        return;
    }
    buffer_printf(&text, "dnstap-bridge: %s\n", error->text);
    log_text(&text);
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
    bool stuck; /* and some threads did not end even then */
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
    enum cli_action action = cli_parse_again(&next, run->argc, run->argv, &error);
    if (action == CLI_RUN && hop_reload(run->hop, &next, &error)) {
        change_settings(run->config, &next);
        log_line(LOG_INFO, "the configuration was read again");
    } else {
        log_line(LOG_ERROR, "the configuration was read again, but not taken over: %s; everything goes on as it was",
                 error.text);
    }
    config_free(&next);
}

/* The ledger at this moment, to standard error: from a copy, by the log's thread. */
static void show_ledger(struct hop *hop)
{
    struct ledger_copy ledger;
    struct buffer text = {0};
    hop_copy(hop, &ledger);
    if (log_is_json()) {
        log_json_open(&text, LOG_INFO);
        json_text(&text, "msg", "ledger");
        json_member(&text, "ledger");
        ledger_write_json(&ledger, &text);
        json_close(&text, '}');
        buffer_put_char(&text, '\n');
    } else {
        ledger_write_text(&ledger, &text);
    }
    ledger_copy_free(&ledger);
    log_text(&text);
}

/* Who asks whether it does is answered. */
static void main_turns(struct run *run)
{
    atomic_fetch_add(&run->signals->turns, 1);
    status_heartbeat(run->status);
}

static void begin_to_stop(struct run *run)
{
    run->deadline = clock_ms(CLOCK_MONOTONIC) + (int64_t)run->config->drain_ms;
    service_stopping();
    status_set_ready(run->status, false);
    hop_stop_sources(run->hop);
}

static void heed_signals(struct run *run)
{
    unsigned ledgers = atomic_load(&run->signals->ledgers);
    if (ledgers != run->ledgers_seen)
        show_ledger(run->hop);
    run->ledgers_seen = ledgers;

    unsigned reopens = atomic_load(&run->signals->reopens);
    if (reopens != run->reopens_seen && run->deadline < 0) /* nothing is opened any more in a run that ends */
        read_again(run);
    run->reopens_seen = reopens;

    unsigned stops = atomic_load(&run->signals->stops);
    if (stops == run->stops_seen)
        return;
    if (run->stops_seen == 0) {
        log_line(LOG_INFO, "stopping: the sinks have %llu ms to take what is left (a second signal ends it now)",
                 (unsigned long long)run->config->drain_ms);
        if (run->deadline < 0)
            begin_to_stop(run);
    }
    if (stops > 1)
        run->deadline = clock_ms(CLOCK_MONOTONIC);
    run->stops_seen = stops;
}

/* Ms until the run takes its next step by itself, -1: it waits for others. */
static int time_left(const struct run *run)
{
    if (run->deadline < 0)
        return -1;
    int64_t left = run->deadline - clock_ms(CLOCK_MONOTONIC);
    return left > 0 ? (int)left : 0;
}

/* Sleeps until something happens, or the drain's time is over. */
static void wait_for_change(struct run *run, uint32_t seen, int progress)
{
    int timeout = clock_sooner(progress, clock_sooner(service_alive(), live_draw(&run->live, run->hop)));
    timeout = clock_sooner(timeout, time_left(run));
    if (timeout != 0)
        bell_wait(run->bell, seen, timeout);
    if (time_left(run) != 0)
        return;
    run->stuck = run->gave_up;
    run->gave_up = true;
    hop_give_up(run->hop);
    run->deadline = clock_ms(CLOCK_MONOTONIC) + STUCK_MS;
}

static void run_to_the_end(struct run *run)
{
    while (!run->stuck) {
        uint32_t seen = bell_listen(run->bell);
        main_turns(run);
        heed_signals(run);
        if (run->deadline < 0 && hop_sinks_gone(run->hop)) {
            log_line(LOG_WARN, "stopping: nobody reads any more what the sinks write");
            begin_to_stop(run);
        }
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
    log_line(LOG_ERROR, "some threads do not end: the process ends without them");
}

static bool write_ledger(struct hop *hop, const char *path)
{
    struct ledger_copy ledger;
    struct buffer json = {0};
    struct error error;
    hop_copy(hop, &ledger);
    ledger_write_json(&ledger, &json);
    buffer_put_char(&json, '\n');
    ledger_copy_free(&ledger);
    bool ok = ledger_file_write(path, &json, &error);
    if (!ok)
        log_line(LOG_ERROR, "%s", error.text);
    buffer_free(&json);
    return ok;
}

/* Libraries close on threads of their own: what does not close in time, or until a further signal, is left behind. False: some
 * did not. */
static bool close_hop(struct run *run)
{
    int64_t end = clock_ms(CLOCK_MONOTONIC) + CLOSE_MS;
    unsigned stops = atomic_load(&run->signals->stops);
    hop_close(run->hop);
    for (;;) {
        uint32_t seen = bell_listen(run->bell);
        main_turns(run);
        int64_t left = end - clock_ms(CLOCK_MONOTONIC);
        if (hop_is_closed(run->hop))
            return true;
        if (left <= 0 || (atomic_load(&run->signals->stops) != stops && stops > 0))
            break;
        bell_wait(run->bell, seen, clock_sooner((int)left, service_alive()));
    }
    hop_name_closing(run->hop);
    return false;
}

static struct hop *start_hop(struct run *run, struct error *error)
{
    struct config *config = run->config;
    live_start(&run->live, config); /* looks at the sinks, which the hop takes over */
    struct hop *hop = hop_open(config, run->bell, error);
    if (hop && config->status && !(run->status = status_open(config, hop, run->bell, error))) {
        hop_free(hop);
        return NULL;
    }
    if (hop && hop_start(hop, error))
        return hop;
    status_close(run->status);
    hop_free(hop);
    return NULL;
}

static int run_hop(struct run run)
{
    struct config *config = run.config;
    struct error error = {{0}};
    run.hop = start_hop(&run, &error);
    if (!run.hop) {
        live_end(&run.live);
        say_mistake(&error);
        return EXIT_NO_START;
    }
    status_set_ready(run.status, true);
    log_line(LOG_INFO, "running: %u sources, %u sinks", config->source_count, config->sink_count);
    service_ready();
    run_to_the_end(&run);
    live_end(&run.live);
    log_wait_for_text(LOG_LAST_MS); /* the last ledger is not for want of a place beside earlier ones */
    show_ledger(run.hop);
    bool told = !config->ledger_file || write_ledger(run.hop, config->ledger_file);
    int code = hop_is_whole(run.hop) && told ? EXIT_WHOLE : EXIT_INCOMPLETE;
    if (run.stuck || !close_hop(&run)) {
        log_stop(LOG_LAST_MS);
        _exit(EXIT_INCOMPLETE); /* with threads in the middle of it, nothing can be freed */
    }
    status_close(run.status);
    hop_free(run.hop);
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

/* Messages tell of people, and keys are secret: neither belongs into a core dump. */
static void forbid_core_dumps(void)
{
    struct rlimit none = {0};
    setrlimit(RLIMIT_CORE, &none);
    CRYPTO_secure_malloc_init(SECURE_HEAP, SECURE_LEAST); /* not in dumps, nor in swap where the limit allows */
}

static int run(struct config *config, int argc, char **argv)
{
    struct bell bell = {0};
    struct signals signals;
    pthread_t thread;
    log_init(config->hop);
    log_as(config->log);
    raise_descriptor_limit();
    int failed = signals_start(&signals, &bell, &thread);
    if (failed) {
        struct error error;
        error_set(&error, "cannot start a thread: %s", strerror(failed));
        say_mistake(&error);
        return EXIT_NO_START;
    }
    log_start();
    int status = run_hop((struct run){
        .config = config, .argc = argc, .argv = argv, .signals = &signals, .bell = &bell, .deadline = -1});
    atomic_store(&signals.ending, true);
    pthread_kill(thread, SIGUSR1);
    pthread_join(thread, NULL);
    if (!log_stop(LOG_LAST_MS))
        _exit(status); /* its thread is in write() for good */
    return status;
}

/* A standard stream that is closed would be the next file or socket that is opened, and get what is meant for people. */
static bool standard_streams_are_open(void)
{
    bool open_before[3];
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        open_before[fd] = fcntl(fd, F_GETFD) >= 0;
        if (!open_before[fd] && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0)
            return false;
    }
    return true;
}

/* A mistake may come before the configuration is understood: was JSON asked for all the same? */
static enum log_format log_format_of(const struct config *config, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--log=json") == 0 || (strcmp(argv[i], "--log") == 0 && i + 1 < argc && strcmp(argv[i + 1], "json") == 0))
            return LOG_JSON;
    }
    return config->log;
}

/* Signals, streams and limits: before any thread, so that all inherit it; libraries start theirs when a configuration is
 * judged. */
static bool prepare_process(void)
{
    sigset_t set = our_signals();
    bool ok = standard_streams_are_open();
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a write beyond RLIMIT_FSIZE is an error of that file alone */
    forbid_core_dumps();
    return ok;
}

int main(int argc, char **argv)
{
    struct config config;
    struct error error = {{0}};
    int status = EXIT_WHOLE;
    if (!prepare_process())
        return EXIT_NO_START;
    if (argc > 1 && strcmp(argv[1], "receipts") == 0)
        return receipt_command(argc - 1, argv + 1);
    if (argc == 4 && strcmp(argv[1], "--complete") == 0) { /* a shell asks */
        complete(argv[2], argv[3], stdout);
        return EXIT_WHOLE;
    }
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
        error_set(&error, "there is no adapter, format or step '%s' to help with; see --help", cli_topic(argc, argv));
        /* fall through */
    case CLI_MISTAKE:
        log_init(config.hop);
        log_as(log_format_of(&config, argc, argv));
        say_mistake(&error);
        status = EXIT_NO_START;
        break;
    case CLI_VERSION:
        printf("dnstap-bridge %s\n", VERSION);
        break;
    }
    config_free(&config);
    return status;
}
