/* Packs octets as gzip or zstd, for files and for the bodies of requests. Owned by one thread.
 *
 * What is written up to a flush can be unpacked by whoever reads so far; and the stream can be
 * ended right there, even when more was added and written since: pack_closing gives the octets that
 * end it at its last flush. So a file can be cut at a flush and still be whole. */
#ifndef ADAPTERS_PACK_H
#define ADAPTERS_PACK_H

#include "buffer.h"

enum packing { PACKING_NONE, PACKING_GZIP, PACKING_ZSTD };

enum { PACK_CLOSING_MAX = 16 };

struct pack;

/* What a name asks for by its end (.gz, .zst); `*len`: octets of that end. */
enum packing packing_of_name(const char *name, size_t *len);

/* PACKING_GZIP or PACKING_ZSTD, at the beginning of a stream. NULL when memory runs out. */
struct pack *pack_new(enum packing packing);
void pack_free(struct pack *pack);

/* Begins a new stream; what was not finished of the one before is forgotten. */
void pack_reset(struct pack *pack);

/* Adds octets; flushes; ends the stream. What comes out is appended to `out`. False: out of memory.
 */
bool pack_add(struct pack *pack, const void *data, size_t len, struct buffer *out);
bool pack_flush(struct pack *pack, struct buffer *out);
bool pack_finish(struct pack *pack, struct buffer *out);

/* The octets that end the stream where its last flush ended; 0 where nothing was flushed yet. */
size_t pack_closing(const struct pack *pack, uint8_t out[PACK_CLOSING_MAX]);

/* Octets of memory that one takes; and the most that come out of `len` octets added and flushed. */
uint64_t pack_memory(enum packing packing);
uint64_t pack_bound(uint64_t len);

#endif
