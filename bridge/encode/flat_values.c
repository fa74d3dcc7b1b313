#include "../json_string.h"
#include "../scan/dns_type.h"
#include "flat.h"
#include "put.h"
#include "rdata_fields.h"

void flat_keep(struct flat_kept *kept, uint32_t key, const struct buffer *out, size_t from)
{
    size_t len = out->len - from;
    kept->len = 0;
    if (out->failed || len > sizeof kept->text)
        return;
    memcpy(kept->text, out->data + from, len);
    kept->key = key;
    kept->len = (uint8_t)len;
}

void flat_name_put(struct dns_name name, struct buffer *out)
{
    buffer_put_char(out, '"');
    size_t from = out->len;
    dns_name_put(name, out);
    flat_name_seal(out, from);
}

void flat_name_seal(struct buffer *out, size_t from)
{
    if (!out->failed && out->len > from && memchr(out->data + from, '\\', out->len - from))
        json_string_seal(out, from);
    else
        buffer_put_char(out, '"');
}

/* Classes and types of a letter or two are by far the most. */
void flat_class_put(uint16_t class, struct buffer *out)
{
    if (class == 1) {
        FLAT_PUT(out, "\"IN\"");
        return;
    }
    buffer_put_char(out, '"');
    if (class == 255)
        FLAT_PUT(out, "ANY");
    else
        dns_class_put(class, out);
    buffer_put_char(out, '"');
}

void flat_type_put(uint16_t type, struct buffer *out)
{
    buffer_put_char(out, '"');
    if (type == 0)
        FLAT_PUT(out, "TYPE0");
    else if (type == UINT16_MAX)
        FLAT_PUT(out, "TYPE65535");
    else
        dns_type_put(type, out);
    buffer_put_char(out, '"');
}

void flat_address_put(struct octets address, struct buffer *out)
{
    buffer_put_char(out, '"');
    if (address.len == 4)
        put_address(address, out);
    else
        rdata_put_address(address, false, out);
    buffer_put_char(out, '"');
}

void flat_enum_put(const char *name, int64_t number, struct buffer *out)
{
    buffer_put_char(out, '"');
    if (name)
        buffer_put_string(out, name);
    else
        put_signed(number, out);
    buffer_put_char(out, '"');
}

bool flat_time_put(struct flat *flat, uint64_t second, uint32_t nanosecond, struct buffer *out)
{
    if (second > (uint64_t)MOMENT_LAST - 4) /* nanoseconds may carry over */
        return false;
    moment_put(&flat->moment, (int64_t)second, nanosecond, 'T', out);
    FLAT_PUT(out, "Z\"");
    return true;
}
