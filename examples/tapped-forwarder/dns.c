#include "dns.h"

#include <libknot/libknot.h>
#include <string.h>

static uint16_t load_be16(const uint8_t *p)
{
    return (uint16_t)((unsigned)p[0] << 8 | p[1]);
}

static uint32_t load_be32(const uint8_t *p)
{
    return (uint32_t)load_be16(p) << 16 | load_be16(p + 2);
}

static void store_be16(uint8_t *p, uint16_t value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
}

static void store_be32(uint8_t *p, uint32_t value)
{
    store_be16(p, (uint16_t)(value >> 16));
    store_be16(p + 2, (uint16_t)value);
}

static void key_make(struct dns_key *key, const knot_pkt_t *packet, unsigned flags)
{
    const knot_dname_t *name = knot_pkt_qname(packet); /* in lower case */
    key->name_len = (uint16_t)knot_dname_size(name);
    key->type = knot_pkt_qtype(packet);
    key->class = knot_pkt_qclass(packet);
    memcpy(key->octets, name, key->name_len);
    uint8_t *tail = key->octets + key->name_len;
    store_be16(tail, key->type);
    store_be16(tail + 2, key->class);
    tail[4] = (uint8_t)flags;
    key->len = (uint16_t)(key->name_len + 5);
}

static enum dns_verdict query_take(struct dns_query *q, const knot_pkt_t *packet)
{
    const uint8_t *wire = packet->wire;
    if (knot_wire_get_opcode(wire) != KNOT_OPCODE_QUERY)
        return DNS_NOTIMP;
    if (knot_wire_get_qdcount(wire) != 1 || !knot_pkt_qname(packet))
        return DNS_FORMERR;
    uint16_t type = knot_pkt_qtype(packet);
    if (type == KNOT_RRTYPE_AXFR || type == KNOT_RRTYPE_IXFR)
        return DNS_NOTIMP;
    q->id = knot_wire_get_id(wire);
    q->recursion_desired = knot_wire_get_rd(wire);
    q->checking_disabled = knot_wire_get_cd(wire);
    q->edns = knot_pkt_has_edns(packet);
    q->dnssec_ok = q->edns && knot_edns_do(packet->opt_rr);
    q->udp_limit = q->edns ? knot_edns_get_payload(packet->opt_rr) : DNS_UDP_MIN;
    if (q->udp_limit < DNS_UDP_MIN)
        q->udp_limit = DNS_UDP_MIN;
    unsigned flags = (q->edns ? 1u : 0) | (q->dnssec_ok ? 2u : 0) | (q->checking_disabled ? 4u : 0);
    key_make(&q->key, packet, flags);
    memcpy(q->name, knot_pkt_wire_qname(packet), q->key.name_len);
    return DNS_FORWARD;
}

enum dns_verdict dns_query_read(uint8_t *wire, size_t len, struct dns_query *query)
{
    if (len < DNS_HEADER || len > DNS_MAX || knot_wire_get_qr(wire))
        return DNS_IGNORE; /* a response to a response could go round in circles */
    knot_pkt_t *packet = knot_pkt_new(wire, (uint16_t)len, NULL);
    if (!packet)
        return DNS_IGNORE;
    enum dns_verdict verdict = knot_pkt_parse(packet, KNOT_PF_KEEPWIRE) == KNOT_EOK
                                   ? query_take(query, packet)
                                   : DNS_FORMERR;
    knot_pkt_free(packet);
    return verdict;
}

static int edns_put(knot_pkt_t *packet, const struct dns_query *query)
{
    knot_rrset_t opt;
    int result = knot_edns_init(&opt, DNS_EDNS_UDP, 0, KNOT_EDNS_VERSION, &packet->mm);
    if (result != KNOT_EOK)
        return result;
    if (query->dnssec_ok)
        knot_edns_set_do(&opt);
    result = knot_pkt_begin(packet, KNOT_ADDITIONAL);
    if (result == KNOT_EOK)
        result = knot_pkt_put(packet, KNOT_COMPR_HINT_NONE, &opt, KNOT_PF_FREE);
    if (result != KNOT_EOK)
        knot_rrset_clear(&opt, &packet->mm);
    return result;
}

size_t dns_query_write(const struct dns_query *query, uint16_t id, uint8_t *out)
{
    knot_pkt_t *packet = knot_pkt_new(out, DNS_EDNS_UDP, NULL);
    if (!packet)
        return 0;
    knot_pkt_clear(packet);
    knot_wire_set_id(out, id);
    knot_wire_set_rd(out);
    if (query->checking_disabled)
        knot_wire_set_cd(out);
    int result = knot_pkt_put_question(packet, query->name, query->key.class, query->key.type);
    if (result == KNOT_EOK && query->edns)
        result = edns_put(packet, query);
    size_t size = result == KNOT_EOK ? packet->size : 0;
    knot_pkt_free(packet);
    return size;
}

/* Where the record at `at` has its TTL; libknot has parsed the message, so it is there. */
static size_t ttl_position(const uint8_t *wire, size_t at)
{
    while (wire[at] != 0 && wire[at] < 0xc0)
        at += 1u + wire[at];
    return at + (wire[at] == 0 ? 1 : 2) + 4;
}

