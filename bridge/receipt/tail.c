#include "receipt/tail.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static bool refuse(const char *path, const char *what, struct error *error)
{
    return error_set(error, "receipts=%s: %s", path, what);
}

static bool claim(struct receipt_tail *tail, const char *path, bool create, struct error *error)
{
    struct stat st;
    tail->fd = open(path, O_RDWR | O_CLOEXEC | (create ? O_CREAT : 0), 0644);
    if (tail->fd < 0)
        return refuse(path, strerror(errno), error);
    if (fstat(tail->fd, &st) != 0 || !S_ISREG(st.st_mode))
        return refuse(path, "it is no regular file, which receipts need", error);
    if (flock(tail->fd, LOCK_EX | LOCK_NB) != 0)
        return refuse(
            path, "something else writes to it; each source and sink has a file of its own", error);
    tail->size = (uint64_t)st.st_size;
    return true;
}

/* Where the last line feed before `end` stands behind, within the octets read from `from`; 0: there
 * is none. */
static size_t behind_line_feed(const char *octets, size_t end)
{
    const char *at = end > 0 ? memrchr(octets, '\n', end) : NULL;
    return at ? (size_t)(at - octets) + 1 : 0;
}

/* A line whose writing a crash cut short was never one. */
static bool cut_torn(struct receipt_tail *tail, size_t torn)
{
    tail->torn = torn;
    tail->size -= torn;
    return torn == 0 || ftruncate(tail->fd, (off_t)tail->size) == 0;
}

static bool take_last(struct receipt_tail *tail, const char *line, size_t len,
                      struct receipt_line *last, const char *path, struct error *error)
{
    struct error why;
    if (!receipt_line_read(last, line, len - 1, &why))
        return refuse(path, "its last line is no receipt: is it the right file?", error);
    tail->chain.line = last->number;
    receipt_chain_step(&tail->chain, line, len);
    tail->sender = last->sender;
    tail->clean = last->kind == RECEIPT_CLOSE || last->kind == RECEIPT_KEY;
    memcpy(tail->key, last->key, sizeof tail->key);
    if (last->kind != RECEIPT_KEY)
        return true;
    struct receipt_key *named = receipt_key_of(last->public_key);
    if (named)
        memcpy(tail->key, receipt_key_id(named), sizeof tail->key);
    receipt_key_free(named);
    return named || refuse(path, "its last line names no key", error);
}

static bool find_end(struct receipt_tail *tail, char *octets, struct receipt_line *last,
                     const char *path, struct error *error)
{
    uint64_t room = 2 * (RECEIPT_LINE_MAX + 1);
    size_t len = (size_t)(tail->size < room ? tail->size : room);
    if (pread(tail->fd, octets, len, (off_t)(tail->size - len)) != (ssize_t)len)
        return refuse(path, "it cannot be read", error);
    size_t end = behind_line_feed(octets, len);
    if (end == 0 && tail->size > len)
        return refuse(path, "it does not end as receipts do: is it the right file?", error);
    if (!cut_torn(tail, len - end))
        return refuse(path, strerror(errno), error);
    tail->fresh = end == 0;
    if (tail->fresh)
        return true;
    size_t start = behind_line_feed(octets, end - 1);
    return take_last(tail, octets + start, end - start, last, path, error);
}

bool receipt_tail_open(struct receipt_tail *tail, const char *path, bool create,
                       struct error *error)
{
    *tail = (struct receipt_tail){.fd = -1, .chain = {.line = 1}};
    char *octets = malloc(2 * (RECEIPT_LINE_MAX + 1));
    struct receipt_line *last = malloc(sizeof *last);
    bool ok = (octets && last) || error_set(error, "out of memory");
    ok = ok && claim(tail, path, create, error) && find_end(tail, octets, last, path, error);
    free(octets);
    free(last);
    if (!ok)
        receipt_tail_close(tail);
    return ok;
}

bool receipt_tail_append(struct receipt_tail *tail, const struct buffer *line)
{
    size_t done = 0;
    while (done < line->len) {
        ssize_t n =
            pwrite(tail->fd, line->data + done, line->len - done, (off_t)(tail->size + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    if (done == line->len && fdatasync(tail->fd) == 0) {
        tail->size += done;
        receipt_chain_step(&tail->chain, line->data, line->len);
        return true;
    }
    int why = done < line->len && errno == 0 ? ENOSPC : errno;
    if (ftruncate(tail->fd, (off_t)tail->size) != 0)
        why = errno;
    errno = why;
    return false;
}

void receipt_tail_close(struct receipt_tail *tail)
{
    if (tail->fd >= 0)
        close(tail->fd);
    tail->fd = -1;
}
