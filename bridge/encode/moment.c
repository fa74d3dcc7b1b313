#include "moment.h"

#include "put.h"

enum { DAY = 86400, BILLION = 1000000000 };

struct date {
    int64_t year;
    unsigned month, day, of_day;
};

/* Counted from a year that lies far back and is 1 modulo 400, without a sign, so that the
 * arithmetic wraps at 64 bits where Go's does. The Gregorian calendar, in eras of 400 years that
 * begin in March. */
static struct date date_of(int64_t second)
{
    const uint64_t before_1970 = 9223372028715321600u; /* seconds; whole days */
    const int64_t year_before = -292277022400;
    uint64_t since = (uint64_t)second + before_1970;
    uint64_t days = since / DAY + 306; /* from March of the year before */
    unsigned of_era = (unsigned)(days % 146097);
    unsigned year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    unsigned of_year = of_era - (365 * year + year / 4 - year / 100);
    unsigned month = (5 * of_year + 2) / 153;
    struct date date = {
        .month = month < 10 ? month + 3 : month - 9,
        .day = of_year - (153 * month + 2) / 5 + 1,
        .of_day = (unsigned)(since % DAY),
    };
    date.year = year_before + (int64_t)(days / 146097) * 400 + (int64_t)year + (date.month <= 2);
    return date;
}

static void put_date(struct date date, const char *dash, char separator, const char *colon,
                     struct buffer *out)
{
    if (date.year < 0)
        buffer_put_char(out, '-');
    put_padded((uint64_t)(date.year < 0 ? -date.year : date.year), 4, out);
    buffer_put_string(out, dash);
    put_padded(date.month, 2, out);
    buffer_put_string(out, dash);
    put_padded(date.day, 2, out);
    if (separator)
        buffer_put_char(out, separator);
    put_padded(date.of_day / 3600, 2, out);
    buffer_put_string(out, colon);
    put_padded(date.of_day / 60 % 60, 2, out);
    buffer_put_string(out, colon);
    put_padded(date.of_day % 60, 2, out);
}

/* Keeps the text of a second. It is 28 octets at most: the year has 12 digits, and perhaps a sign. */
static bool keep_second(struct moment *moment, int64_t second, char separator, struct buffer *out)
{
    size_t before = out->len;
    put_date(date_of(second), "-", separator, ":", out);
    size_t len = out->len - before;
    moment->len = 0;
    if (out->failed || len > sizeof moment->text)
        return false;
    memcpy(moment->text, out->data + before, len);
    out->len = before;
    moment->len = (uint8_t)len;
    moment->second = second;
    moment->separator = separator;
    return true;
}

void moment_put(struct moment *moment, int64_t second, uint32_t nanosecond, char separator,
                struct buffer *out)
{
    if (nanosecond >= BILLION) {
        second = (int64_t)((uint64_t)second + nanosecond / BILLION);
        nanosecond %= BILLION;
    }
    bool kept = moment->len > 0 && moment->second == second && moment->separator == separator;
    if (!kept && !keep_second(moment, second, separator, out))
        return;
    uint8_t *to = buffer_room(out, sizeof moment->text + 10);
    if (!to)
        return;
    memcpy(to, moment->text, sizeof moment->text); /* of known size, which is quicker than the right one */
    to += moment->len;
    *to++ = '.';
    buffer_grow_to(out, write_nine(to, nanosecond));
}

void moment_put_short(struct moment *moment, int64_t second, uint32_t nanosecond, char separator,
                      struct buffer *out)
{
    moment_put(moment, second, nanosecond, separator, out);
    if (out->failed)
        return;
    while (out->data[out->len - 1] == '0')
        out->len--;
    if (out->data[out->len - 1] == '.')
        out->len--;
}

void moment_put_compact(int64_t second, struct buffer *out)
{
    put_date(date_of(second), "", '\0', "", out);
}
