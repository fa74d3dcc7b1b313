#include "json.h"

#include <stdio.h>

static void put_name(struct buffer *out, const char *name)
{
    char last = out->len ? (char)out->data[out->len - 1] : '{';
    if (last != '{' && last != '[')
        buffer_put_char(out, ',');
    if (name) {
        buffer_put_char(out, '"');
        buffer_put_string(out, name);
        buffer_put_string(out, "\":");
    }
}

/* The length of the UTF-8 sequence at `s`, or 0 where there is none. */
static size_t utf8_length(const unsigned char *s)
{
    static const struct {
        unsigned char mask, lead;
        uint32_t least;
    } forms[] = {{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};
    for (size_t n = 0; n < 4; n++) {
        if ((s[0] & forms[n].mask) != forms[n].lead)
            continue;
        uint32_t code = s[0] & (unsigned char)~forms[n].mask;
        for (size_t i = 1; i <= n; i++) {
            if ((s[i] & 0xc0) != 0x80)
                return 0;
            code = code << 6 | (s[i] & 0x3f);
        }
        bool valid = code >= forms[n].least && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
        return valid ? n + 1 : 0;
    }
    return 0;
}

void json_open(struct buffer *out, const char *name, char bracket)
{
    put_name(out, name);
    buffer_put_char(out, bracket);
}

void json_close(struct buffer *out, char bracket)
{
    buffer_put_char(out, bracket);
}

void json_text(struct buffer *out, const char *name, const char *text)
{
    put_name(out, name);
    buffer_put_char(out, '"');
    const unsigned char *s = (const unsigned char *)text;
    while (*s) {
        size_t len = utf8_length(s);
        if (len == 0) {
            buffer_put_string(out, "\xef\xbf\xbd");
            s++;
        } else if (*s < 0x20) {
            char escape[8];
            snprintf(escape, sizeof escape, "\\u%04x", *s++);
            buffer_put_string(out, escape);
        } else {
            if (*s == '"' || *s == '\\')
                buffer_put_char(out, '\\');
            buffer_put(out, s, len);
            s += len;
        }
    }
    buffer_put_char(out, '"');
}

void json_number(struct buffer *out, const char *name, uint64_t number)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%llu", (unsigned long long)number);
    put_name(out, name);
    buffer_put_string(out, digits);
}

void json_bool(struct buffer *out, const char *name, bool value)
{
    put_name(out, name);
    buffer_put_string(out, value ? "true" : "false");
}
