#include "log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "json.h"
#include "log_queue.h"
#include "printable.h"

enum {
    WINDOW_SECONDS = 10,
    LINES_PER_WINDOW = 5,
    LINE_SIZE = 1024,            /* of a line up to its message's end */
    LINE_ROOM = LINE_SIZE + 64,  /* and of all of it */
    HOP_ROOM = 4 * 64,           /* a hop's name, escaped */
    TIME_SIZE = 40,
};

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

bool log_is_json(void)
{
    return as_json;
}

static const char *level_name(enum log_level level)
{
    static const char *const names[] = {"info", "warn", "error"};
    return names[level];
}

/* The inside of a quoted logfmt value. */
static size_t put_escaped(char *out, size_t room, const char *text)
{
    size_t len = 0;
    while (*text && len + 5 < room) {
        uint32_t plain = printable_take(text);
        if (*text == '"' || *text == '\\')
            out[len++] = '\\';
        if (plain == 0)
            len += (size_t)snprintf(out + len, room - len, "\\x%02x", (unsigned char)*text);
        memcpy(out + len, text, plain);
        len += plain;
        text += plain ? plain : 1;
    }
    return len;
}

/* A logfmt value, with quotes where it needs them. */
static size_t put_value(char *out, size_t room, const char *text)
{
    bool bare = *text != '\0';
    for (const char *at = text; *at && bare; at++)
        bare = *at > ' ' && *at < 0x7f && *at != '"' && *at != '=' && *at != '\\';
    if (bare)
        return (size_t)snprintf(out, room, "%s", text);
    size_t len = 0;
    out[len++] = '"';
    len += put_escaped(out + len, room - len - 1, text);
    out[len++] = '"';
    return len;
}

/* What takes an unfinished line off a terminal. */
static const char *erase(void)
{
    return atomic_load(&over_a_line) ? "\r\033[K" : "";
}

static void time_print(char out[TIME_SIZE])
{
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t len = strftime(out, TIME_SIZE, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(out + len, TIME_SIZE - len, ".%03ldZ", now.tv_nsec / 1000000);
}

static size_t format_logfmt(char line[LINE_ROOM], enum log_level level, uint32_t kept_back, const char *msg)
{
    char time[TIME_SIZE];
    time_print(time);
    size_t len = (size_t)snprintf(line, LINE_ROOM, "%stime=%s level=%s hop=", erase(), time, level_name(level));
    len += put_value(line + len, HOP_ROOM, hop_name);
    len += (size_t)snprintf(line + len, LINE_ROOM - len, " msg=\"");
    len += put_escaped(line + len, LINE_SIZE - len, msg);
    line[len++] = '"';
    if (kept_back > 0)
        len += (size_t)snprintf(line + len, LINE_ROOM - len, " similar_lines_kept_back=%u", kept_back);
    line[len++] = '\n';
    return len;
}

void log_json_open(struct buffer *line, enum log_level level)
{
    char time[TIME_SIZE];
    time_print(time);
    json_open(line, NULL, '{');
    json_text(line, "time", time);
    json_text(line, "level", level_name(level));
    json_text(line, "hop", hop_name);
}

static void format_json(struct buffer *line, enum log_level level, uint32_t kept_back, const char *msg)
{
    struct buffer object = {0};
    log_json_open(&object, level);
    json_text(&object, "msg", msg);
    if (kept_back > 0)
        json_number(&object, "similar_lines_kept_back", kept_back);
    json_close(&object, '}');
    buffer_put_string(line, erase());
    buffer_put(line, object.data, object.len);
    buffer_put_char(line, '\n');
    line->failed = line->failed || object.failed;
    buffer_free(&object);
}

static void put_out(const char *text, size_t len)
{
    if (!log_queue_put(LOG_KIND_LINE, text, len))
        log_write_out(text, len);
}

static void write_line(enum log_level level, uint32_t kept_back, const char *text, va_list args)
{
    char msg[LINE_SIZE / 2], line[LINE_ROOM];
    struct buffer json = {0};
    vsnprintf(msg, sizeof msg, text, args);
    if (redirect) {
        redirect(redirect_arg, msg);
        return;
    }
    if (as_json)
        format_json(&json, level, kept_back, msg);
    if (as_json && !json.failed)
        put_out((const char *)json.data, json.len);
    else
        put_out(line, format_logfmt(line, level, kept_back, msg));
    buffer_free(&json);
}

/* The line that the log itself writes once standard error is read again. */
static size_t format_dropped(char *out, size_t room, uint64_t dropped)
{
    char msg[128], line[LINE_ROOM];
    struct buffer json = {0};
    snprintf(msg, sizeof msg, "%" PRIu64 " lines of this log were dropped: standard error stood still", dropped);
    size_t len = 0;
    if (as_json) {
        format_json(&json, LOG_WARN, 0, msg);
        len = json.failed || json.len > room ? 0 : json.len;
        memcpy(out, json.data, len);
        buffer_free(&json);
    } else {
        len = format_logfmt(line, LOG_WARN, 0, msg);
        len = len > room ? 0 : len;
        memcpy(out, line, len);
    }
    return len;
}

void log_start(void)
{
    log_queue_start(format_dropped);
}

bool log_stop(int patience_ms)
{
    return log_queue_stop(patience_ms);
}

uint64_t log_lines_dropped(void)
{
    return log_queue_dropped();
}

void log_text(struct buffer *text)
{
    struct buffer whole = {0};
    buffer_put_string(&whole, erase());
    buffer_put(&whole, text->data, text->len);
    const char *data = (const char *)whole.data;
    if (text->failed || whole.failed)
        log_line(LOG_ERROR, "out of memory for a text of the log");
    else if (whole.len > 0 && !log_queue_put(LOG_KIND_TEXT, data, whole.len))
        log_write_out(data, whole.len);
    buffer_free(&whole);
    buffer_free(text);
}

void log_wait_for_text(int patience_ms)
{
    log_queue_wait_for_text(patience_ms);
}

void log_erase(void)
{
    if (atomic_load(&over_a_line))
        put_out(erase(), strlen(erase()));
}

void log_draw(const char *text, size_t len)
{
    if (!log_queue_put(LOG_KIND_DRAW, text, len))
        log_write_out(text, len);
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
