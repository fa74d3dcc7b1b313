#include "edns.h"

#include <string.h>

#include "../network.h"
#include "../scan/dns_cut.h"
#include "../scan/dns_type.h"

enum {
    OPTION_SUBNET = 8,
    OPTION_COOKIE = 10,
    OPTION_PADDING = 12,
    OPTION_HEAD = 4,
    LENGTH_OCTETS = 2, /* of the RDATA, before it */
};

/* Options that say nothing of who asked: what is not here may. */
static bool is_harmless(uint16_t code)
{
    static const uint16_t codes[] = {
        3,        /* NSID */
        5,  6, 7, /* DAU, DHU, N3U */
        9,        /* EXPIRE */
        11,       /* keepalive */
        14,       /* key tag */
        15,       /* extended error */
        18,       /* report channel */
        19,       /* zone version */
    };
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (codes[i] == code)
            return true;
    }
    return false;
}

bool edns_rule_is_idle(const struct edns_rule *rule)
{
    return rule->all && rule->subnet == SUBNET_KEEP && rule->cookies && rule->padding;
}

static bool keeps(const struct edns_rule *rule, uint16_t code)
{
    if (code == OPTION_SUBNET)
        return rule->subnet != SUBNET_REMOVE;
    if (code == OPTION_COOKIE)
        return rule->cookies;
    if (code == OPTION_PADDING)
        return rule->padding;
    return rule->all || is_harmless(code);
}

static void put_head(struct buffer *out, uint16_t code, uint32_t len)
{
    const uint8_t head[OPTION_HEAD] = {(uint8_t)(code >> 8), (uint8_t)code, (uint8_t)(len >> 8),
                                       (uint8_t)len};
    buffer_put(out, head, sizeof head);
}

static void put_zeros(struct buffer *out, uint32_t len)
{
    uint8_t *at = buffer_reserve(out, len);
    if (at)
        memset(at, 0, len);
    out->len += at ? len : 0;
}

/* The subnet's prefix, as long as it was but no longer than the rule says; false: the option is
 * broken. */
static bool put_subnet(const struct edns_rule *rule, struct octets value, struct buffer *out)
{
    uint8_t address[16] = {0};
    if (value.len < 4 || value.len > 20)
        return false;
    unsigned family = load_be16(value.data), width = family == 1 ? 32 : 128;
    unsigned bits = value.data[2], most = family == 1 ? rule->ipv4 : rule->ipv6;
    if (family < 1 || family > 2 || bits > width)
        return false;
    bits = bits > most ? most : bits;
    uint32_t octets = (bits + 7) / 8;
    memcpy(address, value.data + 4, value.len - 4);
    network_mask(address, sizeof address, bits);
    put_head(out, OPTION_SUBNET, 4 + octets);
    const uint8_t head[4] = {value.data[0], value.data[1], (uint8_t)bits,
                             value.data[3] > bits ? (uint8_t)bits : value.data[3]};
    buffer_put(out, head, sizeof head);
    buffer_put(out, address, octets);
    return true;
}

/* The options that stay. False: they are broken. */
static bool put_options(const struct edns_rule *rule, struct octets message,
                        const struct dns_record *opt, struct buffer *out)
{
    struct reader r = dns_rdata_reader(message, opt);
    struct octets value;
    uint16_t code;
    while (dns_coded_next(&r, &code, &value)) {
        if (!keeps(rule, code))
            continue;
        if (code == OPTION_SUBNET && rule->subnet == SUBNET_PREFIX) {
            put_subnet(rule, value, out); /* a broken one is left out */
            continue;
        }
        put_head(out, code, value.len);
        buffer_put(out, value.data, value.len);
    }
    return !r.bad;
}

/* The RDATA, and its length before it. As long as it was, by padding, where something stands behind
 * it. */
static bool put_opt(const struct edns_rule *rule, struct octets message,
                    const struct dns_record *opt, bool last, struct buffer *out)
{
    static const uint8_t room[LENGTH_OCTETS];
    buffer_put(out, room, LENGTH_OCTETS);
    size_t start = out->len;
    if (!put_options(rule, message, opt, out))
        return false;
    uint32_t len = (uint32_t)(out->len - start), left = opt->rdata_len - len;
    if (!last && left > 0 &&
        left < OPTION_HEAD) { /* a subnet that lost an octet or two: without it, there is room */
        struct edns_rule without = *rule;
        without.subnet = SUBNET_REMOVE;
        out->len = start - LENGTH_OCTETS;
        return put_opt(&without, message, opt, last, out);
    }
    if (!last && left > 0) {
        put_head(out, OPTION_PADDING, left - OPTION_HEAD);
        put_zeros(out, left - OPTION_HEAD);
        len = opt->rdata_len;
    }
    if (!out->failed) {
        out->data[start - 2] = (uint8_t)(len >> 8);
        out->data[start - 1] = (uint8_t)len;
    }
    return true;
}

/* Finds the one OPT record, and where the last record ends. False: broken, or not where it belongs.
 */
static bool find_opt(struct octets message, struct dns_record *opt, bool *there, uint32_t *end)
{
    struct dns_walk walk;
    struct dns_record record;
    *there = false;
    if (!dns_walk_begin(&walk, message))
        return false;
    while (dns_walk_record(&walk, &record)) {
        if (record.type != DNS_TYPE_OPT)
            continue;
        if (*there || record.section != DNS_ADDITIONAL)
            return false;
        *opt = record;
        *there = true;
    }
    *end = walk.at;
    return !walk.bad;
}

bool edns_redact(const struct edns_rule *rule, struct octets message, struct buffer *out)
{
    struct dns_record opt;
    bool there;
    uint32_t end;
    size_t before = out->len;
    if (!find_opt(message, &opt, &there, &end))
        return false;
    uint32_t cut = there ? opt.rdata - LENGTH_OCTETS : end,
             behind = there ? opt.rdata + opt.rdata_len : end;
    buffer_put(out, message.data, cut);
    if (there && !put_opt(rule, message, &opt, behind == end, out)) {
        out->len = before;
        return false;
    }
    buffer_put(out, message.data + behind, end - behind);
    return true;
}
