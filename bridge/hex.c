#include "hex.h"

static const char digits[] = "0123456789abcdef";

void hex_write(const uint8_t *data, unsigned len, char *out)
{
    for (unsigned i = 0; i < len; i++) {
        *out++ = digits[data[i] >> 4];
        *out++ = digits[data[i] & 15];
    }
    *out = '\0';
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool hex_read(const char *text, uint8_t *out, unsigned len)
{
    for (unsigned i = 0; i < len; i++) {
        int high = digit_of(text[2 * i]);
        int low = high < 0 ? -1 : digit_of(text[2 * i + 1]);
        if (low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return text[2 * len] == '\0';
}

int hex_digit(char c)
{
    return digit_of(c >= 'A' && c <= 'F' ? (char)(c | 0x20) : c);
}
