#include "../json_string.h"
#include "../scan/dns_cut.h"
#include "flat.h"
#include "names.h"
#include "put.h"

/* Fields of one option behind its code and name, each beginning with a comma. */
typedef void put_option(struct octets value, struct buffer *out);

static void put_data(struct octets value, struct buffer *out)
{
    FLAT_PUT(out, ",\"data\":\"");
    put_hex(value, out);
    buffer_put_char(out, '"');
}

static void put_nsid(struct octets value, struct buffer *out)
{
    put_data(value, out);
    FLAT_PUT(out, ",\"text\":");
    json_string_put(value, JSON_STRING_PLAIN, out);
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

    for (uint32_t i = 0; i < given.len && i < width; i++)
        address[i] = given.data[i];
    if (family != 0) {
        FLAT_PUT(out, ",\"address\":");
        flat_address_put((struct octets){address, width}, out);
    }
    FLAT_PUT(out, ",\"source\":");
    put_unsigned(source, out);
    FLAT_PUT(out, ",\"scope\":");
    put_unsigned(scope, out);
}

static void put_keepalive(struct octets value, struct buffer *out)
{
    struct reader r = reader_over(value.data, value.len);
    if (value.len != 2)
        return;
    FLAT_PUT(out, ",\"timeout_ms\":");
    put_unsigned(reader_be16(&r) * 100u, out);
}

static void put_padding(struct octets value, struct buffer *out)
{
    FLAT_PUT(out, ",\"length\":");
    put_unsigned(value.len, out);
}

static void put_error(struct octets value, struct buffer *out)
{
    struct reader r = reader_over(value.data, value.len);
    uint16_t code = reader_be16(&r);
    const char *meaning = dns_error_name(code);
    struct octets text = reader_rest(&r);

    FLAT_PUT(out, ",\"info_code\":");
    put_unsigned(code, out);
    if (meaning) {
        FLAT_PUT(out, ",\"meaning\":\"");
        buffer_put_string(out, meaning);
        buffer_put_char(out, '"');
    }
    if (text.len > 0) {
        FLAT_PUT(out, ",\"text\":");
        json_string_put(text, JSON_STRING_PLAIN, out);
    }
}

static put_option *const options[] = {
    [3] = put_nsid, [8] = put_subnet, [11] = put_keepalive, [12] = put_padding, [15] = put_error,
};

static void put_one(uint16_t code, struct octets value, struct buffer *out)
{
    const char *name = dns_option_name(code);
    put_option *own = code < sizeof options / sizeof options[0] ? options[code] : NULL;

    FLAT_PUT(out, "{\"code\":");
    put_unsigned(code, out);
    if (name) {
        FLAT_PUT(out, ",\"name\":\"");
        buffer_put_string(out, name);
        buffer_put_char(out, '"');
    }
    (own ? own : put_data)(value, out);
    buffer_put_char(out, '}');
}

void flat_edns_put(struct octets message, const struct dns_record *opt, bool sound, struct buffer *out)
{
    struct reader r = dns_rdata_reader(message, opt);
    struct octets value;
    uint16_t code;
    bool any = false;

    FLAT_PUT(out, ",\"edns\":{\"version\":");
    put_unsigned(opt->ttl >> 16 & 0xff, out);
    FLAT_PUT(out, ",\"udp\":");
    put_unsigned(opt->class, out);
    buffer_put_string(out, opt->ttl & 0x8000 ? ",\"do\":true" : ",\"do\":false");
    for (; sound && dns_coded_next(&r, &code, &value); any = true) {
        buffer_put_string(out, any ? "," : ",\"options\":[");
        put_one(code, value, out);
    }
    buffer_put_string(out, any ? "]}" : "}");
}
