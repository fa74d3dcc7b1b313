/* Writes to files, a pipe or standard output: what is written when. How a file is written is
 * file_out.h's, where they stand and what they are called file_target.h's. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "clock.h"
#include "file.h"
#include "file_mend.h"
#include "file_target.h"
#include "frame.h"
#include "log.h"

enum {
    RETRY_MS = 1000,    /* how soon a full disk, or a file that cannot be opened, is tried again */
    MEND_MS = 10000,    /* and after another error of the disk, which makes messages fail meanwhile */
    HELD_MAX_MS = 1000, /* how long packed messages may wait for company before they are written */
    END_RESERVE = 64,   /* octets of rotate-size kept for the end of a file */
};

struct sink {
    const struct place *place;
    struct waker waker;
    struct file_kind kind;
    struct file_out *out; /* NULL: the next message opens the next file */
    struct file_target target;
    bool begun;           /* the beginning of `out` is written */
    bool broken;          /* nothing more can be written, until the file is reopened */
    bool gone;            /* nor ever again: the reader of standard output has ended */
    int64_t mend_at;      /* of a broken one: when the next file is tried, ms */
    const struct sink_host *host;
    uint64_t rotate_size; /* octets, 0: no */
    int64_t rotate_every; /* ms, 0: no */
    int64_t rotate_at;    /* ms of the wall clock, for `out` */
    int64_t opened_at;    /* likewise: when it was opened */
    struct log_limit trouble, left;
};

/* The next moment that `every` divides, in UTC. */
static int64_t next_moment(int64_t now, int64_t every)
{
    return (now / every + 1) * every;
}

/* False with the error, and errno; what was opened is closed again. */
static bool begin_file(struct sink *s, struct error *error)
{
    enum output_result result = file_out_begin(s->out);
    int saved = errno;
    s->begun = result == OUTPUT_DONE;
    if (s->begun)
        return true;
    error_set(error, "cannot write the beginning of the file: %s",
              result == OUTPUT_WOKEN ? "nobody took it in time" : strerror(saved));
    file_target_drop(&s->target);
    file_out_free(s->out);
    s->out = NULL;
    errno = saved;
    return false;
}

/* The main thread opens what the sink begins with, and does not wait for a pipe that is full: the sink's thread will. */
enum patience { WAITS, DOES_NOT_WAIT };

static bool open_file(struct sink *s, enum patience patience, struct error *error)
{
    char room[FILE_PATH_MAX];
    int fd = file_target_open(&s->target, error);
    if (fd < 0)
        return false;
    struct pollfd set = {.fd = fd, .events = POLLOUT};
    bool later = patience == DOES_NOT_WAIT && poll(&set, 1, 0) == 0;
    s->begun = false;
    s->out = file_out_new(&s->kind, fd, file_target_path(&s->target, room));
    if (!s->out)
        return error_set(error, "out of memory");
    s->opened_at = clock_ms(CLOCK_REALTIME);
    if (s->rotate_every)
        s->rotate_at = next_moment(s->opened_at, s->rotate_every);
    return later || begin_file(s, error);
}

/* Waits a while before something is tried again. False: interrupted. */
static bool wait_to_retry(struct sink *s, const char *trouble)
{
    if (waker_woken(&s->waker))
        return false;
    log_limited(&s->trouble, LOG_ERROR, "sink %s: %s; trying again every second", s->place->url,
                trouble);
    return waker_wait(&s->waker, -1, 0, RETRY_MS) != WAIT_WOKEN;
}

static void break_sink(struct sink *s)
{
    if (!s->broken && s->gone)
        log_line(LOG_WARN, "sink %s: nobody reads it any more: what follows is counted as failed", s->place->url);
    else if (!s->broken)
        log_line(LOG_ERROR, "sink %s: %s: what follows is counted as failed%s", s->place->url, strerror(errno),
                 s->target.regular ? "; trying the next file every 10 s" : "");
    s->broken = true;
    s->mend_at = clock_ms(CLOCK_MONOTONIC) + MEND_MS;
    if (s->out)
        file_out_fail(s->out);
    if (s->gone && s->host->gone)
        s->host->gone(s->host->arg);
}

/* Opens and begins the next file, however long it takes. False: interrupted, or nothing can be written any more. */
static bool ensure_open(struct sink *s)
{
    struct error error;
    while (!s->out || !s->begun) {
        if (s->out ? begin_file(s, &error) : open_file(s, WAITS, &error))
            continue;
        s->gone = errno == EPIPE && file_is_standard(s->target.pattern);
        if (s->gone)
            break_sink(s);
        if (s->gone || !wait_to_retry(s, error.text))
            return false;
    }
    return true;
}

/* With nothing inside, a file among many is no use to anybody. */
static bool drop_empty(struct sink *s)
{
    return !s->target.direct && s->target.numbered && file_out_messages(s->out) == 0 &&
           file_target_drop(&s->target);
}

