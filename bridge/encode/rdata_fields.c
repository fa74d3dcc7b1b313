#include "rdata_fields.h"

#include "../scan/dns_cut.h"
#include "../scan/dns_type.h"
#include "moment.h"
#include "put.h"

void rdata_put_1(struct rdata_cursor *c, struct buffer *out)
{
    put_unsigned(reader_u8(&c->r), out);
}

void rdata_put_2(struct rdata_cursor *c, struct buffer *out)
{
    put_unsigned(reader_be16(&c->r), out);
}

void rdata_put_4(struct rdata_cursor *c, struct buffer *out)
{
    put_unsigned(reader_be32(&c->r), out);
}

void rdata_put_type(struct rdata_cursor *c, struct buffer *out)
{
    dns_type_put(reader_be16(&c->r), out);
}

void rdata_put_time(struct rdata_cursor *c, struct buffer *out)
{
    moment_put_compact(reader_be32(&c->r), out);
}

void rdata_put_time48(struct rdata_cursor *c, struct buffer *out)
{
    uint64_t high = reader_be16(&c->r);
    moment_put_compact((int64_t)(high << 32 | reader_be32(&c->r)), out);
}

void rdata_put_name(struct rdata_cursor *c, struct buffer *out)
{
    if (reader_left(&c->r) == 0)
        return;
    struct dns_name name = dns_name_take(c->message, &c->r);
    if (name.message)
        dns_name_put(name, out);
}

void rdata_put_names(struct rdata_cursor *c, struct buffer *out)
{
    while (reader_left(&c->r) > 0 && !c->r.bad) {
        buffer_put_char(out, ' ');
        rdata_put_name(c, out);
    }
}

void rdata_put_address(struct octets address, bool go, struct buffer *out)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (!go && address.len == 16 && memcmp(address.data, mapped, sizeof mapped) == 0)
        buffer_put_string(out, "::ffff:");
    if (address.len > 0)
        put_address(address, out);
}

void rdata_put_ipv4(struct rdata_cursor *c, struct buffer *out)
{
    if (reader_left(&c->r) > 0)
        rdata_put_address(reader_octets(&c->r, 4), c->go, out);
}

void rdata_put_locator(struct rdata_cursor *c, struct buffer *out)
{
    if (reader_left(&c->r) == 0)
        return;
    buffer_put_char(out, ' ');
    rdata_put_ipv4(c, out);
}

void rdata_put_ipv6(struct rdata_cursor *c, struct buffer *out)
{
    if (reader_left(&c->r) > 0)
        rdata_put_address(reader_octets(&c->r, 16), c->go, out);
}

static void put_named(const char *name, unsigned number, struct buffer *out)
{
    if (name)
        buffer_put_string(out, name);
    else
        put_unsigned(number, out);
}

void rdata_put_cert(struct rdata_cursor *c, struct buffer *out)
{
    static const char *const names[] = {
        [1] = "PKIX", [2] = "SPKI",   [3] = "PGP",     [4] = "IPIX",  [5] = "ISPKI",
        [6] = "IPGP", [7] = "ACPKIX", [8] = "IACPKIX", [253] = "URI", [254] = "OID",
    };
    unsigned type = reader_be16(&c->r);
    put_named(type < sizeof names / sizeof names[0] ? names[type] : NULL, type, out);
}

const char *rdata_algorithm(uint8_t number)
{
    static const char *const names[256] = {
        [1] = "RSAMD5",
        [2] = "DH",
        [3] = "DSA",
        [5] = "RSASHA1",
        [6] = "DSA-NSEC3-SHA1",
        [7] = "RSASHA1-NSEC3-SHA1",
        [8] = "RSASHA256",
        [10] = "RSASHA512",
        [12] = "ECC-GOST",
        [13] = "ECDSAP256SHA256",
        [14] = "ECDSAP384SHA384",
        [15] = "ED25519",
        [16] = "ED448",
        [252] = "INDIRECT",
        [253] = "PRIVATEDNS",
        [254] = "PRIVATEOID",
    };
    return names[number];
}

