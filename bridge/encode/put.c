#include "put.h"

#include <inttypes.h>
#include <stdbool.h>

static const char hex_digits[] = "0123456789abcdef";

/* 00 to 99, two characters each: one division makes two digits. */
static const char pairs[201] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
                               "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
                               "8081828384858687888990919293949596979899";

static uint8_t *write_pair(uint8_t *to, unsigned value)
{
    memcpy(to, pairs + 2 * value, 2);
    return to + 2;
}

/* In place, for what goes through a second buffer has to wait there until its single digits have arrived. */
uint8_t *write_unsigned(uint8_t *to, uint64_t value)
{
    if (value >= 10000) {
        to = write_unsigned(to, value / 10000);
        to = write_pair(to, (unsigned)(value / 100 % 100));
        return write_pair(to, (unsigned)(value % 100));
    }
    unsigned small = (unsigned)value, high = small / 100;
    if (high >= 10)
        to = write_pair(to, high);
    else if (high > 0)
        *to++ = (uint8_t)('0' + high);
    if (small >= 10)
        return write_pair(to, small % 100);
    *to++ = (uint8_t)('0' + small);
    return to;
}

uint8_t *write_six(uint8_t *to, uint32_t value)
{
    to = write_pair(to, value / 10000);
    to = write_pair(to, value / 100 % 100);
    return write_pair(to, value % 100);
}

uint8_t *write_nine(uint8_t *to, uint32_t value)
{
    uint32_t high = value / 100000, low = value % 100000;
    to = write_pair(to, high / 100);
    to = write_pair(to, high % 100);
    to = write_pair(to, low / 1000);
    to = write_pair(to, low / 10 % 100);
    *to++ = (uint8_t)('0' + low % 10);
    return to;
}

void put_padded(uint64_t value, unsigned width, struct buffer *out)
{
    uint8_t digits[WRITE_UNSIGNED_MAX];
    size_t len = (size_t)(write_unsigned(digits, value) - digits);
    for (; width > len; width--)
        buffer_put_char(out, '0');
    buffer_put(out, digits, len);
}

void put_unsigned(uint64_t value, struct buffer *out)
{
    uint8_t *to = buffer_room(out, WRITE_UNSIGNED_MAX);
    if (to)
        buffer_grow_to(out, write_unsigned(to, value));
}

void put_signed(int64_t value, struct buffer *out)
{
    if (value < 0)
        buffer_put_char(out, '-');
    put_unsigned(value < 0 ? 0 - (uint64_t)value : (uint64_t)value, out);
}

void put_hex(struct octets octets, struct buffer *out)
{
    if (!buffer_reserve(out, 2 * (size_t)octets.len))
        return;
    for (uint32_t i = 0; i < octets.len; i++) {
        out->data[out->len++] = (uint8_t)hex_digits[octets.data[i] >> 4];
        out->data[out->len++] = (uint8_t)hex_digits[octets.data[i] & 15];
    }
}

void put_hex_upper(struct octets octets, struct buffer *out)
{
    static const char digits[] = "0123456789ABCDEF";
    if (!buffer_reserve(out, 2 * (size_t)octets.len))
        return;
    for (uint32_t i = 0; i < octets.len; i++) {
        out->data[out->len++] = (uint8_t)digits[octets.data[i] >> 4];
        out->data[out->len++] = (uint8_t)digits[octets.data[i] & 15];
    }
}

