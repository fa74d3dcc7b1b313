/* NMSG containers, written and read. One datagram holds one container:
 *
 *     "NMSG" | flags | version 2 | length of what follows (4 octets, big endian) | protobuf
 *
 * where the protobuf is an Nmsg: payloads (1), their CRCs (2), sequence (3), sequence_id (4); or,
 * with the zlib flag, 4 octets of uncompressed length and a zlib stream of it; or, with the
 * fragment flag, an NmsgFragment that holds a piece of either. docs/nmsg.md. Owned by one thread
 * each. */
#ifndef BRIDGE_NMSG_CONTAINER_H
#define BRIDGE_NMSG_CONTAINER_H

#include <stdbool.h>
#include <zlib.h>

#include "../buffer.h"
#include "../scan/octets.h"

enum {
    NMSG_HEADER = 10,
    NMSG_FLAG_ZLIB = 1,
    NMSG_FLAG_FRAGMENT = 2,
    NMSG_SIZE_MIN = 512,
    NMSG_SIZE_MAX = 65507,        /* the largest datagram over IPv4 */
    NMSG_CONTAINER_MAX = 2 << 20, /* what a container is unpacked to at most */
    NMSG_FRAGMENT_SPARE = 32,     /* pieces are so much smaller than datagrams */
    NMSG_PAYLOADS_MAX = 1024,     /* in one container that we write */
    NMSG_VENDOR_BASE = 1,
    NMSG_TYPE_DNSQR = 9,
    NMSG_TYPE_DNSTAP = 13,
    NMSG_TYPE_DNSOBS = 14,
};

struct nmsg_payload {
    uint32_t vendor;
    uint32_t type;
    int64_t second;
    uint32_t nanosecond;
    uint32_t source, operator, group; /* 0: left out */
    struct octets octets;
};

struct nmsg_writer_config {
    uint32_t
        size; /* of a datagram at most; 0: containers of one payload, however large, never cut */
    bool zlib;
    bool sequence; /* number containers from 0, under a random sequence id */
};

struct nmsg_writer;

/* NULL when memory runs out. */
struct nmsg_writer *nmsg_writer_new(const struct nmsg_writer_config *config);
void nmsg_writer_free(struct nmsg_writer *writer);

/* Puts a payload into the open container. False, and nothing put, where it must be sealed first
 * (then there is something in it), or memory has run out (then there is not). */
bool nmsg_writer_put(struct nmsg_writer *writer, const struct nmsg_payload *payload);

/* Payloads in the open container. */
uint32_t nmsg_writer_count(const struct nmsg_writer *writer);

/* Hands the container on as datagrams, one after the other, by `take` (borrowed octets; false ends
 * it), and opens the next one. False where `take` said so or memory ran out. Nothing to do where it
 * is empty. */
bool nmsg_writer_seal(struct nmsg_writer *writer,
                      bool (*take)(void *arg, struct octets datagram, bool last), void *arg);

/* The most octets of memory that a writer takes for payloads of up to `payload_max`. */
uint64_t nmsg_writer_memory(const struct nmsg_writer_config *config, uint64_t payload_max);

/* A datagram's outside, taken apart. */
struct nmsg_datagram {
    uint8_t flags;
    struct octets body;
};

/* False where it is no NMSG datagram, or its length is not that of the rest. */
bool nmsg_datagram_read(struct octets datagram, struct nmsg_datagram *into);

struct nmsg_fragment {
    uint32_t id, current, last;
    struct octets piece;
    bool has_crc;
    uint32_t crc;
};

bool nmsg_fragment_read(struct octets body, struct nmsg_fragment *into);

struct nmsg_container {
    struct octets body; /* the Nmsg */
    uint32_t count;     /* payloads */
    bool has_sequence;
    uint32_t sequence;
    uint64_t sequence_id;
};

/* Undoes zlib, into `scratch`, where the flag is there. False where it is broken or larger than it
 * may be. */
bool nmsg_unpack(uint8_t flags, struct octets body, struct buffer *scratch, struct octets *nmsg);

/* Reads the container once to its end: broken protobuf anywhere is found here. */
bool nmsg_container_read(struct octets nmsg, struct nmsg_container *into);

enum nmsg_next { NMSG_END, NMSG_PAYLOAD, NMSG_BAD_CRC };

struct nmsg_cursor {
    const uint8_t *payload_at;
    const uint8_t *crc_at;
    const uint8_t *packed_at, *packed_end; /* CRCs that stand packed */
};

/* The payloads of a container that was read, in order; a zeroed cursor begins. A payload whose CRC
 * does not match is told apart; one without a CRC passes. */
enum nmsg_next nmsg_payload_next(const struct nmsg_container *container, struct nmsg_cursor *cursor,
                                 struct nmsg_payload *payload);

#endif
