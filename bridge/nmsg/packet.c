#include "packet.h"

#include "../reader.h"

enum { UDP = 17, UDP_HEADER = 8, HOP_LIMIT = 64 };

static void store_be16(uint8_t *p, uint32_t value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
}

/* Ones' complement sum of 16-bit words, not yet folded. */
static uint64_t sum_of(struct octets octets, uint64_t sum)
{
    uint32_t i = 0;
    for (; i + 1 < octets.len; i += 2)
        sum += (uint32_t)octets.data[i] << 8 | octets.data[i + 1];
    return i < octets.len ? sum + ((uint32_t)octets.data[i] << 8) : sum;
}

static uint16_t fold(uint64_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

static uint32_t ip_header_len(const struct packet_ends *ends)
{
    return ends->from.len == 4 ? 20 : 40;
}

uint32_t packet_len(const struct packet_ends *ends, struct octets dns)
{
    return ip_header_len(ends) + UDP_HEADER + dns.len;
}

static void write_ipv4(uint8_t *ip, const struct packet_ends *ends, uint32_t udp_len)
{
    memset(ip, 0, 20);
    ip[0] = 0x45;
    store_be16(ip + 2, 20 + udp_len);
    ip[8] = HOP_LIMIT;
    ip[9] = UDP;
    memcpy(ip + 12, ends->from.data, 4);
    memcpy(ip + 16, ends->to.data, 4);
    store_be16(ip + 10, fold(sum_of((struct octets){ip, 20}, 0)));
}

static void write_ipv6(uint8_t *ip, const struct packet_ends *ends, uint32_t udp_len)
{
    memset(ip, 0, 8);
    ip[0] = 0x60;
    store_be16(ip + 4, udp_len);
    ip[6] = UDP;
    ip[7] = HOP_LIMIT;
    memcpy(ip + 8, ends->from.data, 16);
    memcpy(ip + 24, ends->to.data, 16);
}

void packet_put(const struct packet_ends *ends, struct octets dns, struct buffer *out)
{
    uint32_t udp_len = UDP_HEADER + dns.len;
    uint8_t *ip = buffer_reserve(out, packet_len(ends, dns));
    if (!ip)
        return;
    uint8_t *udp = ip + ip_header_len(ends);
    (ends->from.len == 4 ? write_ipv4 : write_ipv6)(ip, ends, udp_len);
    store_be16(udp, ends->from_port);
    store_be16(udp + 2, ends->to_port);
    store_be16(udp + 4, udp_len);
    store_be16(udp + 6, 0);
    if (dns.len > 0)
        memcpy(udp + UDP_HEADER, dns.data, dns.len);
    /* the pseudo header: addresses, length, protocol */
    uint64_t sum = sum_of(ends->from, sum_of(ends->to, udp_len + UDP));
    uint16_t check = fold(sum_of((struct octets){udp, udp_len}, sum));
    store_be16(udp + 6, check ? check : 0xffff); /* 0 would say that there is none */
    out->len += packet_len(ends, dns);
}
