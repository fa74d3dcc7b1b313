#include "edns.h"

#include <assert.h>
#include <string.h>

#include "../network.h"
#include "../scan/dns_check.h"
#include "../scan/dns_cut.h"
#include "../scan/dns_type.h"

enum {
    OPTION_SUBNET = 8,
    OPTION_COOKIE = 10,
    OPTION_PADDING = 12,
    OPTION_HEAD = 4,
    SUBNET_HEAD = 4,   /* family, two lengths of a prefix */
    LENGTH_OCTETS = 2, /* of the RDATA, before it */
    ARCOUNT = 10,      /* where it stands in the header */
    TYPE_SIG = 24,
    TYPE_TKEY = 249,
    TYPE_TSIG = 250,
};

/* Options that do not tell who asked: an option that is not in this table may. */
enum in_query { ANY_VALUE, NO_VALUE, NEVER };
static const struct {
    uint16_t code;
    enum in_query query; /* what a client may send; other values can hold anything */
} harmless[] = {
    {3, NO_VALUE},   /* NSID */
    {5, ANY_VALUE},  /* DAU */
    {6, ANY_VALUE},  /* DHU */
    {7, ANY_VALUE},  /* N3U */
    {9, NO_VALUE},   /* EXPIRE */
    {11, NO_VALUE},  /* keepalive */
    {14, ANY_VALUE}, /* key tag */
    {15, NEVER},     /* extended error */
    {18, NEVER},     /* report channel */
    {19, NO_VALUE},  /* zone version */
};

static bool is_harmless(uint16_t code, uint32_t len, bool query)
{
    for (size_t i = 0; i < sizeof harmless / sizeof harmless[0]; i++) {
        if (harmless[i].code == code)
            return !query || harmless[i].query == ANY_VALUE ||
                   (harmless[i].query == NO_VALUE && len == 0);
    }
    return false;
}

bool edns_rule_is_idle(const struct edns_rule *rule)
{
    return rule->all && rule->subnet == SUBNET_KEEP && rule->cookies && rule->padding &&
           rule->signatures;
}

static bool keeps(const struct edns_rule *rule, uint16_t code, uint32_t len, bool query)
{
    if (code == OPTION_SUBNET)
        return rule->subnet != SUBNET_REMOVE;
    if (code == OPTION_COOKIE)
        return rule->cookies;
    if (code == OPTION_PADDING)
        return rule->padding;
    return rule->all || is_harmless(code, len, query);
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
    if (value.len < SUBNET_HEAD || value.len > SUBNET_HEAD + sizeof address)
        return false;
    unsigned family = load_be16(value.data), width = family == 1 ? 32 : 128;
    unsigned bits = value.data[2];
    uint32_t there = value.len - SUBNET_HEAD;
    if (family < 1 || family > 2 || bits > width || there < (bits + 7) / 8)
        return false;
    memcpy(address, value.data + SUBNET_HEAD, there);
    unsigned most = network_prefix(address, width / 8, rule->ipv4, rule->ipv6);
    bits = bits > most ? most : bits;
    uint32_t octets = (bits + 7) / 8;
    assert(octets <= there);
    network_mask(address, sizeof address, bits);
    put_head(out, OPTION_SUBNET, SUBNET_HEAD + octets);
    const uint8_t head[SUBNET_HEAD] = {value.data[0], value.data[1], (uint8_t)bits,
                             value.data[3] > bits ? (uint8_t)bits : value.data[3]};
    buffer_put(out, head, sizeof head);
    buffer_put(out, address, octets);
    return true;
}