/* A negative answer lives as long as its SOA says (RFC 2308). */
static uint32_t negative_ttl(const knot_pktsection_t *authority)
{
    for (uint16_t i = 0; i < authority->count; i++) {
        const knot_rrset_t *rr = knot_pkt_rr(authority, i);
        if (rr->type == KNOT_RRTYPE_SOA && rr->rrs.count > 0) {
            uint32_t minimum = knot_soa_minimum(rr->rrs.rdata);
            return rr->ttl < minimum ? rr->ttl : minimum;
        }
    }
    return 0;
}

/* Notes where the section's TTLs stand and lowers the answer's to the least. False: too many. */
static bool section_scan(const knot_pkt_t *packet, knot_section_t id, struct dns_answer *answer)
{
    const knot_pktsection_t *section = knot_pkt_section(packet, id);
    for (uint16_t i = 0; i < section->count; i++) {
        const knot_rrset_t *rr = knot_pkt_rr(section, i);
        if (rr->type == KNOT_RRTYPE_OPT)
            continue;
        if (answer->ttl_count == DNS_TTL_FIELDS_MAX)
            return false;
        size_t at = ttl_position(packet->wire, knot_pkt_rr_offset(section, i));
        answer->ttl_at[answer->ttl_count++] = (uint16_t)at;
        if (rr->ttl < answer->ttl)
            answer->ttl = rr->ttl;
    }
    return true;
}

static void answer_take(struct dns_answer *answer, const knot_pkt_t *packet)
{
    uint8_t rcode = knot_wire_get_rcode(packet->wire);
    answer->ttl_count = 0;
    answer->truncated = knot_wire_get_tc(packet->wire);
    answer->ttl = DNS_TTL_MAX;
    if (!section_scan(packet, KNOT_ANSWER, answer) ||
        !section_scan(packet, KNOT_AUTHORITY, answer) ||
        !section_scan(packet, KNOT_ADDITIONAL, answer))
        answer->ttl = 0;
    if (rcode == KNOT_RCODE_NXDOMAIN || knot_pkt_section(packet, KNOT_ANSWER)->count == 0) {
        uint32_t negative = negative_ttl(knot_pkt_section(packet, KNOT_AUTHORITY));
        if (negative < answer->ttl)
            answer->ttl = negative;
    }
    if (answer->truncated || (rcode != KNOT_RCODE_NOERROR && rcode != KNOT_RCODE_NXDOMAIN))
        answer->ttl = 0;
}

bool dns_answer_read(uint8_t *wire, size_t len, const struct dns_query *query,
                     struct dns_answer *answer)
{
    if (len < DNS_HEADER || len > DNS_MAX || !knot_wire_get_qr(wire))
        return false;
    knot_pkt_t *packet = knot_pkt_new(wire, (uint16_t)len, NULL);
    if (!packet)
        return false;
    bool good = knot_pkt_parse(packet, KNOT_PF_KEEPWIRE | KNOT_PF_NOCANON) == KNOT_EOK &&
                knot_wire_get_qdcount(wire) == 1 && knot_pkt_qname(packet) &&
                knot_pkt_qtype(packet) == query->key.type &&
                knot_pkt_qclass(packet) == query->key.class &&
                knot_dname_is_equal(knot_pkt_qname(packet), query->key.octets);
    if (good)
        answer_take(answer, packet);
    knot_pkt_free(packet);
    return good;
}

void dns_answer_adopt(uint8_t *wire, const struct dns_query *query, const uint16_t *ttl_at,
                      unsigned ttl_count, uint32_t age)
{
    knot_wire_set_id(wire, query->id);
    knot_wire_set_ra(wire);
    knot_wire_clear_aa(wire);
    if (query->recursion_desired)
        knot_wire_set_rd(wire);
    else
        knot_wire_clear_rd(wire);
    memcpy(wire + DNS_HEADER, query->name, query->key.name_len);
    for (unsigned i = 0; i < ttl_count; i++) {
        uint32_t ttl = load_be32(wire + ttl_at[i]);
        store_be32(wire + ttl_at[i], ttl > age ? ttl - age : 0);
    }
}

static size_t cut(uint8_t *wire, size_t len)
{
    knot_wire_set_ancount(wire, 0);
    knot_wire_set_nscount(wire, 0);
    knot_wire_set_arcount(wire, 0);
    return len;
}

size_t dns_answer_fit(uint8_t *wire, size_t len, const struct dns_query *query, size_t limit)
{
    if (len <= limit)
        return len;
    knot_wire_set_tc(wire);
    return cut(wire, DNS_HEADER + query->key.name_len + 4u);
}

size_t dns_servfail(const struct dns_query *query, uint8_t *out)
{
    if (dns_query_write(query, query->id, out) == 0)
        return 0;
    dns_answer_adopt(out, query, NULL, 0, 0);
    knot_wire_set_qr(out);
    knot_wire_set_rcode(out, KNOT_RCODE_SERVFAIL);
    return cut(out, DNS_HEADER + query->key.name_len + 4u);
}

size_t dns_error(uint8_t *wire, size_t len, uint8_t rcode)
{
    if (len < DNS_HEADER)
        return 0;
    knot_wire_set_qr(wire);
    knot_wire_set_ra(wire);
    knot_wire_set_rcode(wire, rcode);
    knot_wire_set_qdcount(wire, 0);
    return cut(wire, DNS_HEADER);
}
