#include <assert.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "../reader.h"
#include "container.h"
#include "crc32c.h"
#include "../scan/protobuf_put.h"

enum {
    CRC_MAX = 6,       /* octets of a payload's CRC with its tag */
    SEQUENCE_MAX = 17, /* of sequence and sequence id */
    ZLIB_LENGTH = 4,
};

struct nmsg_writer {
    struct nmsg_writer_config config;
    struct buffer body;     /* the Nmsg so far: its payloads */
    struct buffer packed;   /* what goes out: header, and the body or its compressed form */
    struct buffer fragment; /* one datagram of several */
    uint32_t crcs[NMSG_PAYLOADS_MAX];
    uint32_t count;
    uint32_t sequence;
    uint64_t sequence_id;
    uint32_t fragment_id;
    z_stream deflater;
    bool deflater_open;
};

static uint64_t random_number(void)
{
    uint64_t number;
    if (getrandom(&number, sizeof number, GRND_NONBLOCK) != (ssize_t)sizeof number) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        number = (uint64_t)now.tv_sec << 32 ^ (uint64_t)now.tv_nsec;
    }
    return number;
}

struct nmsg_writer *nmsg_writer_new(const struct nmsg_writer_config *config)
{
    struct nmsg_writer *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->config = *config;
    w->sequence_id = random_number();
    w->fragment_id = (uint32_t)random_number();
    w->deflater_open = config->zlib && deflateInit(&w->deflater, Z_DEFAULT_COMPRESSION) == Z_OK;
    if (!config->zlib || w->deflater_open)
        return w;
    free(w);
    return NULL;
}

void nmsg_writer_free(struct nmsg_writer *w)
{
    if (!w)
        return;
    if (w->deflater_open)
        deflateEnd(&w->deflater);
    buffer_free(&w->body);
    buffer_free(&w->packed);
    buffer_free(&w->fragment);
    free(w);
}

static uint32_t optional_len(uint32_t value)
{
    return value > 0 ? 1 + wire_varint_len(value) : 0;
}

static uint32_t payload_len(const struct nmsg_payload *p)
{
    return 1 + wire_varint_len(p->vendor) + 1 + wire_varint_len(p->type) + 1 +
           wire_varint_len((uint64_t)p->second) + 5 + 1 + wire_varint_len(p->octets.len) +
           p->octets.len + optional_len(p->source) + optional_len(p->operator) +
           optional_len(p->group);
}

static void put_optional(unsigned field, uint32_t value, struct buffer *out)
{
    if (value > 0)
        wire_number(field, value, out);
}

static void put_payload(const struct nmsg_payload *p, uint32_t len, struct buffer *out)
{
    wire_head(1, len, out);
    wire_number(1, p->vendor, out);
    wire_number(2, p->type, out);
    wire_number(3, (uint64_t)p->second, out);
    wire_fixed32(4, p->nanosecond, out);
    wire_octets(5, p->octets, out);
    put_optional(7, p->source, out);
    put_optional(8, p->operator, out);
    put_optional(9, p->group, out);
}

bool nmsg_writer_put(struct nmsg_writer *w, const struct nmsg_payload *payload)
{
    uint32_t len = payload_len(payload);
    size_t whole = NMSG_HEADER + w->body.len + 1 + wire_varint_len(len) + len +
                   (size_t)(w->count + 1) * CRC_MAX + SEQUENCE_MAX;

    if (w->count > 0 && (whole > w->config.size || w->count == NMSG_PAYLOADS_MAX))
        return false;
    put_payload(payload, len, &w->body);
    if (w->body.failed) {
        buffer_clear(&w->body);
        w->count = 0;
        return false;
    }
    assert(w->count < NMSG_PAYLOADS_MAX);
    w->crcs[w->count++] = nmsg_crc(payload->octets);
    return true;
}

uint32_t nmsg_writer_count(const struct nmsg_writer *w)
{
    return w->count;
}

static void put_header(uint8_t flags, uint32_t len, struct buffer *out)
{
    uint8_t header[NMSG_HEADER] = {'N', 'M', 'S', 'G', flags, 2};
    store_be32(header + 6, len);
    buffer_put(out, header, sizeof header);
}

static void put_trailer(struct nmsg_writer *w)
{
    for (uint32_t i = 0; i < w->count; i++)
        wire_number(2, w->crcs[i], &w->body);
    if (!w->config.sequence)
        return;
    wire_number(3, w->sequence++, &w->body);
    wire_number(4, w->sequence_id, &w->body);
}