void rdata_put_algorithm(struct rdata_cursor *c, struct buffer *out)
{
    uint8_t number = reader_u8(&c->r);
    put_named(rdata_algorithm(number), number, out);
}

static void put_grouped(struct rdata_cursor *c, size_t len, size_t group, char mark, bool upper,
                        struct buffer *out)
{
    static const uint8_t zeros[8];
    const uint8_t *data = reader_left(&c->r) > 0 ? reader_take(&c->r, len) : NULL;
    for (size_t i = 0; i < len; i += group) {
        struct octets part = {(data ? data : zeros) + i, (uint32_t)group};
        if (i > 0)
            buffer_put_char(out, mark);
        if (upper)
            put_hex_upper(part, out);
        else
            put_hex(part, out);
    }
}

void rdata_put_id(struct rdata_cursor *c, struct buffer *out)
{
    put_grouped(c, 8, 2, ':', false, out);
}

void rdata_put_id_upper(struct rdata_cursor *c, struct buffer *out)
{
    put_grouped(c, 8, 2, ':', true, out);
}

void rdata_put_eui48(struct rdata_cursor *c, struct buffer *out)
{
    put_grouped(c, 6, 1, '-', false, out);
}

void rdata_put_eui64(struct rdata_cursor *c, struct buffer *out)
{
    put_grouped(c, 8, 1, '-', false, out);
}

void rdata_put_decimal(uint8_t octet, struct buffer *out)
{
    buffer_put_char(out, '\\');
    put_padded(octet, 3, out);
}

static void put_escaped(uint8_t octet, struct buffer *out)
{
    if (octet < ' ' || octet > '~') {
        rdata_put_decimal(octet, out);
        return;
    }
    if (octet == '"' || octet == '\\')
        buffer_put_char(out, '\\');
    buffer_put_char(out, (char)octet);
}

void rdata_put_word(struct rdata_cursor *c, struct buffer *out)
{
    struct octets text = reader_octets(&c->r, reader_u8(&c->r));
    for (uint32_t i = 0; i < text.len; i++) {
        if (!c->go && strchr(" ;()", text.data[i] ? text.data[i] : 'a'))
            rdata_put_decimal(text.data[i], out); /* what would end a bare word */
        else
            put_escaped(text.data[i], out);
    }
}

void rdata_put_string(struct rdata_cursor *c, struct buffer *out)
{
    bool go = c->go;
    buffer_put_char(out, '"');
    c->go = true;
    rdata_put_word(c, out);
    c->go = go;
    buffer_put_char(out, '"');
}

void rdata_put_strings(struct rdata_cursor *c, struct buffer *out)
{
    for (bool first = true; reader_left(&c->r) > 0 && !c->r.bad; first = false) {
        if (!first)
            buffer_put_char(out, ' ');
        rdata_put_string(c, out);
    }
}

void rdata_put_base64(struct rdata_cursor *c, struct buffer *out)
{
    put_base64(reader_rest(&c->r), out);
}

void rdata_put_hex(struct rdata_cursor *c, struct buffer *out)
{
    put_hex(reader_rest(&c->r), out);
}

void rdata_put_upper(struct rdata_cursor *c, struct buffer *out)
{
    put_hex_upper(reader_rest(&c->r), out);
}

/* 1024 digits each. */
void rdata_put_pieces(struct rdata_cursor *c, struct buffer *out)
{
    while (reader_left(&c->r) > 0) {
        size_t len = reader_left(&c->r) < 512 ? reader_left(&c->r) : 512;
        put_hex(reader_octets(&c->r, len), out);
        if (reader_left(&c->r) > 0)
            buffer_put_char(out, ' ');
    }
}

static bool is_digit(uint8_t octet)
{
    return octet >= '0' && octet <= '9';
}

