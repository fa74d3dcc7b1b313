#include "../json_string.h"
#include "../scan/dns_type.h"
#include "flat.h"
#include "put.h"
#include "rdata_fields.h"

bool flat_name_put(struct dns_name name, struct buffer *out)
{
    buffer_put_char(out, '"');
    size_t from = out->len;
    enum dns_name_text text = dns_name_write(name, out);
    if (text == DNS_NAME_ESCAPED)
        json_string_seal(out, from);
    else
        buffer_put_char(out, '"');
    return text != DNS_NAME_BROKEN;
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
    enum { BILLION = 1000000000 }; /* nanoseconds may carry over */
    if (second > (uint64_t)MOMENT_LAST || second + nanosecond / BILLION > (uint64_t)MOMENT_LAST)
        return false;
    moment_put(&flat->moment, (int64_t)second, nanosecond, 'T', out);
    FLAT_PUT(out, "Z\"");
    return true;
}
