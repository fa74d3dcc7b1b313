#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "json.h"

enum { WINDOW_SECONDS = 10, LINES_PER_WINDOW = 5, LINE_SIZE = 1024 };

static const char *hop_name = "";
static bool as_json;
static _Atomic bool over_a_line;
static void (*redirect)(void *arg, const char *text);
static void *redirect_arg;

void log_init(const char *hop)
{
    hop_name = hop;
}

void log_redirect(void (*line)(void *arg, const char *text), void *arg)
{
    redirect = line;
    redirect_arg = arg;
}

void log_over_a_line(bool over)
{
    atomic_store(&over_a_line, over);
}

void log_as(enum log_format format)
{
    as_json = format == LOG_JSON;
}

static const char *level_name(enum log_level level)
{
    static const char *const names[] = {"info", "warn", "error"};
    return names[level];
}

/* The value of a logfmt field: quotes, backslashes and control octets are escaped. */
static size_t put_quoted(char *out, size_t room, const char *text)
{
    size_t len = 0;
    for (; *text && len + 5 < room; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\') {
            out[len++] = '\\';
            out[len++] = (char)c;
        } else if (c < 0x20 || c == 0x7f) {
            len += (size_t)snprintf(out + len, room - len, "\\x%02x", c);
        } else {
            out[len++] = (char)c;
        }
    }
    return len;
}

/* What takes an unfinished line off a terminal. */
static const char *erase(void)
{
    return atomic_load(&over_a_line) ? "\r\033[K" : "";
}

static void write_logfmt(enum log_level level, uint32_t kept_back, const char *time, const char *msg)
{
    char line[LINE_SIZE + 64];
    size_t len = (size_t)snprintf(line, sizeof line, "%stime=%s level=%s hop=%.64s msg=\"", erase(), time,
                                  level_name(level), hop_name);
    len += put_quoted(line + len, LINE_SIZE - len, msg);
    line[len++] = '"';
    if (kept_back > 0)
        len += (size_t)snprintf(line + len, sizeof line - len, " similar_lines_kept_back=%u",
                                kept_back);
    line[len++] = '\n';
    if (write(STDERR_FILENO, line, len) < 0)
        return; /* nowhere left to say it */
}

static void write_json(enum log_level level, uint32_t kept_back, const char *time, const char *msg)
{
    struct buffer line = {0};
    buffer_put_string(&line, erase());
    json_open(&line, NULL, '{');
    json_text(&line, "time", time);
    json_text(&line, "level", level_name(level));
    json_text(&line, "hop", hop_name);
    json_text(&line, "msg", msg);
    if (kept_back > 0)
        json_number(&line, "similar_lines_kept_back", kept_back);
    json_close(&line, '}');
    buffer_put_char(&line, '\n');
    if (line.failed)
        write_logfmt(level, kept_back, time, msg);
    else if (write(STDERR_FILENO, line.data, line.len) < 0)
        line.len = 0; /* nowhere left to say it */
    buffer_free(&line);
}

static void write_line(enum log_level level, uint32_t kept_back, const char *text, va_list args)
{
    char msg[LINE_SIZE / 2];
    vsnprintf(msg, sizeof msg, text, args);
    if (redirect) {
        redirect(redirect_arg, msg);
        return;
    }
    struct timespec now;
    struct tm utc;
    char time[40];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t len = strftime(time, sizeof time, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(time + len, sizeof time - len, ".%03ldZ", now.tv_nsec / 1000000);
    (as_json ? write_json : write_logfmt)(level, kept_back, time, msg);
}

void log_line(enum log_level level, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    write_line(level, 0, format, args);
    va_end(args);
}

void log_limited(struct log_limit *limit, enum log_level level, const char *format, ...)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t window = atomic_load(&limit->window);
    if (now.tv_sec - window >= WINDOW_SECONDS &&
        atomic_compare_exchange_strong(&limit->window, &window, now.tv_sec))
        atomic_store(&limit->lines, 0);
    if (atomic_fetch_add(&limit->lines, 1) >= LINES_PER_WINDOW) {
        atomic_fetch_add(&limit->kept_back, 1);
        return;
    }
    va_list args;
    va_start(args, format);
    write_line(level, atomic_exchange(&limit->kept_back, 0), format, args);
    va_end(args);
}
