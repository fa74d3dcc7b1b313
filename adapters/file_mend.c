#include "file_mend.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control.h"
#include "file_name.h"
#include "frame.h"
#include "log.h"
#include "unpack.h"

enum {
    WINDOW = 256 * 1024,          /* read at a time */
    RECORD_MAX = 80 * 1024 * 1024 /* octets of one record; longer ones are damage */
};

struct mend {
    const char *url;
    const char *record_end;
    const struct file_kind *kind;
    unsigned mended;
};

/* A left-over being read. */
struct leftover {
    const struct mend *mend;
    const char *part;
    int fd;
    bool damaged;       /* it holds what no writer of ours writes */
    struct buffer seen; /* unpacked octets that are no whole record yet */
    bool begun;         /* START was seen */
    bool stopped;
    uint64_t messages;
    uint64_t whole;      /* unpacked octets of START and whole messages */
    struct file_out *to; /* packed: the new file that they are copied to */
};

const char *file_record_end(const char *format)
{
    return strcmp(format, "yaml") == 0 ? "\n---\n" : "\n";
}

/* A control frame at `r`. False: torn or not ours; `*bad` tells which. */
static bool take_control(struct reader *r, struct leftover *l, bool *bad)
{
    const uint8_t *header = reader_take(r, 2 * FRAME_HEADER);
    if (!header)
        return false;
    uint32_t len = load_be32(header + FRAME_HEADER);
    const uint8_t *payload = len <= CONTROL_MAX ? reader_take(r, len) : NULL;
    if (!payload) {
        *bad = len > CONTROL_MAX;
        return false;
    }
    enum control_type type;
    struct error error;
    *bad = !control_read(payload, len, &type, &error) ||
           type != (l->begun ? CONTROL_STOP : CONTROL_START);
    l->stopped = l->begun && !*bad;
    l->begun = l->begun || !*bad;
    return !*bad;
}

/* The octets of whole frames that `seen` begins with. */
static size_t whole_frames(struct leftover *l, uint32_t *count, bool *bad)
{
    size_t whole = 0;
    struct reader r = reader_over(l->seen.data, l->seen.len);
    while (!l->stopped && !*bad) {
        const uint8_t *header = r.at;
        if (reader_left(&r) < FRAME_HEADER)
            break;
        uint32_t len = load_be32(header);
        if (len == 0) {
            bool begun = l->begun;
            if (!take_control(&r, l, bad))
                break;
            if (!begun)
                whole = (size_t)(r.at - l->seen.data);
            continue;
        }
        *bad = !l->begun || len > RECORD_MAX;
        if (*bad || reader_left(&r) < FRAME_HEADER + (size_t)len)
            break;
        reader_take(&r, FRAME_HEADER + (size_t)len);
        whole = (size_t)(r.at - l->seen.data);
        ++*count;
    }
    return whole;
}

/* The octets of whole records that `seen` begins with. */
static size_t whole_records(const struct leftover *l, uint32_t *count)
{
    const char *end = l->mend->record_end;
    const uint8_t *at = l->seen.data, *next;
    size_t len = l->seen.len;
    while (len > 0 && (next = memmem(at, len, end, strlen(end)))) {
        next += strlen(end);
        len -= (size_t)(next - at);
        at = next;
        ++*count;
    }
    return (size_t)(at - l->seen.data);
}

/* Copies records to the new file, where there is one. START it has written itself. */
static bool keep(struct leftover *l, size_t len, uint32_t count)
{
    struct account account = {0};
    struct progress progress = {0};
    size_t start = 0;
    if (l->mend->kind->framed && l->whole == 0 && len > 0)
        start = CONTROL_HEADER + load_be32(l->seen.data + FRAME_HEADER);
    struct parcel parcel = {
        .data = l->seen.data + start, .len = len - start, .count = count, .account = &account};
    if (l->to && file_out_write(l->to, &parcel, &progress) != OUTPUT_DONE)
        return false;
    l->whole += len;
    l->messages += count;
    l->seen.len -= len;
    memmove(l->seen.data, l->seen.data + len, l->seen.len);
    return true;
}

/* Reads it to its end, however it ends. False: what is kept could not be written. */
static bool read_leftover(struct leftover *l, struct unpack *unpack)
{
    struct error error;
    while (!l->damaged && !l->stopped) {
        uint8_t *at = buffer_reserve(&l->seen, WINDOW);
        ssize_t n = at ? unpack_read(unpack, at, WINDOW, &error) : -1;
        if (!at)
            return false;
        if (n <= 0)
            return true;
        l->seen.len += (size_t)n;
        uint32_t count = 0;
        size_t whole =
            l->mend->kind->framed ? whole_frames(l, &count, &l->damaged) : whole_records(l, &count);
        l->damaged = l->damaged || l->seen.len - whole > RECORD_MAX;
        if (!keep(l, whole, count))
            return false;
    }
    return true;
}

/* Is there nothing but zeros from `at` on? That is how a file ends whose last blocks never reached
 * the disk. */
