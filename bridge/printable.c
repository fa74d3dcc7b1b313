#include "printable.h"

#include <string.h>

#include "json_string.h"

uint32_t printable_take(const char *text)
{
    uint32_t character = 0;
    uint32_t left = (uint32_t)strnlen(text, 4);
    uint32_t len = utf8_take((struct octets){(const uint8_t *)text, left}, &character);
    bool controls = character < 0x20 || (character >= 0x7f && character < 0xa0) || character == 0x2028 || character == 0x2029;
    bool turns = (character >= 0x202a && character <= 0x202e) || (character >= 0x2066 && character <= 0x2069) ||
                 character == 0x200e || character == 0x200f;
    return controls || turns ? 0 : len;
}

bool printable_is(const char *text)
{
    while (*text) {
        uint32_t len = printable_take(text);
        if (len == 0)
            return false;
        text += len;
    }
    return true;
}

void printable_copy(char *out, size_t room, const char *text)
{
    size_t len = 0;
    while (*text) {
        uint32_t take = printable_take(text);
        uint32_t put = take ? take : 1;
        if (len + put >= room)
            break;
        memcpy(out + len, take ? text : "?", put);
        len += put;
        text += put;
    }
    out[len] = '\0';
}
