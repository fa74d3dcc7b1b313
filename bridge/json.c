#include "json.h"

#include <stdio.h>

#include "json_string.h"

static void put_name(struct buffer *out, const char *name)
{
    char last = out->len ? (char)out->data[out->len - 1] : '{';
    if (last != '{' && last != '[' && last != ':')
        buffer_put_char(out, ',');
    if (name) {
        buffer_put_char(out, '"');
        buffer_put_string(out, name);
        buffer_put_string(out, "\":");
    }
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

void json_member(struct buffer *out, const char *name)
{
    put_name(out, name);
}

void json_text(struct buffer *out, const char *name, const char *text)
{
    put_name(out, name);
    json_string_put((struct octets){(const uint8_t *)text, (uint32_t)strlen(text)}, JSON_STRING_PLAIN,
                    out);
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
