#include "unpack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

enum { INPUT_SIZE = 64 * 1024, MAGIC = 4, ZSTD_WINDOW_LOG = 23 };

enum packing { PACKING_UNKNOWN, PACKING_NONE, PACKING_GZIP, PACKING_ZSTD };

struct unpack {
    int fd;
    enum packing packing;
    bool ended;   /* the descriptor gave its last octet */
    bool midway;  /* inside a gzip member or zstd frame: an end here is a torn file */
    z_stream gzip;
    ZSTD_DStream *zstd;
    size_t at, len; /* of the input not yet used */
    uint8_t input[INPUT_SIZE];
};

struct unpack *unpack_new(int fd)
{
    struct unpack *u = calloc(1, sizeof *u);
    if (u)
        u->fd = fd;
    return u;
}

void unpack_free(struct unpack *u)
{
    if (!u)
        return;
    if (u->packing == PACKING_GZIP)
        inflateEnd(&u->gzip);
    ZSTD_freeDStream(u->zstd);
    free(u);
}

/* Reads more input behind what is left of it. */
static ssize_t fill(struct unpack *u, struct error *error)
{
    if (u->at > 0) {
        memmove(u->input, u->input + u->at, u->len);
        u->at = 0;
    }
    ssize_t n = read(u->fd, u->input + u->len, INPUT_SIZE - u->len);
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        error_set(error, "read: %s", strerror(errno));
    if (n == 0)
        u->ended = true;
    if (n > 0)
        u->len += (size_t)n;
    return n;
}

static bool start_unpacking(struct unpack *u, struct error *error)
{
    static const uint8_t gzip_magic[] = {0x1f, 0x8b}, zstd_magic[] = {0x28, 0xb5, 0x2f, 0xfd};
    if (u->len >= sizeof gzip_magic && !memcmp(u->input, gzip_magic, sizeof gzip_magic)) {
        if (inflateInit2(&u->gzip, 15 + 16) != Z_OK)
            return error_set(error, "gzip: out of memory");
        u->packing = PACKING_GZIP;
    } else if (u->len >= sizeof zstd_magic && !memcmp(u->input, zstd_magic, sizeof zstd_magic)) {
        u->zstd = ZSTD_createDStream();
        if (!u->zstd)
            return error_set(error, "zstd: out of memory");
        ZSTD_DCtx_setParameter(u->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG);
        u->packing = PACKING_ZSTD;
    } else {
        u->packing = PACKING_NONE;
    }
    return true;
}

/* Octets unpacked from the input that is here, 0 where it gives none yet, -1 with the error. */
static ssize_t unpack_gzip(struct unpack *u, uint8_t *out, size_t len, struct error *error)
{
    u->gzip.next_in = u->input + u->at;
    u->gzip.avail_in = (uInt)u->len;
    u->gzip.next_out = out;
    u->gzip.avail_out = (uInt)len;
    int res = inflate(&u->gzip, Z_NO_FLUSH);
    u->at += u->len - u->gzip.avail_in;
    u->len = u->gzip.avail_in;
    u->midway = res != Z_STREAM_END;
    if (res == Z_STREAM_END)
        inflateReset(&u->gzip); /* another member may follow */
    else if (res != Z_OK && res != Z_BUF_ERROR)
        return error_set(error, "gzip: %s", u->gzip.msg ? u->gzip.msg : "damaged data") - 1;
    return (ssize_t)(len - u->gzip.avail_out);
}

static ssize_t unpack_zstd(struct unpack *u, uint8_t *out, size_t len, struct error *error)
{
    ZSTD_inBuffer in = {.src = u->input + u->at, .size = u->len};
    ZSTD_outBuffer to = {.dst = out, .size = len};
    size_t res = ZSTD_decompressStream(u->zstd, &to, &in);
    if (ZSTD_isError(res))
        return error_set(error, "zstd: %s", ZSTD_getErrorName(res)) - 1;
    u->at += in.pos;
    u->len -= in.pos;
    u->midway = res != 0;
    return (ssize_t)to.pos;
}

static ssize_t unpack_some(struct unpack *u, uint8_t *out, size_t len, struct error *error)
{
    if (u->packing == PACKING_GZIP)
        return unpack_gzip(u, out, len, error);
    return unpack_zstd(u, out, len, error);
}

static ssize_t read_plain(struct unpack *u, uint8_t *out, size_t len, struct error *error)
{
    if (u->len > 0) { /* what was read to look at the first octets */
        size_t n = u->len < len ? u->len : len;
        memcpy(out, u->input + u->at, n);
        u->at += n;
        u->len -= n;
        return (ssize_t)n;
    }
    ssize_t n = read(u->fd, out, len);
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        error_set(error, "read: %s", strerror(errno));
    return n;
}

ssize_t unpack_read(struct unpack *u, uint8_t *out, size_t len, struct error *error)
{
    while (u->packing == PACKING_UNKNOWN) {
        ssize_t n = fill(u, error);
        if (n < 0)
            return n;
        if ((u->len >= MAGIC || u->ended) && !start_unpacking(u, error))
            return -1;
    }
    if (u->packing == PACKING_NONE)
        return read_plain(u, out, len, error);
    for (;;) {
        ssize_t n = u->len > 0 || u->midway ? unpack_some(u, out, len, error) : 0;
        if (n != 0)
            return n;
        if (u->ended)
            return u->midway ? error_set(error, "the packed data ends early") - 1 : 0;
        n = fill(u, error);
        if (n < 0)
            return n;
    }
}