/* The options that stay. False: they are broken. */
static bool put_options(const struct edns_rule *rule, struct octets message,
                        const struct dns_record *opt, bool query, struct buffer *out)
{
    struct reader r = dns_rdata_reader(message, opt);
    struct octets value;
    uint16_t code;
    while (dns_coded_next(&r, &code, &value)) {
        if (!keeps(rule, code, value.len, query))
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
                    const struct dns_record *opt, bool last, bool query, struct buffer *out)
{
    static const uint8_t room[LENGTH_OCTETS];
    buffer_put(out, room, LENGTH_OCTETS);
    size_t start = out->len;
    if (!put_options(rule, message, opt, query, out) || out->failed)
        return false;
    assert(out->len - start <= opt->rdata_len); /* each option is as long as it was, or shorter */
    uint32_t len = (uint32_t)(out->len - start), left = opt->rdata_len - len;
    if (!last && left > 0 &&
        left < OPTION_HEAD) { /* a subnet that lost an octet or two: without it, there is room */
        struct edns_rule without = *rule;
        without.subnet = SUBNET_REMOVE;
        out->len = start - LENGTH_OCTETS;
        return put_opt(&without, message, opt, last, query, out);
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

/* What a message is cut into. */
struct parts {
    struct dns_record opt;
    bool has_opt;
    uint32_t end;        /* of the last record that stays */
    unsigned signatures; /* cut off behind it */
};

/* TSIG, or SIG(0): a SIG that covers no type. */
static bool is_signature(struct octets message, const struct dns_record *record)
{
    if (record->type == TYPE_SIG)
        return record->rdata_len < 2 || load_be16(message.data + record->rdata) == 0;
    return record->type == TYPE_TSIG;
}

/* False: the record is not where it belongs, or tells more than can be cut off. */
static bool take_record(const struct edns_rule *rule, struct octets message,
                        const struct dns_record *record, struct parts *parts)
{
    if (!rule->signatures && record->type == TYPE_TKEY)
        return false;
    if (!rule->signatures && is_signature(message, record)) {
        parts->signatures++;
        return record->section == DNS_ADDITIONAL;
    }
    if (parts->signatures > 0)
        return false; /* signatures stand at the end */
    parts->end = record->rdata + record->rdata_len;
    if (record->type != DNS_TYPE_OPT)
        return true;
    if (parts->has_opt || record->section != DNS_ADDITIONAL)
        return false;
    parts->opt = *record;
    return parts->has_opt = true;
}

/* False: the message is broken, or cannot be cut. A question of type TKEY is the key's name. */
static bool find_parts(const struct edns_rule *rule, struct octets message, struct parts *parts)
{
    struct dns_walk walk;
    struct dns_question question;
    struct dns_record record;
    *parts = (struct parts){0};
    if (!dns_walk_begin(&walk, message))
        return false;
    while (dns_walk_question(&walk, &question)) {
        if (!rule->signatures && question.type == TYPE_TKEY)
            return false;
    }
    parts->end = walk.at;
    while (dns_walk_record(&walk, &record)) {
        if (!take_record(rule, message, &record, parts))
            return false;
    }
    return !walk.bad;
}

static bool put_parts(const struct edns_rule *rule, struct octets message,
                      const struct parts *parts, bool query, struct buffer *out)
{
    size_t start = out->len;
    const uint32_t end = parts->end;
    uint32_t cut = parts->has_opt ? parts->opt.rdata - LENGTH_OCTETS : end,
             behind = parts->has_opt ? parts->opt.rdata + parts->opt.rdata_len : end;
    buffer_put(out, message.data, cut);
    if (parts->has_opt && !put_opt(rule, message, &parts->opt, behind == end, query, out))
        return false;
    buffer_put(out, message.data + behind, end - behind);
    if (out->failed)
        return false;
    uint8_t *arcount = out->data + start + ARCOUNT;
    unsigned count = load_be16(arcount);
    assert(count >= parts->signatures);
    arcount[0] = (uint8_t)((count - parts->signatures) >> 8);
    arcount[1] = (uint8_t)(count - parts->signatures);
    return true;
}

/* Could a name among the first `end` octets point to `end` or beyond? Two octets that only look like a pointer are taken for
 * one. */
static bool may_point_beyond(struct octets message, uint32_t end)
{
    const uint8_t least = (uint8_t)(0xc0 | (end >> 8 & 0x3f));
    for (uint32_t i = 0; i + 1 < end; i++) {
        if (message.data[i] >= least && (load_be16(message.data + i) & 0x3fffu) >= end)
            return true;
    }
    return false;
}

/* A name may point into what was cut: such a message was sound, and is no longer. */
static bool is_sound_still(const struct parts *parts, struct octets before, struct octets after)
{
    uint32_t rdata = parts->has_opt ? parts->opt.rdata : parts->end;
    bool last = !parts->has_opt || rdata + parts->opt.rdata_len == parts->end;
    if (last && !may_point_beyond(before, rdata))
        return true;
    bool same = before.len == after.len && memcmp(before.data, after.data, after.len) == 0;
    return same || dns_message_ok(after) || !dns_message_ok(before);
}

bool edns_redact(const struct edns_rule *rule, struct octets message, bool query, struct buffer *out)
{
    struct parts parts;
    size_t before = out->len;
    if (find_parts(rule, message, &parts) && put_parts(rule, message, &parts, query, out)) {
        struct octets after = {out->data + before, (uint32_t)(out->len - before)};
        assert(after.len <= message.len);
        if (is_sound_still(&parts, message, after))
            return true;
    }
    out->len = before;
    return false;
}
