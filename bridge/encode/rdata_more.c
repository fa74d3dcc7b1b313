/* The fields of RDATA that take more than a line: service parameters, address prefixes, locations.
 */
#include <stdio.h>

#include "../scan/dns_cut.h"
#include "put.h"
#include "rdata_fields.h"

enum { KEY_RESERVED = 65535 };

static void put_key(uint16_t key, struct buffer *out)
{
    static const char *const names[] = {"mandatory", "alpn", "no-default-alpn", "port",
                                        "ipv4hint",  "ech",  "ipv6hint",        "dohpath"};
    if (key < sizeof names / sizeof names[0]) {
        buffer_put_string(out, names[key]);
    } else if (key != KEY_RESERVED) {
        buffer_put_string(out, "key");
        put_unsigned(key, out);
    }
}

static void put_mandatory(struct octets value, bool go, struct buffer *out)
{
    (void)go;
    struct reader r = reader_over(value.data, value.len);
    while (reader_left(&r) >= 2) {
        put_key(reader_be16(&r), out);
        if (reader_left(&r) >= 2)
            buffer_put_char(out, ',');
    }
}

/* A value in quotes; what means something in a zone file is escaped. */
static void put_value(struct octets value, bool go, struct buffer *out)
{
    (void)go;
    for (uint32_t i = 0; i < value.len; i++) {
        uint8_t octet = value.data[i];
        if (octet < ' ' || octet > '~') {
            rdata_put_decimal(octet, out);
            continue;
        }
        if (strchr("\"; \\", octet))
            buffer_put_char(out, '\\');
        buffer_put_char(out, (char)octet);
    }
}

/* Commas and backslashes inside a protocol's name are escaped twice: RFC 9460, appendix A.1. */
static void put_alpn(struct octets value, bool go, struct buffer *out)
{
    struct reader r = reader_over(value.data, value.len);
    while (reader_left(&r) > 0 && !r.bad) {
        struct octets name = reader_octets(&r, reader_u8(&r));
        for (uint32_t i = 0; i < name.len; i++) {
            if (name.data[i] == ',')
                buffer_put_string(out, "\\\\\\044");
            else if (name.data[i] == '\\')
                buffer_put_string(out, "\\\\\\092");
            else
                put_value((struct octets){name.data + i, 1}, go, out);
        }
        if (reader_left(&r) > 0)
            buffer_put_char(out, ',');
    }
}

static void put_port(struct octets value, bool go, struct buffer *out)
{
    (void)go;
    struct reader r = reader_over(value.data, value.len);
    put_unsigned(reader_be16(&r), out);
}

static void put_hints(struct octets value, uint32_t width, bool go, struct buffer *out)
{
    for (uint32_t at = 0; at + width <= value.len; at += width) {
        if (at > 0)
            buffer_put_char(out, ',');
        rdata_put_address((struct octets){value.data + at, width}, go, out);
    }
}

static void put_ipv4_hints(struct octets value, bool go, struct buffer *out)
{
    put_hints(value, 4, go, out);
}

static void put_ipv6_hints(struct octets value, bool go, struct buffer *out)
{
    put_hints(value, 16, go, out);
}

static void put_ech(struct octets value, bool go, struct buffer *out)
{
    (void)go;
    put_base64(value, out);
}

static void (*const parameter_puts[])(struct octets, bool, struct buffer *) = {
    put_mandatory,  put_alpn, put_value,      put_port,
    put_ipv4_hints, put_ech,  put_ipv6_hints, put_value,
};

void rdata_put_parameters(struct rdata_cursor *c, struct buffer *out)
{
    uint16_t key;
    struct octets value;
    while (dns_coded_next(&c->r, &key, &value)) {
        buffer_put_char(out, ' ');
        put_key(key, out);
        if (!c->go && value.len == 0)
            continue;
        buffer_put_string(out, "=\"");
        if (key < sizeof parameter_puts / sizeof parameter_puts[0])
            parameter_puts[key](value, c->go, out);
        else
            put_value(value, c->go, out);
        buffer_put_char(out, '"');
    }
}

void rdata_put_prefixes(struct rdata_cursor *c, struct buffer *out)
{
    for (bool first = true; reader_left(&c->r) > 0 && !c->r.bad; first = false) {
        uint8_t address[16] = {0};
        uint32_t width = reader_be16(&c->r) == 1 ? 4 : 16;
        uint8_t prefix = reader_u8(&c->r);
        uint8_t len = reader_u8(&c->r);
        struct octets given = reader_octets(&c->r, len & 0x7f);
        if (given.len > 0 && given.len <= sizeof address)
            memcpy(address, given.data, given.len);
        if (!first)
            buffer_put_char(out, ' ');
        buffer_put_string(out, len & 0x80 ? "!" : "");
        buffer_put_string(out, width == 4 ? "1:" : "2:");
        rdata_put_address((struct octets){address, width}, false, out);
        buffer_put_char(out, '/');
        put_unsigned(prefix, out);
    }
}

static void put_angle(uint32_t value, char positive, char negative, struct buffer *out)
{
    const uint32_t middle = 1u << 31;
    char text[64];
    char side = value > middle ? positive : negative;
    uint32_t angle = value > middle ? value - middle : middle - value;
    snprintf(text, sizeof text, "%02u %02u %0.3f %c ", angle / 3600000, angle % 3600000 / 60000,
             angle % 60000 / 1000.0, side);
    buffer_put_string(out, text);
}

/* A length as RFC 1876 packs it: a digit and a power of ten, in centimetres. */
static void put_length(uint8_t packed, const char *end, struct buffer *out)
{
    unsigned digit = packed >> 4;
    unsigned power = packed & 15;
    if (power < 2) {
        buffer_put_string(out, "0.");
        put_padded(power == 1 ? digit * 10 : digit, 2, out);
    } else {
        put_unsigned(digit, out);
        for (; power > 2; power--)
            buffer_put_char(out, '0');
    }
    buffer_put_string(out, end);
}

void rdata_put_location(struct rdata_cursor *c, struct buffer *out)
{
    char text[64];
    reader_u8(&c->r); /* version */
    uint8_t size = reader_u8(&c->r);
    uint8_t horizontal = reader_u8(&c->r);
    uint8_t vertical = reader_u8(&c->r);
    put_angle(reader_be32(&c->r), 'N', 'S', out);
    put_angle(reader_be32(&c->r), 'E', 'W', out);
    uint32_t altitude = reader_be32(&c->r);
    snprintf(text, sizeof text, altitude % 100 ? "%.2fm " : "%.0fm ", altitude / 100.0 - 100000);
    buffer_put_string(out, text);
    put_length(size, "m ", out);
    put_length(horizontal, "m ", out);
    put_length(vertical, "m", out);
}