/* Ends the file, waiting for space on a full disk. When that was interrupted, or nothing can be
 * written, it is cut behind the last message that was delivered. */
static void end_file(struct sink *s)
{
    struct error error;
    enum output_result result = OUTPUT_BROKEN;
    if (!s->out)
        return;
    bool empty = !s->begun || drop_empty(s);
    while (!empty && !s->broken) {
        result = file_out_end(s->out);
        if (result != OUTPUT_FULL || !wait_to_retry(s, strerror(ENOSPC)))
            break;
    }
    bool too_large = result == OUTPUT_BROKEN && errno == EFBIG && s->target.numbered; /* its end alone is missing */
    if (!empty && result == OUTPUT_BROKEN && !s->broken && !too_large)
        break_sink(s);
    bool whole = !empty && (result == OUTPUT_DONE || file_out_cut(s->out, &error));
    if (whole)
        file_target_keep(&s->target, s->kind.sync != FILE_SYNC_NO);
    else if (!whole && !empty)
        log_line(LOG_WARN, "sink %s: %s; the file has no end mark", s->place->url, error.text);
    if (result == OUTPUT_BROKEN)
        file_out_fail(s->out); /* what was held was cut off */
    file_out_free(s->out);
    s->out = NULL;
}

/* How much of a parcel, from `written` on, goes into this file: whole records, one at least in a
 * file that is empty. */
static struct parcel part_for_file(const struct sink *s, const struct parcel *parcel,
                                   size_t written)
{
    struct parcel part = *parcel;
    if (s->rotate_size == 0 || s->kind.packing != PACKING_NONE)
        return part;
    uint64_t size = file_out_size(s->out) + END_RESERVE;
    uint64_t room = s->rotate_size > size ? s->rotate_size - size : 0;
    if (parcel->len - written <= room)
        return part;
    part.count = parcel_whole(parcel, written + room, &part.len);
    if (part.len <= written && file_out_messages(s->out) == 0) {
        /* one record alone is too large for the limit; frames tell where it ends, and so do `ends`
         */
        uint32_t before = parcel_whole(parcel, written, &part.len);
        part.count = before + 1;
        part.len = parcel->ends ? parcel->ends[before]
                                : written + FRAME_HEADER + load_be32(parcel->data + written);
    }
    return part;
}

/* A clock that was ahead and is set back must not keep a file open until it is there again. */
static bool time_is_over(const struct sink *s)
{
    int64_t now = clock_ms(CLOCK_REALTIME);
    return now >= s->rotate_at || now < s->opened_at - s->rotate_every;
}

/* Is the next message for another file? Also where this one is empty: its name may hold a time. */
static bool rotation_due(const struct sink *s)
{
    if (!s->out)
        return false;
    if (s->rotate_every && time_is_over(s))
        return true;
    return s->rotate_size && s->kind.packing != PACKING_NONE && file_out_messages(s->out) > 0 &&
           file_out_size(s->out) + END_RESERVE >= s->rotate_size;
}

/* The next file, or the next reader, gets the message that was torn from its beginning. */
static bool leave_torn(struct sink *s, const struct parcel *part, struct progress *progress)
{
    size_t whole;
    parcel_whole(part, progress->written, &whole);
    progress->written = whole;
    if (s->target.regular) {
        end_file(s);
        return !s->broken;
    }
    file_out_fail(s->out); /* what was packed for the reader that has gone is of no use to the next */
    file_out_free(s->out);
    s->out = NULL;
    return true;
}

/* An error that concerns what is written to now, and not what can be opened next. False: it is for good. */
static bool leave_target(struct sink *s, const struct parcel *part, struct progress *progress)
{
    bool standard = file_is_standard(s->target.pattern);
    if (errno == EPIPE && !standard) {
        log_limited(&s->left, LOG_WARN, "sink %s: its reader has gone; waiting for the next", s->place->url);
        return leave_torn(s, part, progress);
    }
    if (errno == EFBIG && s->target.numbered && file_out_messages(s->out) > 0) {
        log_limited(&s->left, LOG_WARN, "sink %s: the file may not grow further (RLIMIT_FSIZE): beginning the next",
                    s->place->url);
        return leave_torn(s, part, progress);
    }
    s->gone = errno == EPIPE;
    break_sink(s);
    return false;
}

/* The same where no parcel is at hand. */
static void leave_idle_target(struct sink *s)
{
    const struct parcel none = {0};
    struct progress progress = {0};
    leave_target(s, &none, &progress);
}

/* Writes on, into this file. False: the rest of the parcel is not written. */
static bool write_part(struct sink *s, const struct parcel *part, struct progress *progress)
{
    enum output_result result;
    do {
        result = file_out_write(s->out, part, progress);
    } while (result == OUTPUT_FULL && wait_to_retry(s, strerror(ENOSPC)));
    if (result == OUTPUT_BROKEN)
        return leave_target(s, part, progress);
    return result == OUTPUT_DONE;
}

