/* Reads Frame Streams from a file, a pipe or standard input. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "file.h"
#include "log.h"
#include "stream.h"
#include "unpack.h"
#include "waker.h"

enum { PACED_STEPS = 100 }; /* with rate=, messages go on in this many portions a second */

struct source {
    const struct place *place;
    struct waker waker;
    int fd;
    bool regular;
    int notify; /* with follow: an inotify descriptor, else -1 */
    uint32_t frame_max;
    uint64_t rate;
    struct timespec started;
    uint64_t sent; /* messages, for the pace */
};

/* One reading of the file from its beginning. */
struct reading {
    struct stream *stream;
    struct unpack *unpack;
    struct stream_budget budget;
    bool open;   /* between START and STOP */
    bool empty;  /* nothing was read */
    bool failed;
};

static bool open_notify(struct source *s, struct error *error)
{
    s->notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (s->notify < 0 || inotify_add_watch(s->notify, s->place->address, IN_MODIFY) < 0)
        return error_set(error, "cannot follow it: %s", strerror(errno));
    return true;
}

static bool open_input(struct source *s, struct error *error)
{
    bool standard = file_is_standard(s->place->address);
    s->fd = standard ? dup(STDIN_FILENO) : open(s->place->address, O_RDONLY | O_CLOEXEC);
    if (s->fd < 0)
        return error_set(error, "cannot read it: %s", strerror(errno));
    struct stat st;
    if (fstat(s->fd, &st) < 0)
        return error_set(error, "cannot look at it: %s", strerror(errno));
    if (S_ISDIR(st.st_mode))
        return error_set(error, "is a directory; name a file");
    s->regular = S_ISREG(st.st_mode);
    if (!s->regular && options_number(s->place->options, "loop") != 1)
        return error_set(error, "cannot be read more than once: it is no regular file");
    if (options_flag(s->place->options, "follow") && s->regular)
        return open_notify(s, error);
    return true;
}

static void file_source_free(struct source *s)
{
    if (s->fd >= 0)
        close(s->fd);
    if (s->notify >= 0)
        close(s->notify);
    waker_close(&s->waker);
    free(s);
}

static struct source *file_source_open(const struct place *place, struct error *error)
{
    struct source *s = calloc(1, sizeof *s);
    if (!s) {
        error_set(error, "out of memory");
        return NULL;
    }
    s->place = place;
    s->fd = s->notify = s->waker.fd = -1;
    s->frame_max = (uint32_t)options_number(place->options, "max-frame");
    s->rate = options_number(place->options, "rate");
    if (!waker_init(&s->waker)) {
        error_set(error, "no descriptor left: %s", strerror(errno));
    } else if (open_input(s, error)) {
        return s;
    }
    file_source_free(s);
    return NULL;
}

static bool handle_control(struct reading *r, struct error *error)
{
    size_t len;
    const uint8_t *payload = stream_control(r->stream, &len);
    enum control_type type;
    if (!control_read(payload, len, &type, error))
        return false;
    if (type == CONTROL_START && !r->open) {
        r->open = true;
        return true;
    }
    if (type == CONTROL_STOP && r->open) {
        r->open = false;
        return true;
    }
    return error_set(error, "%s control frame where a file has none", control_name(type));
}

/* With rate=: sleeps until what was sent is due. False: stopped. */
static bool keep_pace(struct source *s, struct intake *intake, struct reading *r, uint64_t before)
{
    if (s->rate == 0)
        return true;
    intake_flush(intake);
    s->sent += stream_frames(r->stream) - before;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    double gone = (double)(now.tv_sec - s->started.tv_sec) +
                  (double)(now.tv_nsec - s->started.tv_nsec) / 1e9;
    double early = (double)s->sent / (double)s->rate - gone;
    if (early < 0.001)
        return true;
    return waker_wait(&s->waker, -1, 0, (int)(early * 1000)) != WAIT_WOKEN;
}

/* Deals with `n` octets that were read. False: the reading is over. */
static bool take_in(struct source *s, struct intake *intake, struct reading *r, size_t n,
                    struct error *error)
{
    uint32_t portion = 0;
    if (s->rate)
        portion = s->rate > PACED_STEPS ? (uint32_t)(s->rate / PACED_STEPS) : 1;
    for (;; n = 0) {
        uint64_t before = stream_frames(r->stream);
        enum stream_result result = stream_received(r->stream, intake, n, portion, error);
        if (result == STREAM_BROKEN || (result == STREAM_CONTROL && !handle_control(r, error))) {
            r->failed = true;
            return false;
        }
        if (result != STREAM_CONTROL && !keep_pace(s, intake, r, before))
            return false;
        if (result == STREAM_MORE)
            return true;
    }
}

