#include "dns_check.h"

#include "../reader.h"
#include "dns_type.h"

/* A cursor in the RDATA of one record. Names in it may point into the message before it, but
 * nothing behind it counts. */
struct rdata {
    const uint8_t *message;
    uint32_t start;
    uint32_t at;
    uint32_t end;
};

static struct reader rdata_reader(const struct rdata *rdata)
{
    return reader_over(rdata->message + rdata->at, rdata->end - rdata->at);
}

static bool pass_octets(struct rdata *rdata, uint32_t len)
{
    if (rdata->end - rdata->at < len)
        return false;
    rdata->at += len;
    return true;
}

static bool pass_1(struct rdata *rdata)
{
    return pass_octets(rdata, 1);
}

static bool pass_2(struct rdata *rdata)
{
    return pass_octets(rdata, 2);
}

static bool pass_4(struct rdata *rdata)
{
    return pass_octets(rdata, 4);
}

static bool pass_6(struct rdata *rdata)
{
    return pass_octets(rdata, 6);
}

static bool pass_8(struct rdata *rdata)
{
    return pass_octets(rdata, 8);
}

static bool pass_16(struct rdata *rdata)
{
    return pass_octets(rdata, 16);
}

static bool pass_rest(struct rdata *rdata)
{
    rdata->at = rdata->end;
    return true;
}

static bool pass_name(struct rdata *rdata)
{
    return dns_name_pass(rdata->message, rdata->end, &rdata->at);
}

static bool pass_names(struct rdata *rdata)
{
    while (rdata->at < rdata->end)
        if (!pass_name(rdata))
            return false;
    return true;
}

static bool pass_string(struct rdata *rdata)
{
    return rdata->at < rdata->end && pass_octets(rdata, rdata->message[rdata->at] + 1u);
}

static bool pass_strings(struct rdata *rdata)
{
    while (rdata->at < rdata->end)
        if (!pass_string(rdata))
            return false;
    return true;
}

/* The tag and the key of HIP: their lengths are the octet at the start and the 16 bits behind the
 * one after it. */
static bool pass_hip(struct rdata *rdata)
{
    struct reader r = reader_over(rdata->message + rdata->start, rdata->at - rdata->start);
    uint32_t tag = reader_u8(&r);
    reader_u8(&r);
    uint32_t key = reader_be16(&r);
    return !r.bad && pass_octets(rdata, tag + key);
}

/* Windows in rising order, each of 1 to 32 octets. */
static bool pass_bitmap(struct rdata *rdata)
{
    struct reader r = rdata_reader(rdata);
    int last = -1;

    while (reader_left(&r) > 0 && !r.bad) {
        int window = reader_u8(&r);
        size_t len = reader_u8(&r);
        if (window <= last || len < 1 || len > 32)
            return false;
        reader_take(&r, len);
        last = window;
    }
    return !r.bad && pass_rest(rdata);
}

/* Client subnet (RFC 7871): the family says how long prefixes may be; 0 stands for no address. */
static bool subnet_ok(struct octets value)
{
    struct reader r = reader_over(value.data, value.len);
    uint16_t family = reader_be16(&r);
    uint8_t source = reader_u8(&r);
    uint8_t scope = reader_u8(&r);

    if (r.bad)
        return false;
    if (family == 0)
        return source == 0;
    if (family == 1)
        return source <= 32 && scope <= 32;
    return family == 2 && source <= 128 && scope <= 128;
}

static bool update_lease_ok(struct octets value)
{
    return value.len == 4 || value.len == 8;
}

static bool long_lived_query_ok(struct octets value)
{
    return value.len >= 18;
}

static bool expire_ok(struct octets value)
{
    return value.len == 0 || value.len >= 4;
}

static bool keepalive_ok(struct octets value)
{
    return value.len == 0 || value.len == 2;
}

static bool extended_error_ok(struct octets value)
{
    return value.len >= 2;
}

typedef bool value_check(struct octets value);

/* EDNS options that can be wrong, by code. */
static value_check *const option_checks[] = {
    [1] = long_lived_query_ok, [2] = update_lease_ok, [8] = subnet_ok,
    [9] = expire_ok,           [11] = keepalive_ok,   [15] = extended_error_ok,
};

static bool mandatory_ok(struct octets value)
{
    return value.len % 2 == 0;
}

static bool alpn_ok(struct octets value)
{
    struct rdata strings = {.message = value.data, .end = value.len};
    return pass_strings(&strings);
}

static bool no_default_alpn_ok(struct octets value)
{
    return value.len == 0;
}

static bool port_ok(struct octets value)
{
    return value.len == 2;
}

static bool ipv4_hint_ok(struct octets value)
{
    return value.len > 0 && value.len % 4 == 0;
}

