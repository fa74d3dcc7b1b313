#include "receipt/file.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "json.h"
#include "log.h"
#include "receipt/tail.h"

enum { UNWRITTEN_ROOM = 48 }; /* for the field that tells of lines given up */

struct waiting {
    struct waiting *next;
    struct buffer fields;
    uint64_t unwritten; /* lines given up before it: it tells of them */
};

struct receipt_file {
    char *path;
    const char *url;
    bool sender;
    struct receipt_key *key;

    pthread_mutex_t lock; /* over what follows, up to the thread's own */
    pthread_cond_t filled;
    struct waiting *first;   /* being written, or the disk does not take it */
    struct waiting **behind; /* where the next one goes */
    size_t queued;           /* octets */
    uint64_t unwritten;
    bool stuck; /* the disk did not take the first; it is tried again when another comes */
    bool closing;

    pthread_t thread;
    struct receipt_tail tail;
    struct buffer line; /* being written */
    const char *after;  /* what the open line has to say of the end before it */
    bool opened;
};

void receipt_fields_begin(struct buffer *fields, const char *type, bool sender)
{
    buffer_clear(fields);
    json_text(fields, "as", sender ? "sender" : "receiver");
    json_text(fields, "type", type);
}

static void put_time(struct buffer *fields)
{
    char text[40];
    struct tm utc;
    time_t now = time(NULL);
    gmtime_r(&now, &utc);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
    json_text(fields, "time", text);
}

/* Whole or not at all. */
static bool write_line(struct receipt_file *file, struct buffer *fields, uint64_t unwritten)
{
    static struct log_limit limit;
    size_t len = fields->len;
    if (unwritten > 0)
        json_number(fields, "unwritten", unwritten);
    buffer_clear(&file->line);
    receipt_line_write(&file->tail.chain, file->key, fields, &file->line);
    fields->len = len;
    errno = ENOMEM;
    bool ok = !file->line.failed && receipt_tail_append(&file->tail, &file->line);
    if (!ok)
        log_limited(&limit, LOG_ERROR,
                    "%s: a receipt cannot be written to %s: %s; the messages go on, and it is "
                    "tried again with the "
                    "next one",
                    file->url, file->path, strerror(errno));
    return ok;
}

/* Before every other line of this start. */
static bool write_open(struct receipt_file *file)
{
    if (file->opened)
        return true;
    struct buffer fields = {0};
    receipt_fields_begin(&fields, "open", file->sender);
    put_time(&fields);
    json_text(&fields, "endpoint", file->url);
    json_text(&fields, "public_key", receipt_key_public(file->key));
    json_text(&fields, "after", file->after);
    json_number(&fields, "block", BLOCK_MESSAGES);
    if (file->tail.torn > 0)
        json_number(&fields, "torn", file->tail.torn);
    file->opened = write_line(file, &fields, 0);
    buffer_free(&fields);
    return file->opened;
}

/* The memory that it takes. What is appended to a line while it is written is taken off again, and
 * its room was there. */
static size_t footprint_of(const struct waiting *waiting)
{
    return sizeof *waiting + waiting->fields.len + UNWRITTEN_ROOM;
}

/* Takes the fields over, in memory no larger than they need. NULL: there is none, the fields
 * unchanged. */
static struct waiting *waiting_over(struct buffer *fields)
{
    struct waiting *waiting = fields->failed ? NULL : malloc(sizeof *waiting);
    if (!waiting)
        return NULL;
    *waiting = (struct waiting){.fields = *fields};
    *fields = (struct buffer){0};
    uint8_t *fitting = realloc(waiting->fields.data, waiting->fields.len + UNWRITTEN_ROOM);
    if (fitting) {
        waiting->fields.data = fitting;
        waiting->fields.cap = waiting->fields.len + UNWRITTEN_ROOM;
    }
    return waiting;
}

/* Under the lock. */
static void drop_first(struct receipt_file *file)
{
    struct waiting *waiting = file->first;
    file->first = waiting->next;
    file->queued -= footprint_of(waiting);
    if (!file->first)
        file->behind = &file->first;
    buffer_free(&waiting->fields);
    free(waiting);
}

/* Under the lock, which is given back while the disk is waited for. What the disk does not take
 * stays first; at the end it is given up. */
static void write_waiting(struct receipt_file *file, bool at_the_end)
{
    while (file->first) {
        struct waiting *waiting = file->first;
        pthread_mutex_unlock(&file->lock);
        bool ok = write_open(file) && write_line(file, &waiting->fields, waiting->unwritten);
        pthread_mutex_lock(&file->lock);
        file->stuck = !ok;
        if (!ok && !at_the_end)
            return;
        file->unwritten += ok ? 0 : 1 + waiting->unwritten;
        drop_first(file);
    }
}

static void write_close(struct receipt_file *file)
{
    struct buffer fields = {0};
    receipt_fields_begin(&fields, "close", file->sender);
    put_time(&fields);
    if (write_open(file) && write_line(file, &fields, file->unwritten))
        file->unwritten = 0;
    else
        file->unwritten++;
    buffer_free(&fields);
}

