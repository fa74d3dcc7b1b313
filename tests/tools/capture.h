/* Frame Streams files for tests: read whole, then taken frame by frame. */
#ifndef TESTS_CAPTURE_H
#define TESTS_CAPTURE_H

#include "buffer.h"
#include "frame.h"

/* Appends the file, decompressed if it is gzip, to `into`. False, with a line on standard error,
 * where it cannot be read. */
bool capture_load(const char *path, struct buffer *into);

/* The next data frame; control frames are passed over. False at the end. */
bool capture_next(struct reader *r, struct frame *frame);

#endif
