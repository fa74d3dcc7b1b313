#include "foreign.h"

#include <string.h>

struct beginning {
    const char *octets;
    size_t len;
    const char *name;
};

#define BEGINS(text, what) {text, sizeof text - 1, what}

static const struct beginning beginnings[] = {
    BEGINS("\x16\x03", "a TLS handshake, and this end is plain (use tls:)"),
    BEGINS("GET ", "an HTTP request"),
    BEGINS("POST ", "an HTTP request"),
    BEGINS("PUT ", "an HTTP request"),
    BEGINS("HEAD ", "an HTTP request"),
    BEGINS("OPTIONS ", "an HTTP request"),
    BEGINS("PRI * HTTP/2", "an HTTP/2 request"),
    BEGINS("HTTP/", "an HTTP answer"),
    BEGINS("SSH-", "SSH"),
    BEGINS("PROXY ", "a PROXY protocol header"),
    BEGINS("\r\n\r\n\0\r\nQUIT\n", "a PROXY protocol header"),
    BEGINS("\0SP\0", "nng (use nng+tcp:)"),
    BEGINS("NMSG", "NMSG (use nmsg+udp:, or format=nmsg)"),
    BEGINS("\x1f\x8b", "gzip"),
    BEGINS("\x28\xb5\x2f\xfd", "zstd"),
    BEGINS("\xd4\xc3\xb2\xa1", "a capture (pcap)"),
    BEGINS("\xa1\xb2\xc3\xd4", "a capture (pcap)"),
    BEGINS("\x0a\x0d\x0d\x0a", "a capture (pcapng)"),
    BEGINS("{\"", "JSON"),
};

/* PowerDNS sends two octets of length, and a message of Protocol Buffers whose first field is its type. */
static const char *powerdns(const uint8_t *data, size_t len)
{
    size_t announced = len >= 4 ? (size_t)data[0] << 8 | data[1] : 0;
    return announced > 8 && data[2] == 0x08 && data[3] >= 1 && data[3] <= 4
               ? "PowerDNS' own protobuf logging (have it log dnstap: dnstapFrameStreamServer, newFrameStream...Logger)"
               : NULL;
}

const char *foreign_name(const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++) {
        const struct beginning *b = &beginnings[i];
        if (len >= b->len && memcmp(data, b->octets, b->len) == 0)
            return b->name;
    }
    return powerdns(data, len);
}
