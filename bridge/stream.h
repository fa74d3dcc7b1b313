/* One incoming Frame Stream, of a connection or a file: finds the whole data frames in what was read,
 * right where it was read, and hands them to the intake uncopied. What is torn at the end of a read
 * waits here for the rest.
 *
 *     loop:  window = stream_window(...)       where to read to
 *            n = read(fd, window.at, window.len)
 *            stream_received(..., n)           frames go to the intake
 *            on STREAM_CONTROL: look at the control frame, then stream_received(..., 0) again
 *
 * Owned by one source thread. Memory: the torn end of the last read, and at most one message larger
 * than a batch, counted against the budget that the streams of a source share. */
#ifndef BRIDGE_STREAM_H
#define BRIDGE_STREAM_H

#include "control.h"
#include "intake.h"

struct stream;

enum stream_result {
    STREAM_MORE,    /* all that was read is dealt with: read on */
    STREAM_CONTROL, /* a control frame: see stream_control; call again for what is behind it */
    STREAM_PAUSE,   /* `frames_max` frames went on; call again for more */
    STREAM_BROKEN,  /* see the error; nothing behind this can be read */
};

/* Octets that the torn ends of all streams of a source may take together, beyond a page each. */
struct stream_budget {
    size_t used;
    size_t limit;
};

enum {
    STREAM_FREE_TAIL = 4096, /* a torn end of up to this many octets is outside the budget */
};

struct stream_window {
    uint8_t *at;
    size_t len;
};

/* `budget` is borrowed. With `skip_oversize` a frame longer than `frame_max` is passed over and counted
 * as malformed (a file); without, it breaks the stream (a connection). NULL: out of memory. */
struct stream *stream_new(uint32_t frame_max, bool skip_oversize, struct stream_budget *budget);
void stream_free(struct stream *stream);

/* Where the next octets go. False, with the error, when there is no memory or budget for them. */
bool stream_window(struct stream *stream, struct intake *intake, struct stream_window *window,
                   struct error *error);

/* `n` octets were read to the window (0 after STREAM_CONTROL or STREAM_PAUSE, without a new window).
 * At most `frames_max` frames go on at once (0: no bound). */
enum stream_result stream_received(struct stream *stream, struct intake *intake, size_t n,
                                   uint32_t frames_max, struct error *error);

/* The payload of the control frame just met; valid until the next call. */
const uint8_t *stream_control(const struct stream *stream, size_t *len);

/* Messages handed on so far. */
uint64_t stream_frames(const struct stream *stream);

/* Octets of a frame begun and not ended: at the end of input, something was torn off. */
size_t stream_torn(const struct stream *stream);

#endif
