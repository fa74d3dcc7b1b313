#include "json_reader.h"

#include "reader.h"

enum { DEPTH_MAX = 16 };

static bool value(struct reader *r, int depth);

static bool next_is(const struct reader *r, char c)
{
    return reader_left(r) > 0 && *r->at == (uint8_t)c;
}

static bool take(struct reader *r, char c)
{
    if (!next_is(r, c))
        return false;
    r->at++;
    return true;
}

/* One code point beyond ASCII: RFC 3629's table, row by row. */
static bool utf8_rest(struct reader *r, uint8_t lead)
{
    uint8_t low = 0x80, high = 0xbf;
    int more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
    if (lead < 0xc2 || lead > 0xf4)
        return false;
    if (lead == 0xe0)
        low = 0xa0;
    else if (lead == 0xed)
        high = 0x9f;
    else if (lead == 0xf0)
        low = 0x90;
    else if (lead == 0xf4)
        high = 0x8f;
    for (; more > 0; more--, low = 0x80, high = 0xbf) {
        uint8_t c = reader_u8(r);
        if (r->bad || c < low || c > high)
            return false;
    }
    return true;
}

static bool escape(struct reader *r)
{
    uint8_t c = reader_u8(r);
    if (c != 'u')
        return c && strchr("\"\\/bfnrt", c);
    for (int i = 0; i < 4; i++) {
        c = reader_u8(r);
        if (!c || !strchr("0123456789abcdefABCDEF", c))
            return false;
    }
    return true;
}

static bool string(struct reader *r)
{
    if (!take(r, '"'))
        return false;
    while (!r->bad) {
        uint8_t c = reader_u8(r);
        if (c == '"')
            return true;
        if (c < 0x20 || (c == '\\' && !escape(r)) || (c >= 0x80 && !utf8_rest(r, c)))
            return false;
    }
    return false;
}

static bool number(struct reader *r)
{
    if (take(r, '0'))
        return true;
    const uint8_t *start = r->at;
    while (reader_left(r) > 0 && *r->at >= '0' && *r->at <= '9')
        r->at++;
    return r->at > start;
}

static bool word(struct reader *r, const char *text)
{
    const uint8_t *at = reader_take(r, strlen(text));
    return at && memcmp(at, text, strlen(text)) == 0;
}

static bool members(struct reader *r, char close, int depth)
{
    if (take(r, close))
        return true;
    do {
        if (close == '}' && !(string(r) && take(r, ':')))
            return false;
        if (!value(r, depth + 1))
            return false;
    } while (take(r, ','));
    return take(r, close);
}

static bool value(struct reader *r, int depth)
{
    if (depth > DEPTH_MAX)
        return false;
    if (next_is(r, '"'))
        return string(r);
    if (take(r, '{'))
        return members(r, '}', depth);
    if (take(r, '['))
        return members(r, ']', depth);
    if (next_is(r, 't'))
        return word(r, "true");
    if (next_is(r, 'f'))
        return word(r, "false");
    return number(r);
}

bool json_is_valid(const struct buffer *json)
{
    struct reader r = reader_over(json->data, json->len);
    return value(&r, 0) && !r.bad && reader_left(&r) == 0;
}
