/* Writes to a file, a pipe or standard output: Frame Streams, or records as they are. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control.h"
#include "file.h"
#include "log.h"
#include "output.h"

enum { FULL_RETRY_MS = 1000 }; /* how soon a full disk is tried again */

struct sink {
    const struct place *place;
    struct waker waker;
    int fd;
    bool framed;  /* Frame Streams: START before, STOP behind the records */
    bool regular; /* a torn record at its end can be cut off */
    bool broken;  /* nothing more can be written */
    off_t whole;  /* octets of whole records written to a regular file */
};

/* A stalled reader must not hold our thread beyond `interrupt`, so a pipe or terminal is opened anew,
 * not blocking: the flag is then ours alone and not shared with whoever else holds it. */
static int open_standard_output(void)
{
    int fd = open("/proc/self/fd/1", O_WRONLY | O_CLOEXEC | O_NONBLOCK | O_APPEND);
    return fd >= 0 ? fd : dup(STDOUT_FILENO);
}

/* A file that holds something is somebody's data and never overwritten; pipes and devices are fine. */
static int open_path(const char *path, struct error *error)
{
    struct stat st;
    int flags = O_WRONLY | O_CREAT | O_CLOEXEC;
    if (stat(path, &st) == 0) {
        if (S_ISREG(st.st_mode) && st.st_size > 0) {
            error_set(error, "exists and is not empty; remove it or name another file");
            return -1;
        }
        if (!S_ISREG(st.st_mode))
            flags |= O_NONBLOCK;
    }
    int fd = open(path, flags, 0666);
    if (fd < 0 && errno == ENXIO)
        error_set(error, "is a pipe that nobody reads; start its reader first");
    else if (fd < 0)
        error_set(error, "cannot write it: %s", strerror(errno));
    return fd;
}

static bool write_control(struct sink *s, enum control_type type, struct error *error)
{
    uint8_t frame[CONTROL_HEADER + CONTROL_MAX];
    size_t len = control_write(type, frame);
    if (len == 0)
        return error_set(error, "out of memory for a control frame");
    switch (output_octets(s->fd, &s->waker, frame, len)) {
    case OUTPUT_DONE:
        s->whole += (off_t)len;
        return true;
    case OUTPUT_WOKEN:
        return error_set(error, "nobody took the %s frame in time", control_name(type));
    case OUTPUT_FULL:
    case OUTPUT_BROKEN:
        break;
    }
    return error_set(error, "cannot write the %s frame: %s", control_name(type), strerror(errno));
}

static bool open_output(struct sink *s, struct error *error)
{
    const char *path = s->place->address;
    const char *suffix = strrchr(path, '.');
    if (suffix && (!strcmp(suffix, ".gz") || !strcmp(suffix, ".zst")))
        return error_set(error, "writing packed files is not built in; name a file without %s", suffix);
    s->fd = file_is_standard(path) ? open_standard_output() : open_path(path, error);
    if (s->fd < 0)
        return error->text[0] ? false : error_set(error, "cannot write it: %s", strerror(errno));
    if (s->framed && isatty(s->fd))
        return error_set(error, "is a terminal; add #format=text, or redirect it");
    struct stat st;
    s->regular = fstat(s->fd, &st) == 0 && S_ISREG(st.st_mode) && !file_is_standard(path);
    return !s->framed || write_control(s, CONTROL_START, error);
}

static void file_sink_free(struct sink *s)
{
    if (s->fd >= 0)
        close(s->fd);
    waker_close(&s->waker);
    free(s);
}

static struct sink *file_sink_open(const struct place *place, const struct sink_host *host,
                                   struct error *error)
{
    (void)host;
    struct sink *s = calloc(1, sizeof *s);
    if (!s) {
        error_set(error, "out of memory");
        return NULL;
    }
    s->place = place;
    s->fd = s->waker.fd = -1;
    s->framed = options_is(place->options, "format", "dnstap");
    error->text[0] = '\0';
    if (!waker_init(&s->waker))
        error_set(error, "no descriptor left: %s", strerror(errno));
    else if (open_output(s, error))
        return s;
    file_sink_free(s);
    return NULL;
}

static void file_sink_write(struct sink *s, const struct parcel *parcel)
{
    static struct log_limit limit;
    struct progress progress = {0};
    enum output_result result = OUTPUT_BROKEN;
    while (!s->broken) {
        result = output_parcel(s->fd, &s->waker, parcel, &progress);
        if (result != OUTPUT_FULL)
            break;
        log_limited(&limit, LOG_ERROR, "sink %s: %s; trying again every second", s->place->url,
                    strerror(ENOSPC));
        if (waker_wait(&s->waker, -1, 0, FULL_RETRY_MS) == WAIT_WOKEN)
            break;
    }
    if (result == OUTPUT_BROKEN) {
        if (!s->broken)
            log_line(LOG_ERROR, "sink %s: %s: what follows is counted as failed", s->place->url,
                     strerror(errno));
        s->broken = true;
        parcel_settle(parcel, OUTCOME_FAILED, parcel->count - progress.settled);
    }
    size_t end;
    parcel_whole(parcel, progress.written, &end);
    s->whole += (off_t)end;
}

static void file_sink_finish(struct sink *s)
{
    struct error error;
    /* a record torn by a full disk goes, so that the file ends with a whole one */
    if (s->regular && ftruncate(s->fd, s->whole) < 0)
        log_line(LOG_WARN, "sink %s: cannot cut off a torn record: %s", s->place->url, strerror(errno));
    if (s->regular && lseek(s->fd, s->whole, SEEK_SET) < 0)
        s->broken = true;
    if (s->framed && !s->broken && !write_control(s, CONTROL_STOP, &error))
        log_line(LOG_WARN, "sink %s: %s; the file has no end mark", s->place->url, error.text);
}

static void file_sink_interrupt(struct sink *s)
{
    waker_wake(&s->waker);
}

static uint64_t file_sink_memory(const struct options *options, uint64_t batch_max)
{
    (void)options;
    (void)batch_max;
    return sizeof(struct sink);
}

static const char *file_sink_format_of(const char *address)
{
    const char *suffix = strrchr(address, '.');
    static const struct {
        const char *suffix, *format;
    } known[] = {{".txt", "text"}, {".json", "json"}, {".jsonl", "json"}, {".yaml", "yaml"}, {".yml", "yaml"}};
    for (size_t i = 0; suffix && i < sizeof known / sizeof known[0]; i++)
        if (strcmp(suffix, known[i].suffix) == 0)
            return known[i].format;
    return NULL;
}

const struct sink_ops file_sink_ops = {
    .format_of = file_sink_format_of,
    .open = file_sink_open,
    .write = file_sink_write,
    .finish = file_sink_finish,
    .interrupt = file_sink_interrupt,
    .free = file_sink_free,
    .memory = file_sink_memory,
};
