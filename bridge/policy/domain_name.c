#include "domain_name.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <idn2.h>
#include <string.h>

static bool is_plain(unsigned char c)
{
    return isalnum(c) || c == '-' || c == '_' || c == '/';
}

/* One character of a name, `\.` and `\DDD` too; -1: there is none, or it must be escaped. */
static int read_character(const char **text)
{
    const char *at = *text;
    if (*at != '\\') {
        *text += 1;
        return is_plain((unsigned char)*at) ? (unsigned char)*at : -1;
    }
    if (isdigit((unsigned char)at[1]) && isdigit((unsigned char)at[2]) &&
        isdigit((unsigned char)at[3])) {
        int number = (at[1] - '0') * 100 + (at[2] - '0') * 10 + (at[3] - '0');
        *text += 4;
        return number < 256 ? number : -1;
    }
    *text += at[1] ? 2 : 1;
    return at[1] ? (unsigned char)at[1] : -1;
}

/* 0: it is not a name. */
static unsigned read_ascii(const char *text, uint8_t wire[DNS_NAME_WIRE_MAX], unsigned *labels)
{
    unsigned len = 0;
    *labels = 0;
    if (strcmp(text, ".") == 0)
        text = "";
    while (*text) {
        unsigned start = len++;
        while (*text && *text != '.') {
            int c = read_character(&text);
            if (c < 0 || len - start > 63 || len + 1 >= DNS_NAME_WIRE_MAX)
                return 0;
            wire[len++] = (uint8_t)tolower(c);
        }
        if (len == start + 1 || *labels + 1 == QUESTION_LABELS)
            return 0;
        wire[start] = (uint8_t)(len - start - 1);
        *labels += 1;
        text += *text == '.';
    }
    wire[len++] = 0;
    return len;
}

static bool is_ascii(const char *text)
{
    while (*text && (unsigned char)*text < 0x80)
        text++;
    return !*text;
}

static unsigned read_international(const char *text, uint8_t wire[DNS_NAME_WIRE_MAX],
                                   unsigned *labels, struct error *error)
{
    char *ascii = NULL;
    if (strchr(text, '\\')) {
        error_set(error, "'%.200s' mixes escapes and letters beyond ASCII; write the A-labels (xn--...)", text);
        return 0;
    }
    int result = idn2_to_ascii_8z(text, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
    unsigned len = result == IDN2_OK ? read_ascii(ascii, wire, labels) : 0;
    if (result == IDN2_OK)
        idn2_free(ascii);
    if (len == 0)
        error_set(error, "'%.200s' is not an internationalised domain name: %s", text,
                  result == IDN2_OK ? "it holds characters that no name has" : idn2_strerror(result));
    return len;
}

unsigned domain_name_read(const char *text, uint8_t wire[DNS_NAME_WIRE_MAX], unsigned *labels,
                          struct error *error)
{
    struct in_addr address;
    if (!is_ascii(text))
        return read_international(text, wire, labels, error);
    if (inet_pton(AF_INET, text, &address) == 1) {
        error_set(error, "'%.200s' is an address, not a domain name", text);
        return 0;
    }
    unsigned len = *text ? read_ascii(text, wire, labels) : 0;
    if (len == 0)
        error_set(error, "'%.200s' is not a domain name, or *. and one; special characters are written as \\DDD",
                  text);
    return len;
}
