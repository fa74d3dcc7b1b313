/* Reads a descriptor as plain octets, whatever it holds: gzip and zstd are known by their first octets
 * and unpacked on the way. Owned by one thread. */
#ifndef ADAPTERS_UNPACK_H
#define ADAPTERS_UNPACK_H

#include <stdint.h>
#include <sys/types.h>

#include "error.h"

struct unpack;

enum { UNPACK_MEMORY = 160 * 1024 + (8 << 20) }; /* the most that one takes: zstd's window counts */

/* Borrows the descriptor. NULL when memory runs out. */
struct unpack *unpack_new(int fd);
void unpack_free(struct unpack *unpack);

/* Up to `len` octets: their number, 0 at the end, -1 with the error. Reads the descriptor at most once
 * before it returns something, so a caller that polled does not block where it is not packed; -1 with
 * errno EAGAIN and no error where the descriptor has nothing now. */
ssize_t unpack_read(struct unpack *unpack, uint8_t *out, size_t len, struct error *error);

#endif
