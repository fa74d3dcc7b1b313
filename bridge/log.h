/* Lines for the operator, on standard error, as logfmt or JSON: time, level, hop, msg. Any thread.
 *
 *     any thread ── log_line ──► bounded queue ──► the log's own thread ──► standard error
 *
 * Standard error may stand still: a pipe that nobody empties, a pager, a stopped terminal. Only the log's own thread
 * waits for it. When the queue is full a line is dropped and counted, and the next one that is written says how many. */
#ifndef BRIDGE_LOG_H
#define BRIDGE_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "buffer.h"

enum log_level { LOG_INFO, LOG_WARN, LOG_ERROR };

enum log_format { LOG_LOGFMT, LOG_JSON };

enum {
    LOG_QUEUE_OCTETS = 256 * 1024, /* lines that wait for standard error */
    LOG_TEXTS = 2,                 /* texts (see log_text) that wait beside them */
};

/* How lines are written from here on. Before threads. */
void log_as(enum log_format format);
bool log_is_json(void);

/* Is there an unfinished line on the terminal that each of ours has to take the place of? */
void log_over_a_line(bool over);

/* The hop's name in every line from here on; borrowed for the life of the process. Before threads. */
void log_init(const char *hop);

/* The text of every line, without time, level and hop, goes to `line` in place of standard error; NULL: back
 * to it. For programs that have a log of their own. Before threads; `line` is called by any. */
void log_redirect(void (*line)(void *arg, const char *text), void *arg);

/* Main thread: starts the log's own thread. Until then, and where it cannot be started, each line is one write() by
 * the caller. */
void log_start(void);

/* Main thread: waits until everything queued is written, `patience_ms` at most, and ends the log's thread. False: standard
 * error stands still, and what was queued is lost with the process. Lines that come later are written by the caller,
 * or dropped where it stands still. */
bool log_stop(int patience_ms);

void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A text of any length and number of lines, such as a ledger: written whole, without time and level. Takes over what
 * the buffer holds, and leaves it empty. Dropped, and counted as a line, where LOG_TEXTS wait already. */
void log_text(struct buffer *text);

/* Main thread, before the last text: waits until one would be taken, `patience_ms` at most. */
void log_wait_for_text(int patience_ms);

/* Takes the unfinished line off the terminal, where there is one. */
void log_erase(void);

/* For a line on the terminal that is renewed again and again: dropped, uncounted, where anything waits. */
void log_draw(const char *text, size_t len);

/* Lines dropped so far because standard error stood still. */
uint64_t log_lines_dropped(void);

/* For what bad input can cause again and again: a few lines per ten seconds and place, and the next
 * line that passes says how many did not. `limit` is static at the place of the call. */
struct log_limit {
    _Atomic int64_t window; /* start of the ten seconds */
    _Atomic uint32_t lines; /* written in it */
    _Atomic uint32_t kept_back;
};

void log_limited(struct log_limit *limit, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Opens a JSON line as --log=json has it: time, level, hop. The caller adds its fields, closes it with '}' and '\n'. */
void log_json_open(struct buffer *line, enum log_level level);

#endif