static bool ipv6_hint_ok(struct octets value)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff}; /* ::ffff:0:0/96 */

    for (uint32_t at = 0; at + 16 <= value.len; at += 16)
        if (memcmp(value.data + at, mapped, sizeof mapped) == 0)
            return false;
    return value.len > 0 && value.len % 16 == 0;
}

/* Service parameters that can be wrong, by key. */
static value_check *const parameter_checks[] = {
    [0] = mandatory_ok, [1] = alpn_ok,      [2] = no_default_alpn_ok,
    [3] = port_ok,      [4] = ipv4_hint_ok, [6] = ipv6_hint_ok,
};

/* One `code, length, value`, and whether the value stands up to the check that is in the table. */
static bool take_coded(struct reader *r, value_check *const *checks, size_t count, uint16_t *code)
{
    *code = reader_be16(r);
    struct octets value = {.len = reader_be16(r)};
    value.data = reader_take(r, value.len);
    if (r->bad)
        return false;
    return *code >= count || !checks[*code] || checks[*code](value);
}

static bool pass_options(struct rdata *rdata)
{
    struct reader r = rdata_reader(rdata);
    size_t count = sizeof option_checks / sizeof option_checks[0];
    uint16_t code;

    while (reader_left(&r) > 0)
        if (!take_coded(&r, option_checks, count, &code))
            return false;
    return pass_rest(rdata);
}

/* Keys rise strictly; 65535 is reserved. */
static bool pass_parameters(struct rdata *rdata)
{
    struct reader r = rdata_reader(rdata);
    size_t count = sizeof parameter_checks / sizeof parameter_checks[0];
    int last = -1;
    uint16_t key;

    while (reader_left(&r) > 0) {
        if (!take_coded(&r, parameter_checks, count, &key))
            return false;
        if (key <= last || key == UINT16_MAX)
            return false;
        last = key;
    }
    return pass_rest(rdata);
}

/* One address prefix (RFC 3123): as long as its family's addresses at most, no zero at its end. */
static bool take_prefix(struct reader *r)
{
    uint16_t family = reader_be16(r);
    uint8_t prefix = reader_u8(r);
    size_t len = reader_u8(r) & 0x7f; /* the top bit negates */
    const uint8_t *address = reader_take(r, len);

    if (r->bad || family < 1 || family > 2)
        return false;
    size_t max = family == 1 ? 4 : 16;
    return prefix <= 8 * max && len <= max && (len == 0 || address[len - 1] != 0);
}

static bool pass_prefixes(struct rdata *rdata)
{
    struct reader r = rdata_reader(rdata);

    while (reader_left(&r) > 0)
        if (!take_prefix(&r))
            return false;
    return pass_rest(rdata);
}

/* As many octets as the number in front says; `width` is the octets of that number. */
static bool pass_counted(struct rdata *rdata, char width)
{
    uint32_t count = rdata->message[rdata->at - 1];
    if (width == '2')
        count |= (uint32_t)rdata->message[rdata->at - 2] << 8;
    return pass_octets(rdata, count);
}

/* What moves past a field of a shape. */
static bool (*const field_passes[128])(struct rdata *) = {
    ['1'] = pass_1,        ['2'] = pass_2,      ['4'] = pass_4,       ['6'] = pass_6,
    ['8'] = pass_8,        ['a'] = pass_4,      ['q'] = pass_16,      ['n'] = pass_name,
    ['N'] = pass_names,    ['s'] = pass_string, ['S'] = pass_strings, ['*'] = pass_rest,
    ['h'] = pass_hip,      ['t'] = pass_bitmap, ['o'] = pass_options, ['p'] = pass_parameters,
    ['l'] = pass_prefixes,
};

/* A field whose length was announced must be followed by those that its shape has behind it. */
static bool announced(char field)
{
    return field == '=' || field == 'h';
}

bool dns_rdata_ok(struct octets message, const struct dns_record *record)
{
    const char *shape = dns_type_find(record->type)->shape;
    uint32_t end = record->rdata + record->rdata_len;
    struct rdata rdata = {message.data, record->rdata, record->rdata, end};

    if (record->rdata_len == 0 || !shape)
        return true;
    if (shape[0] == 'a') /* addresses, the most of all, need no walk through the shape */
        return record->rdata_len == 4;
    for (const char *field = shape; *field; field++) {
        bool passed = *field == '=' ? pass_counted(&rdata, field[-1])
                                    : field_passes[(unsigned char)*field](&rdata);
        if (!passed)
            return false;
        if (rdata.at == end && !announced(*field))
            return true;
    }
    return rdata.at == end;
}

bool dns_walk_ok(struct dns_walk *walk)
{
    struct dns_record record;

    while (dns_walk_record(walk, &record))
        if (!dns_rdata_ok(walk->message, &record))
            walk->bad = true;
    return !walk->bad;
}

bool dns_message_ok(struct octets message)
{
    struct dns_walk walk;

    return dns_walk_begin(&walk, message) && dns_walk_ok(&walk);
}
