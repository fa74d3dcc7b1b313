#include "dig_edns.h"

#include "../scan/dns_cut.h"
#include "names.h"
#include "put.h"
#include "rdata_fields.h"

static void put_utf8(uint8_t octet, struct buffer *out)
{
    if (octet < 0x80) {
        buffer_put_char(out, (char)octet);
        return;
    }
    buffer_put_char(out, (char)(0xc0 | octet >> 6));
    buffer_put_char(out, (char)(0x80 | (octet & 0x3f)));
}

static void put_nsid(struct octets value, struct buffer *out)
{
    put_hex(value, out);
    buffer_put_string(out, "  ");
    for (uint32_t i = 0; i < value.len; i++) {
        buffer_put_char(out, '(');
        put_utf8(value.data[i], out);
        buffer_put_char(out, ')');
    }
}

static void put_subnet(struct octets value, struct buffer *out)
{
    uint8_t address[16] = {0};
    struct reader r = reader_over(value.data, value.len);
    uint16_t family = reader_be16(&r);
    uint8_t source = reader_u8(&r);
    uint8_t scope = reader_u8(&r);
    uint32_t width = family == 2 ? 16 : 4;
    struct octets given = reader_rest(&r);
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

    if (family != 0 && given.len > 0)
        memcpy(address, given.data, given.len < width ? given.len : width);
    bool brackets = width == 16 && memcmp(address, mapped, sizeof mapped) != 0;
    buffer_put_string(out, brackets ? "[" : "");
    put_address((struct octets){address, width}, out);
    buffer_put_string(out, brackets ? "]/" : "/");
    put_unsigned(source, out);
    buffer_put_char(out, '/');
    put_unsigned(scope, out);
}

static void put_keepalive(struct octets value, struct buffer *out)
{
    struct reader r = reader_over(value.data, value.len);
    uint16_t tenths = reader_be16(&r);
    buffer_put_string(out, "use tcp keep-alive, timeout ");
    if (tenths == 0) {
        buffer_put_string(out, "omitted");
        return;
    }
    put_unsigned((uint16_t)(tenths * 100u), out); /* Go multiplies 16 bits, too */
    buffer_put_string(out, "ms");
}

static void put_lease(struct octets value, struct buffer *out)
{
    struct reader r = reader_over(value.data, value.len);
    put_unsigned(reader_be32(&r), out);
    buffer_put_char(out, ' ');
    put_unsigned(reader_be32(&r), out);
}

static void put_long_lived(struct octets value, struct buffer *out)
{
    struct reader r = reader_over(value.data, value.len);
    for (int i = 0; i < 3; i++) {
        put_unsigned(reader_be16(&r), out);
        buffer_put_char(out, ' ');
    }
    uint64_t id = (uint64_t)reader_be32(&r) << 32;
    put_unsigned(id | reader_be32(&r), out);
    buffer_put_char(out, ' ');
    put_unsigned(reader_be32(&r), out);
}

static void put_algorithms(struct octets value, struct buffer *out)
{
    for (uint32_t i = 0; i < value.len; i++) {
        const char *name = rdata_algorithm(value.data[i]);
        buffer_put_char(out, ' ');
        if (name)
            buffer_put_string(out, name);
        else
            put_unsigned(value.data[i], out);
    }
}

static void put_hashes(struct octets value, struct buffer *out)
{
    static const char *const names[] = {NULL, "SHA1", "SHA256", "GOST94", "SHA384", "SHA512"};
    for (uint32_t i = 0; i < value.len; i++) {
        uint8_t number = value.data[i];
        buffer_put_char(out, ' ');
        if (number > 0 && number < sizeof names / sizeof names[0])
            buffer_put_string(out, names[number]);
        else
            put_unsigned(number, out);
    }
}

static void put_error(struct octets value, struct buffer *out)
{
    struct reader r = reader_over(value.data, value.len);
    uint16_t code = reader_be16(&r);
    const char *name = code < 25 ? dns_error_name(code) : NULL;
    struct octets text = reader_rest(&r);

    put_unsigned(code, out);
    if (name) {
        buffer_put_string(out, " (");
        buffer_put_string(out, name);
        buffer_put_char(out, ')');
    }
    buffer_put_string(out, ": (");
    buffer_put(out, text.data, text.len);
    buffer_put_char(out, ')');
}

static void put_as_it_is(struct octets value, struct buffer *out)
{
    buffer_put(out, value.data, value.len);
}

/* Options that have a line of their own. EXPIRE (9) has none at all. */
static const struct {
    const char *title;
    void (*put)(struct octets value, struct buffer *out);
} lines[] = {
    [1] = {"LONG LIVED QUERIES", put_long_lived},
    [2] = {"UPDATE LEASE", put_lease},
    [3] = {"NSID", put_nsid},
    [4] = {"ESU", put_as_it_is},
    [5] = {"DNSSEC ALGORITHM UNDERSTOOD", put_algorithms},
    [6] = {"DS HASH UNDERSTOOD", put_hashes},
    [7] = {"NSEC3 HASH UNDERSTOOD", put_hashes},
    [8] = {"SUBNET", put_subnet},
    [10] = {"COOKIE", put_hex},
    [11] = {"KEEPALIVE", put_keepalive},
    [12] = {"PADDING", put_hex_upper},
    [15] = {"EDE", put_error},
};

enum { CODE_EXPIRE = 9 };

static void put_option(uint16_t code, struct octets value, struct buffer *out)
{
    if (code == CODE_EXPIRE)
        return;
    buffer_put_string(out, "\n; ");
    if (code < sizeof lines / sizeof lines[0] && lines[code].title) {
        buffer_put_string(out, lines[code].title);
        buffer_put_string(out, ": ");
        lines[code].put(value, out);
        return;
    }
    buffer_put_string(out, "LOCAL OPT: ");
    put_unsigned(code, out);
    buffer_put_string(out, ":0x");
    put_hex(value, out);
}

void dig_edns_put(struct octets message, const struct dns_record *opt, struct buffer *out)
{
    struct reader r = dns_rdata_reader(message, opt);
    struct octets value;
    uint16_t code;

    buffer_put_string(out, "\n;; OPT PSEUDOSECTION:\n; EDNS: version ");
    put_unsigned(opt->ttl >> 16 & 0xff, out);
    buffer_put_string(out, opt->ttl & 0x8000 ? "; flags: do; udp: " : "; flags: ; udp: ");
    put_unsigned(opt->class, out);
    while (dns_coded_next(&r, &code, &value))
        put_option(code, value, out);
    buffer_put_char(out, '\n');
}