static void *run(void *arg)
{
    struct receipt_file *file = arg;
    write_open(file);
    pthread_mutex_lock(&file->lock);
    for (bool closing = false; !closing;) {
        while ((!file->first || file->stuck) && !file->closing)
            pthread_cond_wait(&file->filled, &file->lock);
        closing = file->closing;
        write_waiting(file, closing);
    }
    pthread_mutex_unlock(&file->lock);
    write_close(file);
    return NULL;
}

static void file_free(struct receipt_file *file)
{
    receipt_tail_close(&file->tail);
    receipt_key_free(file->key);
    buffer_free(&file->line);
    free(file->path);
    free(file);
}

/* Does the end of the file go with us? */
static bool check_end(struct receipt_file *file, struct error *error)
{
    const struct receipt_tail *tail = &file->tail;
    file->after = tail->fresh ? "nothing" : tail->clean ? "close" : "crash";
    if (tail->fresh)
        return true;
    if (tail->sender != file->sender)
        return error_set(error, "receipts=%s: it is a %s's, and this is a %s", file->path,
                         tail->sender ? "sender" : "receiver",
                         file->sender ? "sender" : "receiver");
    if (strcmp(tail->key, receipt_key_id(file->key)) != 0)
        return error_set(
            error,
            "receipts=%s: its next line has to be signed by the key %.16s..., receipts-key is "
            "%.16s...: "
            "name the new one by 'dnstap-bridge receipts --rotate', or begin another file",
            file->path, tail->key, receipt_key_id(file->key));
    return true;
}

struct receipt_file *receipt_file_open(const char *path, struct receipt_key *key, bool sender,
                                       const char *url, struct error *error)
{
    struct receipt_file *file = calloc(1, sizeof *file);
    if (!file) {
        receipt_key_free(key);
        error_set(error, "out of memory");
        return NULL;
    }
    *file = (struct receipt_file){
        .path = strdup(path), .url = url, .sender = sender, .key = key, .tail = {.fd = -1}};
    file->behind = &file->first;
    bool ok = file->path || error_set(error, "out of memory");
    ok = ok && receipt_tail_open(&file->tail, path, true, error) && check_end(file, error);
    if (!ok) {
        file_free(file);
        return NULL;
    }
    pthread_mutex_init(&file->lock, NULL);
    pthread_cond_init(&file->filled, NULL);
    int failed = pthread_create(&file->thread, NULL, run, file);
    if (!failed)
        return file;
    error_set(error, "receipts=%s: cannot start a thread: %s", path, strerror(failed));
    file_free(file);
    return NULL;
}

void receipt_file_put(struct receipt_file *file, struct buffer *fields)
{
    static struct log_limit limit;
    const size_t room = file->sender ? RECEIPT_QUEUE_SENDER : RECEIPT_QUEUE_RECEIVER;
    struct waiting *waiting = waiting_over(fields);
    pthread_mutex_lock(&file->lock);
    bool taken = waiting && file->queued + footprint_of(waiting) <= room;
    if (taken) {
        file->queued += footprint_of(waiting);
        waiting->unwritten = file->unwritten;
        file->unwritten = 0;
        *file->behind = waiting;
        file->behind = &waiting->next;
    } else {
        file->unwritten++;
    }
    file->stuck = false;
    pthread_cond_signal(&file->filled);
    pthread_mutex_unlock(&file->lock);
    if (taken)
        return;
    log_limited(&limit, LOG_ERROR, "%s: a receipt is given up: %s", file->url,
                waiting ? "the disk takes none" : "out of memory");
    if (waiting)
        buffer_free(&waiting->fields);
    free(waiting);
    buffer_free(fields);
}

void receipt_file_close(struct receipt_file *file)
{
    if (!file)
        return;
    pthread_mutex_lock(&file->lock);
    file->closing = true;
    pthread_cond_signal(&file->filled);
    pthread_mutex_unlock(&file->lock);
    pthread_join(file->thread, NULL);
    if (file->unwritten > 0)
        log_line(LOG_ERROR, "%s: %" PRIu64 " lines of receipts could not be written to %s",
                 file->url, file->unwritten, file->path);
    pthread_mutex_destroy(&file->lock);
    pthread_cond_destroy(&file->filled);
    file_free(file);
}

bool receipt_file_rotate(const char *path, const struct receipt_key *old,
                         const struct receipt_key *new, struct error *error)
{
    struct receipt_tail tail;
    struct buffer fields = {0}, line = {0};
    if (!receipt_tail_open(&tail, path, false, error))
        return false;
    bool ok =
        !tail.fresh || error_set(error, "%s: there is no line yet that a key has signed", path);
    if (ok && strcmp(tail.key, receipt_key_id(old)) != 0)
        ok = error_set(
            error,
            "%s: its next line has to be signed by the key %.16s..., the old one given is %.16s...",
            path, tail.key, receipt_key_id(old));
    if (ok) {
        receipt_fields_begin(&fields, "key", tail.sender);
        put_time(&fields);
        json_text(&fields, "public_key", receipt_key_public(new));
        receipt_line_write(&tail.chain, old, &fields, &line);
        ok = (!line.failed && receipt_tail_append(&tail, &line)) ||
             error_set(error, "%s: cannot write: %s", path, strerror(errno));
    }
    receipt_tail_close(&tail);
    buffer_free(&fields);
    buffer_free(&line);
    return ok;
}