/* The octet that an escape in `text` at `*at` stands for; Go reads escapes in what never had any.
 */
static bool take_escape(struct octets text, uint32_t *at, uint8_t *octet)
{
    const uint8_t *s = text.data + *at;
    uint32_t left = text.len - *at;
    if (left < 2)
        return false;
    if (left >= 4 && is_digit(s[1]) && is_digit(s[2]) && is_digit(s[3])) {
        *octet = (uint8_t)((s[1] - '0') * 100 + (s[2] - '0') * 10 + (s[3] - '0'));
        *at += 4;
        return true;
    }
    *octet = s[1];
    *at += 2;
    return true;
}

static void put_quoted_go(struct octets text, struct buffer *out)
{
    for (uint32_t at = 0; at < text.len;) {
        uint8_t octet = text.data[at];
        if (octet != '\\') {
            put_escaped(octet, out);
            at++;
        } else if (at + 1 < text.len && text.data[at + 1] == '.') {
            buffer_put_string(out, "\\.");
            at += 2;
        } else if (take_escape(text, &at, &octet)) {
            put_escaped(octet, out);
        } else {
            at++;
        }
    }
}

void rdata_put_quoted(struct rdata_cursor *c, struct buffer *out)
{
    struct octets text = reader_rest(&c->r);
    buffer_put_char(out, '"');
    if (c->go)
        put_quoted_go(text, out);
    for (uint32_t i = 0; !c->go && i < text.len; i++)
        put_escaped(text.data[i], out);
    buffer_put_char(out, '"');
}

void rdata_put_raw(struct rdata_cursor *c, struct buffer *out)
{
    struct octets rest = reader_rest(&c->r);
    buffer_put(out, rest.data, rest.len);
}

void rdata_put_salt(struct rdata_cursor *c, struct buffer *out)
{
    struct octets salt = reader_octets(&c->r, reader_u8(&c->r));
    if (salt.len == 0)
        buffer_put_char(out, '-');
    put_hex_upper(salt, out);
}

void rdata_put_base32(struct rdata_cursor *c, struct buffer *out)
{
    put_base32hex(reader_octets(&c->r, reader_u8(&c->r)), out);
}

static struct octets put_count(struct rdata_cursor *c, struct buffer *out)
{
    size_t len = reader_be16(&c->r);
    put_unsigned(len, out);
    buffer_put_char(out, ' ');
    return reader_octets(&c->r, len);
}

void rdata_put_counted(struct rdata_cursor *c, struct buffer *out)
{
    put_hex(put_count(c, out), out);
}

void rdata_put_counted_upper(struct rdata_cursor *c, struct buffer *out)
{
    put_hex_upper(put_count(c, out), out);
}

void rdata_put_hip(struct rdata_cursor *c, struct buffer *out)
{
    size_t tag = reader_u8(&c->r);
    rdata_put_1(c, out);
    size_t key = reader_be16(&c->r);
    buffer_put_char(out, ' ');
    if (c->go)
        put_hex(reader_octets(&c->r, tag), out);
    else
        put_hex_upper(reader_octets(&c->r, tag), out);
    buffer_put_char(out, ' ');
    put_base64(reader_octets(&c->r, key), out);
}

static void put_window(unsigned window, struct octets bits, struct buffer *out)
{
    for (unsigned i = 0; i < 8 * bits.len; i++) {
        if (bits.data[i / 8] & 0x80 >> i % 8) {
            buffer_put_char(out, ' ');
            dns_type_put((uint16_t)(window * 256 + i), out);
        }
    }
}

void rdata_put_bitmap(struct rdata_cursor *c, struct buffer *out)
{
    while (reader_left(&c->r) > 0 && !c->r.bad) {
        unsigned window = reader_u8(&c->r);
        put_window(window, reader_octets(&c->r, reader_u8(&c->r)), out);
    }
}
