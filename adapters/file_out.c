#include "file_out.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "control.h"

enum {
    HELD_MAX = 1024,         /* parcels held */
    SPILL_OCTETS = 64 << 10, /* packed octets that are written out without a flush */
    SPARE_OCTETS = 512,
};

struct held {
    struct ticket ticket;
    uint32_t count;
};

struct file_out {
    const struct file_kind *kind;
    int fd;
    int spare;
    bool regular; /* can be cut */
    bool holds;
    bool stopped;          /* STOP was added */
    struct pack *pack;     /* NULL: not packed */
    struct buffer waiting; /* octets for the file, */
    size_t written;        /* this many of which the kernel took */
    off_t size;            /* of the file */
    off_t whole;           /* where it can be cut, and then ended with this: */
    uint8_t closing[PACK_CLOSING_MAX];
    size_t closing_len;
    uint64_t messages;
    struct held held[HELD_MAX];
    unsigned held_count;
    size_t held_octets;
    int64_t held_since;
};

/* A block on the same disk, without a name, so that there is room for the end of a file on a disk
 * that is full. Where it cannot be had we do without. */
static int take_spare(const char *path)
{
    static const char octets[SPARE_OCTETS];
    const char *slash = strrchr(path, '/');
    char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    int fd = folder ? open(folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600) : -1;
    free(folder);
    if (fd >= 0 && write(fd, octets, sizeof octets) < 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static void give_spare(struct file_out *o)
{
    if (o->spare >= 0)
        close(o->spare);
    o->spare = -1;
}

struct file_out *file_out_new(const struct file_kind *kind, int fd, const char *path)
{
    struct file_out *o = calloc(1, sizeof *o);
    if (o && kind->packing != PACKING_NONE) {
        o->pack = pack_new(kind->packing);
        if (!o->pack) {
            free(o);
            o = NULL;
        }
    }
    if (!o) {
        close(fd);
        return NULL;
    }
    struct stat st;
    o->kind = kind;
    o->fd = fd;
    o->regular = path && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    o->holds = o->pack || (kind->sync == FILE_SYNC_EACH && o->regular);
    o->spare = o->regular ? take_spare(path) : -1;
    return o;
}

void file_out_free(struct file_out *o)
{
    if (!o)
        return;
    for (unsigned i = 0; i < o->held_count; i++)
        ticket_drop(&o->held[i].ticket);
    give_spare(o);
    close(o->fd);
    pack_free(o->pack);
    buffer_free(&o->waiting);
    free(o);
}

static enum output_result no_memory(void)
{
    errno = ENOMEM;
    return OUTPUT_BROKEN;
}

static bool add_octets(struct file_out *o, const void *data, size_t len)
{
    if (o->pack)
        return pack_add(o->pack, data, len, &o->waiting);
    buffer_put(&o->waiting, data, len);
    return !o->waiting.failed;
}

static bool add_control(struct file_out *o, enum control_type type)
{
    uint8_t frame[CONTROL_HEADER + CONTROL_MAX];
    size_t len = o->kind->framed ? control_write(type, frame) : 0;
    return !o->kind->framed || (len > 0 && add_octets(o, frame, len));
}

static enum output_result drain(struct file_out *o)
{
    size_t before = o->written;
    enum output_result result =
        output_rest(o->fd, o->kind->waker, o->waiting.data, o->waiting.len, &o->written);
    o->size += (off_t)(o->written - before);
    if (result != OUTPUT_DONE)
        return result;
    buffer_clear(&o->waiting);
    o->written = 0;
    return OUTPUT_DONE;
}

static void settle_held(struct file_out *o, enum outcome outcome)
{
    for (unsigned i = 0; i < o->held_count; i++) {
        ticket_settle(&o->held[i].ticket, outcome, o->held[i].count);
        ticket_drop(&o->held[i].ticket);
    }
    o->held_count = 0;
    o->held_octets = 0;
}

enum output_result file_out_flush(struct file_out *o)
{
    if (o->pack && !pack_flush(o->pack, &o->waiting))
        return no_memory();
    enum output_result result = drain(o);
    if (result != OUTPUT_DONE)
        return result;
    if (o->kind->sync == FILE_SYNC_EACH && o->regular && fdatasync(o->fd) < 0)
        return errno == ENOSPC || errno == EDQUOT ? OUTPUT_FULL : OUTPUT_BROKEN;
    o->whole = o->size;
    if (o->pack)
        o->closing_len = pack_closing(o->pack, o->closing);
    settle_held(o, OUTCOME_DELIVERED);
    return OUTPUT_DONE;
}

enum output_result file_out_begin(struct file_out *o)
{
    if (o->size == 0 && o->waiting.len == 0 && !add_control(o, CONTROL_START))
        return no_memory();
    return file_out_flush(o);
}

static enum output_result write_held(struct file_out *o, const struct parcel *parcel,
                                     struct progress *progress)
{
    if (o->held_count == HELD_MAX) { /* a flush was interrupted, or found no room */
        enum output_result result = file_out_flush(o);
        if (result != OUTPUT_DONE)
            return result;
    }
    if (progress->written < parcel->len) {
        size_t len = parcel->len - progress->written;
        assert(o->held_count < HELD_MAX);
        if (!add_octets(o, parcel->data + progress->written, len))
            return no_memory();
        if (o->held_count == 0)
            o->held_since = clock_ms(CLOCK_MONOTONIC);
        o->held[o->held_count++] =
            (struct held){ticket_take(parcel), parcel->count - progress->settled};
        o->held_octets += len;
        o->messages += parcel->count - progress->settled;
        *progress = (struct progress){parcel->len, parcel->count};
    }
    if (o->held_count == HELD_MAX || o->held_octets >= FILE_OUT_HELD_OCTETS)
        return file_out_flush(o);
    return o->waiting.len >= SPILL_OCTETS ? drain(o) : OUTPUT_DONE;
}

enum output_result file_out_write(struct file_out *o, const struct parcel *parcel,
                                  struct progress *progress)
{
    if (o->holds)
        return write_held(o, parcel, progress);
    size_t from = progress->written, whole_from, whole_to;
    uint32_t settled = progress->settled;
    parcel_whole(parcel, from, &whole_from);
    enum output_result result = output_parcel(o->fd, o->kind->waker, parcel, progress);
    int saved = errno;
    parcel_whole(parcel, progress->written, &whole_to);
    o->size += (off_t)(progress->written - from);
    o->whole += (off_t)(whole_to - whole_from);
    o->messages += progress->settled - settled;
    errno = saved;
    return result;
}

int64_t file_out_held_since(const struct file_out *o)
{
    return o->held_count > 0 ? o->held_since : -1;
}

uint64_t file_out_size(const struct file_out *o)
{
    return (uint64_t)o->size + o->waiting.len - o->written;
}

uint64_t file_out_messages(const struct file_out *o)
{
    return o->messages;
}

bool file_out_is_at(const struct file_out *o, const char *path)
{
    struct stat there, ours;
    return stat(path, &there) == 0 && fstat(o->fd, &ours) == 0 && there.st_dev == ours.st_dev &&
           there.st_ino == ours.st_ino;
}

void file_out_fail(struct file_out *o)
{
    settle_held(o, OUTCOME_FAILED);
}

static enum output_result to_disk(struct file_out *o)
{
    if (o->kind->sync == FILE_SYNC_NO || !o->regular || fsync(o->fd) == 0)
        return OUTPUT_DONE;
    return errno == ENOSPC || errno == EDQUOT ? OUTPUT_FULL : OUTPUT_BROKEN;
}

/* A record that a full disk tore, and that nobody goes on with. */
static bool drop_torn(struct file_out *o)
{
    if (!o->regular || o->holds || o->size == o->whole)
        return true;
    o->size = o->whole;
    return ftruncate(o->fd, o->whole) == 0 && lseek(o->fd, o->whole, SEEK_SET) >= 0;
}

enum output_result file_out_end(struct file_out *o)
{
    if (!o->stopped) {
        if (!drop_torn(o))
            return OUTPUT_BROKEN;
        enum output_result result = file_out_flush(o);
        if (result != OUTPUT_DONE)
            return result;
        if (!add_control(o, CONTROL_STOP) || (o->pack && !pack_finish(o->pack, &o->waiting)))
            return no_memory();
        o->stopped = true;
    }
    enum output_result result = drain(o);
    if (result == OUTPUT_FULL && o->spare >= 0) {
        give_spare(o);
        result = drain(o);
    }
    return result == OUTPUT_DONE ? to_disk(o) : result;
}

/* What ends the file at `whole`. A packed file takes its STOP in a stream of its own: readers go on
 * from one to the next. */
static bool make_end(struct file_out *o)
{
    buffer_clear(&o->waiting);
    o->written = 0;
    buffer_put(&o->waiting, o->closing, o->closing_len);
    if (o->pack)
        pack_reset(o->pack);
    if (o->whole == 0 && !add_control(o, CONTROL_START))
        return false;
    if (!add_control(o, CONTROL_STOP))
        return false;
    return !o->pack || (o->whole > 0 && !o->kind->framed) || pack_finish(o->pack, &o->waiting);
}

bool file_out_cut(struct file_out *o, struct error *error)
{
    give_spare(o);
    if (!o->regular)
        return error_set(error, "nobody took its end in time");
    if (ftruncate(o->fd, o->whole) < 0 || lseek(o->fd, o->whole, SEEK_SET) < 0)
        return error_set(error, "cannot cut off what was not written whole: %s", strerror(errno));
    o->size = o->whole;
    if (!make_end(o))
        return error_set(error, "out of memory for its end");
    if (drain(o) == OUTPUT_DONE && to_disk(o) == OUTPUT_DONE)
        return true;
    error_set(error, "cannot write its end mark: %s", strerror(errno));
    if (ftruncate(o->fd, o->whole) < 0) /* better no end than half of one */
        error_set(error, "cannot cut it: %s", strerror(errno));
    return false;
}

uint64_t file_out_memory(enum packing packing, bool holds, uint64_t batch_max)
{
    uint64_t buffer =
        holds ? 2 * (SPILL_OCTETS + pack_bound(FILE_OUT_HELD_OCTETS) + pack_bound(batch_max)) : 0;
    return sizeof(struct file_out) + pack_memory(packing) + buffer;
}