/* The compressed body behind room for a header; 0 where it would not be smaller. */
static uint32_t compress_body(struct nmsg_writer *w)
{
    size_t bound = deflateBound(&w->deflater, w->body.len);
    uint8_t length[ZLIB_LENGTH];
    store_be32(length, (uint32_t)w->body.len);
    buffer_put(&w->packed, length, sizeof length);
    uint8_t *to = buffer_reserve(&w->packed, bound);
    if (!to || deflateReset(&w->deflater) != Z_OK)
        return 0;
    w->deflater.next_in = w->body.data;
    w->deflater.avail_in = (uInt)w->body.len;
    w->deflater.next_out = to;
    w->deflater.avail_out = (uInt)bound;
    if (deflate(&w->deflater, Z_FINISH) != Z_STREAM_END)
        return 0;
    size_t len = bound - w->deflater.avail_out;
    w->packed.len += len;
    return len + ZLIB_LENGTH < w->body.len ? (uint32_t)len + ZLIB_LENGTH : 0;
}

/* Header and body in `packed`; the flags. */
static uint8_t pack(struct nmsg_writer *w)
{
    uint8_t flags = 0;
    uint32_t len = 0;
    buffer_clear(&w->packed);
    put_header(0, 0, &w->packed);
    if (w->config.zlib)
        len = compress_body(w);
    if (len > 0) {
        flags = NMSG_FLAG_ZLIB;
    } else {
        w->packed.len = w->packed.len > 0 ? NMSG_HEADER : 0;
        len = (uint32_t)w->body.len;
        buffer_put(&w->packed, w->body.data, w->body.len);
    }
    if (!w->packed.failed) {
        w->packed.data[4] = flags;
        store_be32(w->packed.data + 6, len);
    }
    return flags;
}

static void put_fragment(struct nmsg_writer *w, uint8_t flags, uint32_t current, uint32_t last,
                         struct octets piece, uint32_t crc)
{
    buffer_clear(&w->fragment);
    put_header(flags | NMSG_FLAG_FRAGMENT, 0, &w->fragment);
    wire_number(1, w->fragment_id, &w->fragment);
    wire_number(2, current, &w->fragment);
    wire_number(3, last, &w->fragment);
    wire_octets(4, piece, &w->fragment);
    wire_number(5, crc, &w->fragment);
    if (!w->fragment.failed)
        store_be32(w->fragment.data + 6, (uint32_t)w->fragment.len - NMSG_HEADER);
}

static bool cut(struct nmsg_writer *w, uint8_t flags,
                bool (*take)(void *arg, struct octets datagram, bool last), void *arg)
{
    struct octets whole = {w->packed.data + NMSG_HEADER, (uint32_t)w->packed.len - NMSG_HEADER};
    uint32_t size = w->config.size - NMSG_FRAGMENT_SPARE;
    uint32_t last = (whole.len - 1) / size;
    uint32_t crc = nmsg_crc(whole);

    w->fragment_id = (uint32_t)random_number();
    for (uint32_t i = 0; i <= last; i++) {
        struct octets piece = {whole.data + (size_t)i * size,
                               i < last ? size : whole.len - last * size};
        put_fragment(w, flags, i, last, piece, crc);
        struct octets datagram = {w->fragment.data, (uint32_t)w->fragment.len};
        if (w->fragment.failed || !take(arg, datagram, i == last))
            return false;
    }
    return true;
}

bool nmsg_writer_seal(struct nmsg_writer *w,
                      bool (*take)(void *arg, struct octets datagram, bool last), void *arg)
{
    if (w->count == 0)
        return true;
    put_trailer(w);
    uint8_t flags = pack(w);
    bool failed = w->body.failed || w->packed.failed;
    struct octets datagram = {w->packed.data, (uint32_t)w->packed.len};
    buffer_clear(&w->body);
    w->count = 0;
    if (failed)
        return false;
    if (w->config.size > 0 && datagram.len > w->config.size)
        return cut(w, flags, take, arg);
    return take(arg, datagram, true);
}

uint64_t nmsg_writer_memory(const struct nmsg_writer_config *config, uint64_t payload_max)
{
    uint64_t whole = 2 * (payload_max + 4096); /* buffers double */
    uint64_t deflater = config->zlib ? 300 * 1024 : 0;
    return sizeof(struct nmsg_writer) + 2 * whole + 2 * (uint64_t)config->size + deflater;
}