/* A broken sink tries the next file now and then. */
static void mend(struct sink *s)
{
    if (!s->broken || s->gone || !s->target.regular || clock_ms(CLOCK_MONOTONIC) < s->mend_at)
        return;
    struct error error;
    end_file(s);
    s->target.numbered = true;
    s->broken = !open_file(s, WAITS, &error);
    s->mend_at = clock_ms(CLOCK_MONOTONIC) + MEND_MS;
    if (!s->broken)
        log_line(LOG_INFO, "sink %s: can be written again, to %s", s->place->url, s->target.name);
}

static void file_sink_write(struct sink *s, const struct parcel *parcel)
{
    struct progress progress = {0};
    mend(s);
    while (progress.written < parcel->len && !s->broken) {
        if (rotation_due(s))
            end_file(s);
        if (s->broken || !ensure_open(s))
            break;
        struct parcel part = part_for_file(s, parcel, progress.written);
        if (part.len <= progress.written)
            end_file(s); /* not one more fits */
        else if (!write_part(s, &part, &progress))
            break;
    }
    if (s->broken)
        parcel_settle(parcel, OUTCOME_FAILED, parcel->count - progress.settled);
}

/* Milliseconds to a moment of a clock, 0 where it has come. */
static int until(clockid_t clock, int64_t moment)
{
    int64_t left = moment - clock_ms(clock);
    return left <= 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
}

static int file_sink_idle(struct sink *s)
{
    int next = -1;
    if (!s->out || s->broken)
        return -1;
    if (file_out_messages(s->out) > 0 && rotation_due(s)) {
        end_file(s);
        return -1;
    }
    int64_t since = file_out_held_since(s->out);
    if (since >= 0 && until(CLOCK_MONOTONIC, since + HELD_MAX_MS) == 0) {
        enum output_result result = file_out_flush(s->out);
        if (result == OUTPUT_FULL)
            log_limited(&s->trouble, LOG_ERROR, "sink %s: %s; trying again every second",
                        s->place->url, strerror(ENOSPC));
        if (result == OUTPUT_BROKEN) {
            leave_idle_target(s);
            return -1;
        }
        next = result == OUTPUT_FULL ? RETRY_MS : -1;
    } else if (since >= 0) {
        next = until(CLOCK_MONOTONIC, since + HELD_MAX_MS) + 1;
    }
    if (s->rotate_every && file_out_messages(s->out) > 0) {
        int left = until(CLOCK_REALTIME, s->rotate_at) + 1;
        next = next < 0 || left < next ? left : next;
    }
    return next;
}

/* A plain file that nobody moved away goes on as it is: there is nothing to begin anew. */
static void file_sink_reopen(struct sink *s)
{
    struct file_target *t = &s->target;
    if (!t->regular)
        return;
    if (s->out && t->direct && !file_name_timed(t->pattern) && file_out_is_at(s->out, t->name) &&
        !s->broken) {
        log_line(LOG_INFO, "sink %s: still stands under its name; writing on", s->place->url);
        return;
    }
    end_file(s);
    s->broken = false;
    t->numbered = true;
    if (ensure_open(s))
        log_line(LOG_INFO, "sink %s: reopened, writing %s", s->place->url, t->name);
}

static void file_sink_finish(struct sink *s)
{
    end_file(s);
}

static void file_sink_interrupt(struct sink *s)
{
    waker_wake(&s->waker);
}

static void file_sink_free(struct sink *s)
{
    file_out_free(s->out);
    waker_close(&s->waker);
    file_target_free(&s->target);
    free(s);
}

static enum file_sync sync_of(const struct options *options)
{
    if (options_is(options, "fsync", "each"))
        return FILE_SYNC_EACH;
    return options_is(options, "fsync", "close") ? FILE_SYNC_CLOSE : FILE_SYNC_NO;
}

static struct file_kind kind_of(const struct sink *s)
{
    size_t suffix;
    return (struct file_kind){
        .framed = options_is(s->place->options, "format", "dnstap"),
        .packing = packing_of_name(s->place->address, &suffix),
        .sync = sync_of(s->place->options),
        .waker = &s->waker,
    };
}

