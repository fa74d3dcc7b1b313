/* Reads Frame Streams from a file, a pipe or standard input. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "file.h"
#include "file_follow.h"
#include "log.h"
#include "stream.h"
#include "unpack.h"
#include "waker.h"

enum {
    PACED_STEPS = 100, /* with rate=, messages go on in this many portions a second */
    RETRY_MS = 1000,   /* how soon a file that has come in another's place, and cannot be opened, is tried again */
};

struct source {
    const struct place *place;
    struct waker waker;
    int fd;
    bool regular;
    bool follows;
    struct follow follow; /* of a regular file that it follows */
    bool replaced;        /* and that has a successor: the rest of it is read first */
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

/* One that was closed before we began stands there as what cannot be read (main.c). */
static int open_standard_input(void)
{
    int flags = fcntl(STDIN_FILENO, F_GETFL);
    if (flags >= 0 && (flags & O_ACCMODE) != O_WRONLY)
        return dup(STDIN_FILENO);
    errno = EBADF;
    return -1;
}

/* Not blocking, or a pipe whose writer has not come would hold up everything. */
static int open_path(const char *path)
{
    return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
}

static bool open_input(struct source *s, struct error *error)
{
    bool standard = file_is_standard(s->place->address);
    s->fd = standard ? open_standard_input() : open_path(s->place->address);
    if (s->fd < 0)
        return error_set(error, "cannot read it: %s",
                         standard && errno == EBADF ? "standard input is closed" : strerror(errno));
    struct stat st;
    if (fstat(s->fd, &st) < 0)
        return error_set(error, "cannot look at it: %s", strerror(errno));
    if (S_ISDIR(st.st_mode))
        return error_set(error, "is a directory; name a file");
    s->regular = S_ISREG(st.st_mode);
    if (!s->regular && options_number(s->place->options, "loop") != 1)
        return error_set(error, "cannot be read more than once: it is not a regular file");
    s->follows = options_flag(s->place->options, "follow");
    if (s->follows && standard)
        return error_set(error, "standard input cannot be followed; name a file, or a pipe that has a name");
    return !s->follows || !s->regular || follow_open(&s->follow, s->place->address, s->fd, error);
}

static void file_source_free(struct source *s)
{
    if (s->fd >= 0)
        close(s->fd);
    follow_close(&s->follow);
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
    s->fd = s->follow.notify = s->waker.fd = -1;
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

/* Sleeps until something happens to the file, or for so long. False: stopped. */
static bool wait_for_change(struct source *s, int timeout_ms)
{
    return waker_wait(&s->waker, s->follow.notify, POLLIN, timeout_ms) != WAIT_WOKEN;
}

/* At the end of a followed file: sleeps until it grows. False: the reading is over, for we were stopped, or the file was cut,
 * or another has come in its place. */
static bool wait_for_more(struct source *s, struct intake *intake)
{
    intake_flush(intake);
    if (s->follow.notify < 0 || s->replaced)
        return false;
    follow_clear(&s->follow);
    switch (follow_look(&s->follow, s->fd, lseek(s->fd, 0, SEEK_CUR))) {
    case FOLLOW_CUT:
        return false;
    case FOLLOW_REPLACED:
        s->replaced = true; /* what was written to it in between is read before it is left */
        return true;
    case FOLLOW_SAME:
        break;
    }
    struct stat st;
    if (fstat(s->fd, &st) == 0 && st.st_size > lseek(s->fd, 0, SEEK_CUR))
        return true; /* it grew before what was notified was forgotten */
    return wait_for_change(s, -1);
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
        log_line(LOG_ERROR, "source %s: truncated: the last %zu octets, after message %llu, are not a whole frame",
                 url, stream_torn(r->stream), (unsigned long long)frames);
        intake_refuse(intake, 1);
    } else if (r->empty) {
        log_line(LOG_WARN, "source %s: is empty", url);
    } else if (r->open && !s->follows) {
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

/* The file under the name, in place of the one that was read to its end. False: it cannot be read, for another has come or gone in
 * between, or its rights are still to be set. */
static bool take_successor(struct source *s)
{
    static struct log_limit limit;
    int fd = open_path(s->place->address);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        log_limited(&limit, LOG_WARN, "source %s: was replaced, and what is there now cannot be read: %s; trying again every second",
                    s->place->url, fd < 0 ? strerror(errno) : "it is not a regular file");
        if (fd >= 0)
            close(fd);
        return false;
    }
    close(s->fd);
    s->fd = fd;
    follow_exchange(&s->follow, fd);
    s->replaced = false;
    log_line(LOG_INFO, "source %s: was replaced; the old file is read to its end, going on with the new one", s->place->url);
    return true;
}

/* After a reading of a followed file has ended: its next beginning. False: there is none, or we were stopped. */
static bool begin_again(struct source *s)
{
    for (;;) {
        if (waker_woken(&s->waker))
            return false;
        follow_clear(&s->follow);
        enum follow_state state = follow_look(&s->follow, s->fd, lseek(s->fd, 0, SEEK_CUR));
        if (state == FOLLOW_CUT) {
            log_line(LOG_INFO, "source %s: was cut; reading it from its beginning", s->place->url);
            return lseek(s->fd, 0, SEEK_SET) == 0;
        }
        if (state == FOLLOW_REPLACED && take_successor(s))
            return true;
        /* nothing more of this one can be read */
        if (!wait_for_change(s, state == FOLLOW_REPLACED ? RETRY_MS : -1))
            return false;
    }
}

/* A named pipe whose writer has ended: for the next one. Another kind of file in its place would be read again and again. */
static bool reopen_pipe(struct source *s)
{
    struct stat st;
    if (waker_woken(&s->waker))
        return false;
    int fd = open_path(s->place->address);
    if (fd < 0 || fstat(fd, &st) < 0 || S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) {
        log_line(LOG_ERROR, "source %s: its writer has ended, and the pipe is there no more: %s; this source ends", s->place->url,
                 fd < 0 ? strerror(errno) : "it is another kind of file");
        if (fd >= 0)
            close(fd);
        return false;
    }
    close(s->fd);
    s->fd = fd;
    log_line(LOG_INFO, "source %s: its writer has ended; waiting for the next", s->place->url);
    return true;
}

static void follow_file(struct source *s, struct intake *intake)
{
    do
        read_through(s, intake);
    while (s->regular ? begin_again(s) : reopen_pipe(s));
}

static void file_source_run(struct source *s, struct intake *intake)
{
    uint64_t loops = options_number(s->place->options, "loop");
    clock_gettime(CLOCK_MONOTONIC, &s->started);
    if (s->regular)
        intake_stay_near(intake);
    if (s->follows) {
        follow_file(s, intake);
        return;
    }
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

static bool file_source_is_finite(const struct options *options)
{
    return !options_flag(options, "follow") && options_number(options, "loop") > 0;
}

const struct source_ops file_source_ops = {
    .is_finite = file_source_is_finite,
    .upstream_keeps = true,
    .open = file_source_open,
    .run = file_source_run,
    .stop = file_source_stop,
    .free = file_source_free,
    .memory = file_source_memory,
};
