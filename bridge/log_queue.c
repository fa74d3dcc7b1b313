#include "log_queue.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "log.h"

struct entry {
    struct entry *next;
    enum log_kind kind;
    size_t len;
    char text[];
};

enum state { STATE_OFF, STATE_RUNS, STATE_STOPS, STATE_STUCK };

/* One per process, as standard error is. The lock is held to link and unlink entries alone. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* something was queued, or everything was written */
    pthread_t thread;
    struct entry *first, **last;
    size_t octets;  /* of lines, those being written among them */
    unsigned texts; /* likewise */
    bool writing;
    enum state state;
    uint64_t dropped;
    size_t (*note)(char *out, size_t room, uint64_t dropped);
} queue = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

void log_write_out(const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = write(STDERR_FILENO, text, len);
        if (n < 0 && errno == EAGAIN) { /* somebody else set our terminal or pipe so */
            struct pollfd wait = {.fd = STDERR_FILENO, .events = POLLOUT};
            poll(&wait, 1, -1);
        } else if (n < 0 && errno != EINTR) {
            return; /* nowhere left to say it */
        } else if (n > 0) {
            text += n;
            len -= (size_t)n;
        }
    }
}

static void say_what_was_dropped(uint64_t *said)
{
    char line[256];
    pthread_mutex_lock(&queue.lock);
    uint64_t dropped = queue.dropped;
    pthread_mutex_unlock(&queue.lock);
    if (dropped == *said)
        return;
    log_write_out(line, queue.note(line, sizeof line, dropped - *said));
    *said = dropped;
}

static void *write_entries(void *arg)
{
    uint64_t said = 0;
    (void)arg;
    pthread_mutex_lock(&queue.lock);
    for (;;) {
        while (!queue.first && queue.state == STATE_RUNS)
            pthread_cond_wait(&queue.changed, &queue.lock);
        struct entry *entry = queue.first;
        if (!entry)
            break;
        queue.first = entry->next;
        if (!queue.first)
            queue.last = &queue.first;
        queue.writing = true;
        pthread_mutex_unlock(&queue.lock);
        log_write_out(entry->text, entry->len);
        say_what_was_dropped(&said);
        pthread_mutex_lock(&queue.lock);
        queue.writing = false;
        queue.octets -= entry->kind == LOG_KIND_LINE ? entry->len : 0;
        queue.texts -= entry->kind == LOG_KIND_TEXT;
        if (entry->kind == LOG_KIND_TEXT)
            pthread_cond_broadcast(&queue.changed);
        free(entry);
    }
    queue.state = STATE_OFF;
    pthread_cond_broadcast(&queue.changed);
    pthread_mutex_unlock(&queue.lock);
    return NULL;
}

bool log_queue_start(size_t (*note)(char *out, size_t room, uint64_t dropped))
{
    pthread_mutex_lock(&queue.lock);
    queue.note = note;
    queue.last = &queue.first;
    bool ok = queue.state == STATE_OFF && pthread_create(&queue.thread, NULL, write_entries, NULL) == 0;
    if (ok)
        queue.state = STATE_RUNS;
    pthread_mutex_unlock(&queue.lock);
    return ok;
}

/* Under the lock. */
static bool has_room(enum log_kind kind, size_t len)
{
    if (kind == LOG_KIND_LINE)
        return queue.octets + len <= LOG_QUEUE_OCTETS;
    return kind == LOG_KIND_TEXT ? queue.texts < LOG_TEXTS : !queue.first && !queue.writing;
}

bool log_queue_put(enum log_kind kind, const char *text, size_t len)
{
    struct entry *entry = malloc(sizeof *entry + len);
    if (entry) {
        *entry = (struct entry){.kind = kind, .len = len};
        memcpy(entry->text, text, len);
    }
    pthread_mutex_lock(&queue.lock);
    bool runs = queue.state != STATE_OFF;
    bool taken = entry && queue.state == STATE_RUNS && has_room(kind, len);
    if (taken) {
        *queue.last = entry;
        queue.last = &entry->next;
        queue.octets += kind == LOG_KIND_LINE ? len : 0;
        queue.texts += kind == LOG_KIND_TEXT;
        pthread_cond_signal(&queue.changed);
    } else if (runs && kind != LOG_KIND_DRAW) {
        queue.dropped++;
    }
    pthread_mutex_unlock(&queue.lock);
    if (!taken)
        free(entry);
    return runs;
}

static struct timespec time_after(int ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    return until;
}

void log_queue_wait_for_text(int patience_ms)
{
    const struct timespec until = time_after(patience_ms);
    int late = 0;
    pthread_mutex_lock(&queue.lock);
    while (queue.state == STATE_RUNS && queue.texts >= LOG_TEXTS && !late)
        late = pthread_cond_clockwait(&queue.changed, &queue.lock, CLOCK_MONOTONIC, &until);
    pthread_mutex_unlock(&queue.lock);
}

bool log_queue_stop(int patience_ms)
{
    const struct timespec until = time_after(patience_ms);
    pthread_mutex_lock(&queue.lock);
    if (queue.state != STATE_RUNS) {
        bool off = queue.state == STATE_OFF;
        pthread_mutex_unlock(&queue.lock);
        return off;
    }
    queue.state = STATE_STOPS;
    pthread_cond_broadcast(&queue.changed);
    int late = 0;
    while (queue.state == STATE_STOPS && !late)
        late = pthread_cond_clockwait(&queue.changed, &queue.lock, CLOCK_MONOTONIC, &until);
    bool written = queue.state == STATE_OFF;
    if (!written)
        queue.state = STATE_STUCK; /* its thread stays in write() until the process ends */
    pthread_mutex_unlock(&queue.lock);
    if (written)
        pthread_join(queue.thread, NULL);
    return written;
}

uint64_t log_queue_dropped(void)
{
    pthread_mutex_lock(&queue.lock);
    uint64_t dropped = queue.dropped;
    pthread_mutex_unlock(&queue.lock);
    return dropped;
}
