/* Lines for the operator, on standard error, as logfmt or JSON: time, level, hop, msg. Any thread; one line
 * is one write(), so lines never mix. */
#ifndef BRIDGE_LOG_H
#define BRIDGE_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_INFO, LOG_WARN, LOG_ERROR };

enum log_format { LOG_LOGFMT, LOG_JSON };

/* How lines are written from here on. Before threads. */
void log_as(enum log_format format);

/* Is there an unfinished line on the terminal that each of ours has to take the place of? */
void log_over_a_line(bool over);

/* The hop's name in every line from here on; borrowed for the life of the process. Before threads. */
void log_init(const char *hop);

/* The text of every line, without time, level and hop, goes to `line` in place of standard error; NULL: back
 * to it. For programs that have a log of their own. Before threads; `line` is called by any. */
void log_redirect(void (*line)(void *arg, const char *text), void *arg);

void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* For what bad input can cause again and again: a few lines per ten seconds and place, and the next
 * line that passes says how many did not. `limit` is static at the place of the call. */
struct log_limit {
    _Atomic int64_t window; /* start of the ten seconds */
    _Atomic uint32_t lines; /* written in it */
    _Atomic uint32_t kept_back;
};

void log_limited(struct log_limit *limit, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
