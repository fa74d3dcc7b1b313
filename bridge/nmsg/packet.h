/* IP packets around DNS messages that were seen without them. */
#ifndef BRIDGE_NMSG_PACKET_H
#define BRIDGE_NMSG_PACKET_H

#include "../buffer.h"
#include "../scan/octets.h"

enum { PACKET_HEADERS_MAX = 48, PACKET_DNS_MAX = 65535 - PACKET_HEADERS_MAX };

/* Two addresses of the same length, 4 or 16 octets. */
struct packet_ends {
    struct octets from, to;
    uint16_t from_port, to_port;
};

/* The length of the packet that packet_put makes. */
uint32_t packet_len(const struct packet_ends *ends, struct octets dns);

/* Appends an IPv4 or IPv6 packet that holds a UDP datagram that holds `dns` (at most PACKET_DNS_MAX
 * octets), with right lengths and checksums; hop limit 64, no identification, no fragments. */
void packet_put(const struct packet_ends *ends, struct octets dns, struct buffer *out);

#endif