void put_base64(struct octets octets, struct buffer *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *from = octets.data;
    uint32_t left = octets.len;
    uint8_t *to = buffer_reserve(out, ((size_t)left + 2) / 3 * 4);
    if (!to)
        return;
    out->len += ((size_t)left + 2) / 3 * 4;
    for (; left >= 3; left -= 3, from += 3) {
        uint32_t bits = (uint32_t)from[0] << 16 | (uint32_t)from[1] << 8 | from[2];
        *to++ = (uint8_t)digits[bits >> 18];
        *to++ = (uint8_t)digits[bits >> 12 & 63];
        *to++ = (uint8_t)digits[bits >> 6 & 63];
        *to++ = (uint8_t)digits[bits & 63];
    }
    if (left > 0) {
        uint32_t bits = (uint32_t)from[0] << 16 | (left > 1 ? (uint32_t)from[1] << 8 : 0);
        *to++ = (uint8_t)digits[bits >> 18];
        *to++ = (uint8_t)digits[bits >> 12 & 63];
        *to++ = left > 1 ? (uint8_t)digits[bits >> 6 & 63] : '=';
        *to = '=';
    }
}

void put_base32hex(struct octets octets, struct buffer *out)
{
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUV";
    uint32_t bits = 0;
    unsigned held = 0;
    for (uint32_t i = 0; i < octets.len; i++) {
        bits = bits << 8 | octets.data[i];
        for (held += 8; held >= 5; held -= 5)
            buffer_put_char(out, digits[bits >> (held - 5) & 31]);
    }
    if (held > 0)
        buffer_put_char(out, digits[bits << (5 - held) & 31]);
}

static uint8_t *write_octet(uint8_t *to, unsigned value)
{
    if (value >= 100) {
        *to++ = (uint8_t)('0' + value / 100);
        return write_pair(to, value % 100);
    }
    if (value >= 10)
        return write_pair(to, value);
    *to++ = (uint8_t)('0' + value);
    return to;
}

static uint8_t *write_ipv4(uint8_t *to, const uint8_t *address)
{
    to = write_octet(to, address[0]);
    *to++ = '.';
    to = write_octet(to, address[1]);
    *to++ = '.';
    to = write_octet(to, address[2]);
    *to++ = '.';
    return write_octet(to, address[3]);
}

static uint8_t *write_group(uint8_t *to, unsigned group)
{
    bool begun = false;

    for (int shift = 12; shift >= 0; shift -= 4) {
        unsigned digit = group >> shift & 15;
        begun = begun || digit > 0 || shift == 0;
        if (begun)
            *to++ = (uint8_t)hex_digits[digit];
    }
    return to;
}

/* The first of the longest runs of zero groups, of two at least; its length, 0 if there is none. */
static int longest_zeros(const uint16_t groups[8], int *first)
{
    int longest = 1;

    for (int i = 0; i < 8; i++) {
        int run = 0;
        while (i + run < 8 && groups[i + run] == 0)
            run++;
        if (run > longest) {
            longest = run;
            *first = i;
        }
        i += run;
    }
    return longest > 1 ? longest : 0;
}

static uint8_t *write_ipv6(uint8_t *to, const uint8_t *address)
{
    uint16_t groups[8];
    int zeros_at = 8;

    for (int i = 0; i < 8; i++)
        groups[i] = (uint16_t)(address[2 * i] << 8 | address[2 * i + 1]);
    int zeros = longest_zeros(groups, &zeros_at);
    for (int i = 0; i < 8; i++) {
        if (zeros > 0 && i == zeros_at) {
            *to++ = ':';
            *to++ = ':';
            i += zeros - 1;
            continue;
        }
        if (i > 0 && i != zeros_at + zeros)
            *to++ = ':';
        to = write_group(to, groups[i]);
    }
    return to;
}

void put_address(struct octets address, struct buffer *out)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    uint8_t *to = buffer_room(out, PUT_ADDRESS_MAX);

    if (!to)
        return;
    if (address.len == 4) {
        buffer_grow_to(out, write_ipv4(to, address.data));
    } else if (address.len == 0) {
        buffer_put_string(out, "<nil>");
    } else if (address.len != 16) {
        buffer_put_char(out, '?');
        put_hex(address, out);
    } else if (memcmp(address.data, mapped, sizeof mapped) == 0) {
        buffer_grow_to(out, write_ipv4(to, address.data + 12));
    } else {
        buffer_grow_to(out, write_ipv6(to, address.data));
    }
}
