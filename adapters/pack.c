#include "pack.h"

#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

enum {
    ROOM = 32 * 1024, /* the least offered to a library at a time */
    GZIP_LEVEL = 6,
    GZIP_WINDOW = 15 + 16,    /* zlib: the largest window, and gzip's head and tail */
    GZIP_MEMORY = 320 * 1024, /* as zlib.h counts it for that window */
    ZSTD_LEVEL = 3,
    ZSTD_MEMORY =
        5 * 1024 * 1024, /* what ZSTD_estimateCStreamSize says of that level, and a margin */
};

struct pack {
    enum packing packing;
    z_stream gzip;
    ZSTD_CCtx *zstd;
    bool flushed;      /* the stream can be ended at a flush */
    uLong flushed_sum; /* gzip: the check sum and length at the last one */
    uLong flushed_len;
};

enum packing packing_of_name(const char *name, size_t *len)
{
    const char *suffix = strrchr(name, '.');
    *len = suffix ? strlen(suffix) : 0;
    if (suffix && strcasecmp(suffix, ".gz") == 0)
        return PACKING_GZIP;
    if (suffix && strcasecmp(suffix, ".zst") == 0)
        return PACKING_ZSTD;
    *len = 0;
    return PACKING_NONE;
}

struct pack *pack_new(enum packing packing)
{
    struct pack *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->packing = packing;
    if (packing == PACKING_ZSTD)
        p->zstd = ZSTD_createCCtx();
    if (packing == PACKING_ZSTD ? p->zstd && !ZSTD_isError(ZSTD_CCtx_setParameter(
                                                 p->zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL))
                                : deflateInit2(&p->gzip, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW, 8,
                                               Z_DEFAULT_STRATEGY) == Z_OK)
        return p;
    ZSTD_freeCCtx(p->zstd);
    free(p);
    return NULL;
}

void pack_free(struct pack *p)
{
    if (!p)
        return;
    if (p->packing == PACKING_GZIP)
        deflateEnd(&p->gzip);
    ZSTD_freeCCtx(p->zstd);
    free(p);
}

void pack_reset(struct pack *p)
{
    if (p->packing == PACKING_GZIP)
        deflateReset(&p->gzip);
    else
        ZSTD_CCtx_reset(p->zstd, ZSTD_reset_session_only);
    p->flushed = false;
}

static bool run_gzip(struct pack *p, const void *data, size_t len, int flush, struct buffer *out)
{
    p->gzip.next_in = (z_const Bytef *)data;
    p->gzip.avail_in = (uInt)len;
    do {
        if (!buffer_reserve(out, ROOM))
            return false;
        size_t room = out->cap - out->len;
        p->gzip.next_out = out->data + out->len;
        p->gzip.avail_out = (uInt)room;
        deflate(&p->gzip, flush); /* Z_BUF_ERROR says only that there was nothing to do */
        out->len += room - p->gzip.avail_out;
    } while (p->gzip.avail_out == 0);
    return true;
}

static bool run_zstd(struct pack *p, const void *data, size_t len, ZSTD_EndDirective end,
                     struct buffer *out)
{
    ZSTD_inBuffer in = {.src = data, .size = len};
    size_t left;
    do {
        if (!buffer_reserve(out, ROOM))
            return false;
        ZSTD_outBuffer to = {.dst = out->data, .size = out->cap, .pos = out->len};
        left = ZSTD_compressStream2(p->zstd, &to, &in, end);
        if (ZSTD_isError(left))
            return false;
        out->len = to.pos;
    } while (end == ZSTD_e_continue ? in.pos < in.size : left > 0);
    return true;
}

bool pack_add(struct pack *p, const void *data, size_t len, struct buffer *out)
{
    if (p->packing == PACKING_GZIP)
        return run_gzip(p, data, len, Z_NO_FLUSH, out);
    return run_zstd(p, data, len, ZSTD_e_continue, out);
}

bool pack_flush(struct pack *p, struct buffer *out)
{
    bool ok = p->packing == PACKING_GZIP ? run_gzip(p, NULL, 0, Z_SYNC_FLUSH, out)
                                         : run_zstd(p, NULL, 0, ZSTD_e_flush, out);
    p->flushed = p->flushed || ok;
    p->flushed_sum = p->gzip.adler; /* zlib keeps gzip's CRC there */
    p->flushed_len = p->gzip.total_in;
    return ok;
}

bool pack_finish(struct pack *p, struct buffer *out)
{
    if (p->packing == PACKING_GZIP)
        return run_gzip(p, NULL, 0, Z_FINISH, out);
    return run_zstd(p, NULL, 0, ZSTD_e_end, out);
}

static void store_le32(uint8_t *at, uLong value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

/* gzip (RFC 1951, 1952): an empty last block of fixed codes; then the CRC and the length. zstd (RFC
 * 8878, 3.1.1.2): an empty raw last block; we write no content checksum. */
size_t pack_closing(const struct pack *p, uint8_t out[PACK_CLOSING_MAX])
{
    static const uint8_t zstd_last[] = {0x01, 0x00, 0x00};
    if (!p->flushed)
        return 0;
    if (p->packing == PACKING_ZSTD) {
        memcpy(out, zstd_last, sizeof zstd_last);
        return sizeof zstd_last;
    }
    out[0] = 0x03;
    out[1] = 0x00;
    store_le32(out + 2, p->flushed_sum);
    store_le32(out + 6, p->flushed_len);
    return 10;
}

uint64_t pack_memory(enum packing packing)
{
    static const uint64_t memory[] = {
        [PACKING_NONE] = 0,
        [PACKING_GZIP] = sizeof(struct pack) + GZIP_MEMORY,
        [PACKING_ZSTD] = sizeof(struct pack) + ZSTD_MEMORY,
    };
    return memory[packing];
}

uint64_t pack_bound(uint64_t len)
{
    return len + len / 64 + ROOM; /* above what zlib.h and zstd.h give for their worst cases */
}