/* At the end of a followed file: sleeps until it grows. False: the reading is over. */
static bool wait_for_more(struct source *s, struct intake *intake)
{
    intake_flush(intake);
    if (s->notify < 0 || waker_wait(&s->waker, s->notify, POLLIN, -1) == WAIT_WOKEN)
        return false;
    char events[4096];
    while (read(s->notify, events, sizeof events) > 0)
        ; /* what changed does not matter: the next read tells */
    return true;
}

/* Reads once. 1: something came; 0: the reading is over; -1: try again. */
static int read_once(struct source *s, struct intake *intake, struct reading *r,
                     struct error *error)
{
    if (!s->regular) { /* what came through a pipe goes on before we wait for more */
        intake_flush(intake);
        if (waker_wait(&s->waker, s->fd, POLLIN, -1) == WAIT_WOKEN)
            return 0;
    } else if (waker_woken(&s->waker)) {
        return 0;
    }
    struct stream_window window;
    if (!stream_window(r->stream, intake, &window, error)) {
        r->failed = true;
        return 0;
    }
    error->text[0] = '\0';
    ssize_t n = unpack_read(r->unpack, window.at, window.len, error);
    if (n < 0) {
        r->failed = error->text[0] != '\0';
        return r->failed ? 0 : -1;
    }
    if (n == 0) {
        if (!take_in(s, intake, r, 0, error)) /* gives the window back */
            return 0;
        return wait_for_more(s, intake) ? -1 : 0;
    }
    r->empty = false;
    return take_in(s, intake, r, (size_t)n, error) ? 1 : 0;
}

/* What is wrong with how the file ended, if anything: once, and counted. */
static void judge_end(struct source *s, struct intake *intake, struct reading *r,
                      const struct error *error)
{
    const char *url = s->place->url;
    uint64_t frames = stream_frames(r->stream);
    if (r->failed) {
        log_line(LOG_ERROR, "source %s: %s; nothing behind message %llu is read", url, error->text,
                 (unsigned long long)frames);
        intake_refuse(intake, 1);
    } else if (waker_woken(&s->waker)) {
        return;
    } else if (stream_torn(r->stream) > 0) {
        log_line(LOG_ERROR, "source %s: truncated: the last %zu octets, after message %llu, are no whole frame",
                 url, stream_torn(r->stream), (unsigned long long)frames);
        intake_refuse(intake, 1);
    } else if (r->empty) {
        log_line(LOG_WARN, "source %s: is empty", url);
    } else if (r->open) {
        log_line(LOG_WARN, "source %s: ends without a STOP frame: its writer has not finished it",
                 url);
    }
}

/* Reads the file once to the end. False where it makes no sense to read it again. */
static bool read_through(struct source *s, struct intake *intake)
{
    struct reading r = {.budget = {.limit = SIZE_MAX}, .empty = true};
    struct error error = {{0}};
    r.stream = stream_new(s->frame_max, true, &r.budget);
    r.unpack = unpack_new(s->fd);
    if (!r.stream || !r.unpack) {
        log_line(LOG_ERROR, "source %s: out of memory", s->place->url);
        r.failed = true;
    } else {
        while (read_once(s, intake, &r, &error) != 0)
            ;
        judge_end(s, intake, &r, &error);
    }
    intake_flush(intake);
    stream_free(r.stream);
    unpack_free(r.unpack);
    return !r.failed;
}

static void file_source_run(struct source *s, struct intake *intake)
{
    uint64_t loops = options_number(s->place->options, "loop");
    clock_gettime(CLOCK_MONOTONIC, &s->started);
    if (s->regular)
        intake_stay_near(intake);
    for (uint64_t i = 0; loops == 0 || i < loops; i++) {
        if (i > 0 && lseek(s->fd, 0, SEEK_SET) < 0)
            return;
        if (!read_through(s, intake) || waker_woken(&s->waker))
            return;
    }
}

static void file_source_stop(struct source *s)
{
    waker_wake(&s->waker);
}

static uint64_t file_source_memory(const struct options *options)
{
    return UNPACK_MEMORY + BATCH_LIMIT + options_number(options, "max-frame");
}

const struct source_ops file_source_ops = {
    .upstream_keeps = true,
    .open = file_source_open,
    .run = file_source_run,
    .stop = file_source_stop,
    .free = file_source_free,
    .memory = file_source_memory,
};