/* Mends what was left behind, then opens the first file. */
static bool begin(struct sink *s, bool successor, struct error *error)
{
    struct file_target *t = &s->target;
    if (!file_target_init(t, s->place, &s->kind, error))
        return false;
    t->live = s->host->live;
    if (!t->direct && file_mend_all(t->url, t->pattern, options_string(s->place->options, "format"),
                                    &s->kind) > 0)
        t->numbered = true; /* what was mended has the plain name now */
    if (successor)
        t->numbered = t->regular;
    if (!t->regular && !file_is_standard(t->pattern)) {
        /* a pipe's reader may come later, and go, and come again */
        bool opened = open_file(s, DOES_NOT_WAIT, error);
        bool unread = !opened && (errno == ENXIO || errno == EPIPE);
        if (unread)
            log_line(LOG_INFO, "sink %s: nobody reads this pipe yet; waiting for its reader", s->place->url);
        return opened || unread;
    }
    if (!open_file(s, DOES_NOT_WAIT, error))
        return false;
    if (t->direct && t->regular && t->number > 0)
        log_line(LOG_INFO, "sink %s: is there already; writing %s", s->place->url, t->name);
    return true;
}

static struct sink *file_sink_open(const struct place *place, const struct sink_host *host,
                                   struct error *error)
{
    struct sink *s = calloc(1, sizeof *s);
    if (!s) {
        error_set(error, "out of memory");
        return NULL;
    }
    s->place = place;
    s->host = host;
    s->waker.fd = -1;
    s->kind = kind_of(s);
    s->rotate_size = options_number(place->options, "rotate-size");
    s->rotate_every = (int64_t)options_number(place->options, "rotate-every");
    if (!waker_init(&s->waker))
        error_set(error, "no descriptor left: %s", strerror(errno));
    else if (begin(s, host->successor, error))
        return s;
    file_sink_free(s);
    return NULL;
}

/* The options do not tell whether the name asks for packing: the dearest is counted. */
static uint64_t file_sink_memory(const struct options *options, uint64_t batch_max)
{
    (void)options;
    return sizeof(struct sink) + FILE_NAME_MAX + file_out_memory(PACKING_ZSTD, true, batch_max);
}

/* Whatever the case of its letters. */
static bool extension_is(const char *extension, size_t len, const char *name)
{
    return strlen(name) == len && strncasecmp(extension, name, len) == 0;
}

static const char *file_sink_format_of(const struct place *place)
{
    static const struct {
        const char *extension, *format;
    } table[] = {
        {"txt", "text"},    {"log", "text"},  {"json", "json"}, {"jsonl", "json"},
        {"ndjson", "json"}, {"yaml", "yaml"}, {"yml", "yaml"},  {"nmsg", "nmsg"},
    };
    size_t len;
    const char *extension = file_name_extension(place->address, &len);
    for (size_t i = 0; extension && i < sizeof table / sizeof *table; i++) {
        if (extension_is(extension, len, table[i].extension))
            return table[i].format;
    }
    return NULL;
}

/* Names that promise what would not be written. */
static bool check_extension(const struct place *place, struct error *error)
{
    static const char *const formats[] = {"csv", "tsv", "pcap", "pcapng", "parquet", "avro", "xml", "html", "db", "sqlite", "mtbl"};
    static const char *const packings[] = {"xz", "bz2", "lz4", "lzma", "br", "zip", "7z", "z", "lzo", "sz", "gzip", "zstd"};
    const char *base = strrchr(place->address, '/');
    const char *last = strrchr(base ? base : place->address, '.');
    for (size_t i = 0; last && i < sizeof packings / sizeof *packings; i++) {
        if (extension_is(last + 1, strlen(last + 1), packings[i]))
            return error_set(error, "its name ends in %s, but files are packed as .gz or .zst alone; name it otherwise", last);
    }
    size_t len;
    const char *extension = file_name_extension(place->address, &len);
    bool chosen = strcmp(options_string(place->options, "format"), "dnstap") != 0;
    for (size_t i = 0; extension && !chosen && i < sizeof formats / sizeof *formats; i++) {
        if (extension_is(extension, len, formats[i]))
            return error_set(error, "its name promises %s, which is not a format here: Frame Streams would be written; name it "
                             "otherwise, or choose a format=", formats[i]);
    }
    return true;
}

static bool file_sink_check(const struct place *place, struct error *error)
{
    return file_target_check_place(place, error) &&
           (file_is_standard(place->address) || check_extension(place, error));
}

static bool file_sink_check_run(const struct place *place, bool live, struct error *error)
{
    struct file_target target;
    const struct sink as = {.place = place};
    struct file_kind kind = kind_of(&as);
    bool ok = file_target_init(&target, place, &kind, error);
    target.live = live;
    ok = ok && file_target_check(&target, error);
    file_target_free(&target);
    return ok;
}

const struct sink_ops file_sink_ops = {
    .format_of = file_sink_format_of,
    .check = file_sink_check,
    .check_run = file_sink_check_run,
    .open = file_sink_open,
    .write = file_sink_write,
    .idle = file_sink_idle,
    .reopen = file_sink_reopen,
    .finish = file_sink_finish,
    .interrupt = file_sink_interrupt,
    .free = file_sink_free,
    .memory = file_sink_memory,
};
