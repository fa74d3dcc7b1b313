#include "json_string.h"

uint32_t utf8_take(struct octets text, uint32_t *character)
{
    static const struct {
        uint8_t mask, lead;
        uint32_t least;
    } forms[] = {{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};

    for (uint32_t n = 0; n < 4 && n < text.len; n++) {
        if ((text.data[0] & forms[n].mask) != forms[n].lead)
            continue;
        uint32_t code = text.data[0] & (uint8_t)~forms[n].mask;
        for (uint32_t i = 1; i <= n; i++) {
            if ((text.data[i] & 0xc0) != 0x80)
                return 0;
            code = code << 6 | (text.data[i] & 0x3f);
        }
        bool valid = code >= forms[n].least && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
        *character = code;
        return valid ? n + 1 : 0;
    }
    return 0;
}

/* Octets that stand for themselves, for each manner a bit. */
static bool is_plain(uint8_t octet, enum json_string_manner manner)
{
    if (octet < 0x20 || octet >= 0x80 || octet == '"' || octet == '\\')
        return false;
    return manner == JSON_STRING_PLAIN || (octet != '<' && octet != '>' && octet != '&');
}

static void put_code(uint32_t code, struct buffer *out)
{
    static const char digits[] = "0123456789abcdef";
    char escape[6] = {'\\', 'u'};
    for (int i = 0; i < 4; i++)
        escape[2 + i] = digits[code >> (12 - 4 * i) & 15];
    buffer_put(out, escape, sizeof escape);
}

static void put_ascii_escape(uint8_t octet, struct buffer *out)
{
    static const char letters[128] = {
        ['"'] = '"', ['\\'] = '\\', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
    if (!letters[octet]) {
        put_code(octet, out);
        return;
    }
    buffer_put_char(out, '\\');
    buffer_put_char(out, letters[octet]);
}

/* One character that does not stand for itself; how many octets it takes. */
static uint32_t put_special(struct octets text, enum json_string_manner manner, struct buffer *out)
{
    uint32_t code;
    uint32_t len = utf8_take(text, &code);
    bool go = manner == JSON_STRING_GO;

    if (len == 0) {
        buffer_put_string(out, go ? "\\ufffd" : "\xef\xbf\xbd");
        return 1;
    }
    if (len == 1)
        put_ascii_escape(text.data[0], out);
    else if (go && (code == 0x2028 || code == 0x2029))
        put_code(code, out);
    else
        buffer_put(out, text.data, len);
    return len;
}

void json_string_put(struct octets text, enum json_string_manner manner, struct buffer *out)
{
    buffer_put_char(out, '"');
    for (uint32_t at = 0; at < text.len;) {
        uint32_t run = at;
        while (run < text.len && is_plain(text.data[run], manner))
            run++;
        buffer_put(out, text.data + at, run - at);
        at = run;
        if (at < text.len)
            at += put_special((struct octets){text.data + at, text.len - at}, manner, out);
    }
    buffer_put_char(out, '"');
}

/* Whether one of eight ASCII characters is a quote or a backslash: x ^ c is 0 where x is c, and only 0
 * does not carry into the top bit when 0x7f is added. */
static bool has_escape(const uint8_t *eight)
{
    const uint64_t each = 0x0101010101010101;
    uint64_t x;
    memcpy(&x, eight, sizeof x);
    uint64_t differs = ((x ^ each * '"') + each * 0x7f) & ((x ^ each * '\\') + each * 0x7f);
    return (differs & each * 0x80) != each * 0x80;
}

/* How many quotes and backslashes there are. Nearly always none, which eight octets at a time tell. */
static size_t count_escapes(const uint8_t *data, size_t len)
{
    size_t count = 0, i = 0;
    for (; len - i >= 8 && !has_escape(data + i); i += 8)
        ;
    for (; i < len; i++)
        count += data[i] == '"' || data[i] == '\\';
    return count;
}

void json_string_seal(struct buffer *out, size_t from)
{
    if (out->failed)
        return;
    size_t extra = count_escapes(out->data + from, out->len - from);
    if (!buffer_room(out, extra + 1))
        return;
    if (extra == 0) {
        out->data[out->len++] = '"';
        return;
    }
    size_t from_end = out->len;
    out->len += extra;
    for (size_t to = out->len;
         to > from_end;) { /* from the back; equal: the rest stays where it is */
        uint8_t octet = out->data[--from_end];
        out->data[--to] = octet;
        if (octet == '"' || octet == '\\')
            out->data[--to] = '\\';
    }
    out->data[out->len++] = '"';
}
