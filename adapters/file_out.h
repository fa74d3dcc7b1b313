/* One file that is being written: START, records, STOP, packed or not. A message is settled as
 * delivered when the kernel took the octets that hold it: at once where they go straight into the
 * file, at the next flush where they are packed, and after fdatasync with fsync=each. Until then it
 * is held.
 *
 * Whatever happens, the file ends whole: what could not be written is cut off, and is not
 * delivered. Owned by the sink's thread. */
#ifndef ADAPTERS_FILE_OUT_H
#define ADAPTERS_FILE_OUT_H

#include <sys/types.h>

#include "error.h"
#include "output.h"
#include "pack.h"

enum file_sync { FILE_SYNC_NO, FILE_SYNC_CLOSE, FILE_SYNC_EACH };

enum { FILE_OUT_HELD_OCTETS = 1 << 20 }; /* records held, after which they are flushed */

/* What all files of a sink have in common. */
struct file_kind {
    bool framed; /* Frame Streams; else records as they are */
    enum packing packing;
    enum file_sync sync;
    const struct waker *waker; /* ends waiting; borrowed */
};

struct file_out;

/* Takes over the descriptor, in any case; `path` (NULL: none) is where the file stands, for a spare
 * block beside it that is given free when the disk is full at the end. NULL: out of memory. */
struct file_out *file_out_new(const struct file_kind *kind, int fd, const char *path);

/* Writes the beginning; writes a parcel on from `progress`; has all that is held written and
 * settled. Each may be called again after OUTPUT_FULL. */
enum output_result file_out_begin(struct file_out *out);
enum output_result file_out_write(struct file_out *out, const struct parcel *parcel,
                                  struct progress *progress);
enum output_result file_out_flush(struct file_out *out);

/* When the oldest held message was added, ms of CLOCK_MONOTONIC; -1: none is held. */
int64_t file_out_held_since(const struct file_out *out);

uint64_t file_out_size(const struct file_out *out);     /* octets, as they will stand in the file */
uint64_t file_out_messages(const struct file_out *out); /* written or held */
bool file_out_is_at(const struct file_out *out, const char *path); /* does the file stand there? */

/* Ends the file: flushes, or settles as failed what is held where it is `broken`; STOP; to the
 * disk, where asked for. With a full disk OUTPUT_FULL: call again, or cut. */
enum output_result file_out_end(struct file_out *out);

/* Ends the file behind the last message that was delivered; what is held stays unsettled. False
 * with the error where not even the end could be written. */
bool file_out_cut(struct file_out *out, struct error *error);

/* Settles all that is held as failed. */
void file_out_fail(struct file_out *out);

/* Closes the file. */
void file_out_free(struct file_out *out);

/* Octets of memory that one takes. */
uint64_t file_out_memory(enum packing packing, bool holds, uint64_t batch_max);

#endif