static bool zeros_from(int fd, off_t at)
{
    uint8_t octets[4096];
    for (ssize_t n; (n = pread(fd, octets, sizeof octets, at)) > 0; at += n) {
        for (ssize_t i = 0; i < n; i++) {
            if (octets[i])
                return false;
        }
    }
    return true;
}

/* A file that is not packed is mended where it stands. */
static bool end_in_place(struct leftover *l)
{
    uint8_t stop[CONTROL_HEADER + CONTROL_MAX];
    size_t len = l->mend->kind->framed ? control_write(CONTROL_STOP, stop) : 0;
    return ftruncate(l->fd, (off_t)l->whole) == 0 && lseek(l->fd, (off_t)l->whole, SEEK_SET) >= 0 &&
           output_octets(l->fd, l->mend->kind->waker, stop, len) == OUTPUT_DONE &&
           (l->mend->kind->sync == FILE_SYNC_NO || fsync(l->fd) == 0);
}

static void set_aside(const struct mend *m, const char *part, const char *name)
{
    char broken[FILE_NAME_MAX + 16], given[FILE_NAME_MAX];
    snprintf(broken, sizeof broken, "%s.broken", name);
    if (file_name_give(part, broken, given))
        log_line(LOG_ERROR,
                 "sink %s: %s, left by a run that broke off, cannot be mended; it is now %s",
                 m->url, part, given);
    else
        log_line(LOG_ERROR, "sink %s: %s cannot be mended, nor set aside: %s", m->url, part,
                 strerror(errno));
}

/* Gives it its name, once it is whole. */
static void give_name(struct mend *m, const struct leftover *l, const char *name)
{
    char given[FILE_NAME_MAX];
    if (l->messages == 0) {
        unlink(l->part);
        log_line(LOG_INFO,
                 "sink %s: %s, left by a run that broke off, held no whole message and is removed",
                 m->url, l->part);
        return;
    }
    if (!file_name_give(l->part, name, given)) {
        log_line(LOG_ERROR, "sink %s: cannot rename %s to %s: %s", m->url, l->part, name,
                 strerror(errno));
        return;
    }
    m->mended++;
    log_line(LOG_WARN,
             "sink %s: %s, left by a run that broke off, is mended: %" PRIu64
             " messages kept in %s",
             m->url, l->part, l->messages, given);
}

/* A packed file is copied, as far as it can be unpacked, and the copy takes its place. */
static struct file_out *open_copy(const struct mend *m, const char *copy)
{
    int fd = open(copy, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    struct file_out *to = fd >= 0 ? file_out_new(m->kind, fd, copy) : NULL;
    if (to && file_out_begin(to) == OUTPUT_DONE)
        return to;
    file_out_free(to);
    return NULL;
}

static bool mend_by_copy(struct leftover *l, struct unpack *unpack)
{
    char copy[FILE_NAME_MAX + 16];
    snprintf(copy, sizeof copy, "%s.new", l->part);
    l->to = open_copy(l->mend, copy);
    bool ok =
        l->to && read_leftover(l, unpack) && (l->damaged || file_out_end(l->to) == OUTPUT_DONE);
    ok = ok && (l->damaged || rename(copy, l->part) == 0);
    int saved = errno;
    file_out_free(l->to);
    if (!ok || l->damaged)
        unlink(copy);
    errno = saved;
    return ok;
}

static bool mend_in_place(struct leftover *l, struct unpack *unpack)
{
    if (!read_leftover(l, unpack))
        return false;
    if (l->damaged && zeros_from(l->fd, (off_t)l->whole))
        l->damaged = false;
    return l->damaged || l->stopped || end_in_place(l);
}

static void mend_one(struct mend *m, struct leftover *l, const char *name)
{
    struct unpack *unpack = unpack_new(l->fd);
    bool packed = m->kind->packing != PACKING_NONE;
    errno = ENOMEM;
    bool ok = unpack && (packed ? mend_by_copy(l, unpack) : mend_in_place(l, unpack));
    if (!ok)
        log_line(LOG_ERROR,
                 "sink %s: %s, left by a run that broke off, could not be mended now and stays: %s",
                 m->url, l->part, strerror(errno));
    else if (l->damaged)
        set_aside(m, l->part, name);
    else
        give_name(m, l, name);
    unpack_free(unpack);
    buffer_free(&l->seen);
}

static void found_part(void *arg, const char *part, const char *name)
{
    struct mend *m = arg;
    struct leftover l = {.mend = m, .part = part};
    l.fd = open(part, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (l.fd < 0 || flock(l.fd, LOCK_EX | LOCK_NB) < 0)
        log_line(LOG_WARN, "sink %s: %s is left alone: %s", m->url, part,
                 l.fd < 0 ? strerror(errno) : "another process writes it");
    else
        mend_one(m, &l, name);
    if (l.fd >= 0)
        close(l.fd);
}

unsigned file_mend_all(const char *url, const char *pattern, const char *format,
                       const struct file_kind *kind)
{
    struct mend mend = {.url = url, .record_end = file_record_end(format), .kind = kind};
    struct error error;
    if (!file_name_each_part(pattern, found_part, &mend, &error))
        log_line(LOG_WARN, "sink %s: %s", url, error.text);
    return mend.mended;
}
