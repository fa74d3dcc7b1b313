#include "http_document.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* What follows the key in the record, NULL: it is not there. A key in our records is no part of a string's
 * value, whose quotes are escaped. */
static const char *behind(const char *key, const uint8_t *record, size_t len)
{
    const char *at = memmem(record, len, key, strlen(key));
    return at ? at + strlen(key) : NULL;
}

static int64_t number_at(const char *text, int digits)
{
    int64_t number = 0;
    for (int i = 0; i < digits; i++)
        number = number * 10 + (text[i] - '0');
    return number;
}

/* Of 2026-11-27T22:13:20; years begin in March, so that the leap day is the last. */
static int64_t second_of(const char *text)
{
    int64_t year = number_at(text, 4), month = number_at(text + 5, 2), day = number_at(text + 8, 2);
    year -= month <= 2;
    month = month > 2 ? month - 3 : month + 9;
    int64_t days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719468;
    return days * 86400 + number_at(text + 11, 2) * 3600 + number_at(text + 14, 2) * 60 + number_at(text + 17, 2);
}

/* 2026-11-27T22:13:20.123Z of `left` octets. */
static bool read_text(const char *text, size_t left, struct document_time *time)
{
    static const char form[] = "dddd-dd-ddTdd:dd:dd";
    const char *end = memchr(text, '"', left);
    size_t len = end ? (size_t)(end - text) : 0;
    if (len < sizeof form - 1 || len >= sizeof time->text)
        return false;
    for (size_t i = 0; i < sizeof form - 1; i++) {
        if (form[i] == 'd' ? !isdigit((unsigned char)text[i]) : text[i] != form[i])
            return false;
    }
    memcpy(time->text, text, len);
    time->text[len] = '\0';
    time->second = second_of(text);
    return true;
}

static bool read_number(const char *text, size_t left, struct document_time *time)
{
    struct tm tm;
    char digits[20];
    size_t len = 0;
    while (len < left && len + 1 < sizeof digits && isdigit((unsigned char)text[len])) {
        digits[len] = text[len];
        len++;
    }
    digits[len] = '\0';
    time->second = strtoll(digits, NULL, 10);
    return len > 0 && gmtime_r(&time->second, &tm) && tm.tm_year < 9999 - 1900 &&
           strftime(time->text, sizeof time->text, "%Y-%m-%dT%H:%M:%SZ", &tm) > 0;
}

struct document_time document_time_of(const uint8_t *record, size_t len)
{
    static const char flat[] = "{\"time\":\"", *const keys[] = {"\"response_time\":\"", "\"query_time\":\""};
    struct document_time time = {.text = ""};
    const char *end = (const char *)record + len, *at = (const char *)record + sizeof flat - 1;
    bool found = len > sizeof flat && memcmp(record, flat, sizeof flat - 1) == 0 &&
                 read_text(at, (size_t)(end - at), &time);
    for (size_t i = 0; !found && i < sizeof keys / sizeof keys[0]; i++)
        found = (at = behind(keys[i], record, len)) && read_text(at, (size_t)(end - at), &time);
    found = found || ((at = behind("\"time_last\":", record, len)) &&
                      read_number(at, (size_t)(end - at), &time));
    return found ? time : (struct document_time){.text = ""};
}

bool document_check_index(const char *pattern, struct error *error)
{
    size_t len = 0;
    if (!*pattern || strpbrk(pattern, "\"\\ /*?<>|#,:\n") || strchr("-_+", *pattern))
        return error_set(error, "index=%.100s: invalid name of an index", pattern);
    for (const char *at = pattern; *at; at++, len++) {
        if ((unsigned char)*at < ' ' || isupper((unsigned char)*at))
            return error_set(error, "index=%.100s: a name of an index has no capital letters", pattern);
        if (*at != '%')
            continue;
        at++;
        if (!*at || !strchr("YmdH%", *at))
            return error_set(error, "index=%.100s: unknown '%%%.1s'; valid: %%Y, %%m, %%d, %%H and %%%%", pattern, at);
        len += *at == 'Y' ? 3 : *at == '%' ? 0 : 1;
    }
    return len <= DOCUMENT_INDEX_MAX ||
           error_set(error, "index=%.100s...: longer than %d octets", pattern, DOCUMENT_INDEX_MAX);
}

void document_put_index(const char *pattern, int64_t second, struct buffer *out)
{
    struct tm tm = {0};
    char text[2 * DOCUMENT_INDEX_MAX];
    gmtime_r(&second, &tm);
    size_t len = strftime(text, sizeof text, pattern, &tm);
    buffer_put(out, text, len);
}
