#include "stream.h"

#include <stdlib.h>
#include <string.h>

#include "foreign.h"
#include "frame.h"

enum { READ_LEAST = 8192 }; /* a smaller rest of a batch is not worth a read */

struct stream {
    uint32_t frame_max;
    bool skip_oversize;
    struct stream_budget *budget;
    uint64_t frames; /* handed on */
    bool started;    /* a control frame was met */

    uint8_t *tail; /* the torn end of what was read before */
    size_t tail_len;
    size_t tail_cap;

    uint8_t *at; /* octets in the intake's space not yet walked */
    size_t left;
    bool in_space;

    struct batch *large; /* a message too large for the slabs, being read to its own memory */
    size_t large_len;

    size_t skip; /* octets of an oversize frame still to pass over */

    uint8_t control[CONTROL_MAX];
    size_t control_len;
};

struct stream *stream_new(uint32_t frame_max, bool skip_oversize, struct stream_budget *budget)
{
    struct stream *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->frame_max = frame_max;
    s->skip_oversize = skip_oversize;
    s->budget = budget;
    return s;
}

static size_t charge_of(size_t octets)
{
    return octets > STREAM_FREE_TAIL ? octets : 0;
}

static bool charge(struct stream *s, size_t octets, struct error *error)
{
    size_t more = charge_of(octets);
    if (s->budget->used + more > s->budget->limit)
        return error_set(error, "unfinished frames of all senders together exceed their %zu octets",
                         s->budget->limit);
    s->budget->used += more;
    return true;
}

static void drop_tail(struct stream *s)
{
    s->budget->used -= charge_of(s->tail_cap);
    free(s->tail);
    s->tail = NULL;
    s->tail_cap = s->tail_len = 0;
}

static void drop_large(struct stream *s)
{
    if (!s->large)
        return;
    s->budget->used -= charge_of(s->large->len);
    batch_unref(s->large);
    s->large = NULL;
}

void stream_free(struct stream *s)
{
    if (!s)
        return;
    drop_tail(s);
    drop_large(s);
    free(s);
}

static bool save_tail(struct stream *s, struct error *error)
{
    s->in_space = false;
    if (s->left > s->tail_cap) {
        drop_tail(s);
        size_t cap = s->left < 512 ? 512 : s->left;
        if (!charge(s, cap, error))
            return false;
        s->tail = malloc(cap);
        if (!s->tail) {
            s->budget->used -= charge_of(cap);
            return error_set(error, "out of memory for an unfinished frame");
        }
        s->tail_cap = cap;
    }
    if (s->left > 0)
        memcpy(s->tail, s->at, s->left);
    s->tail_len = s->left;
    s->left = 0;
    if (s->tail_len == 0 && s->tail_cap > STREAM_FREE_TAIL)
        drop_tail(s);
    return true;
}

bool stream_window(struct stream *s, struct intake *intake, struct stream_window *window,
                   struct error *error)
{
    if (s->large) {
        /* batch_alloc's memory is ours to write until it is offered */
        window->at = (uint8_t *)(s->large + 1) + s->large_len;
        window->len = s->large->len - s->large_len;
        return true;
    }
    if (intake_left(intake) < READ_LEAST + s->tail_len)
        intake_flush(intake);
    size_t have;
    uint8_t *space = intake_space(intake, s->tail_len + READ_LEAST, &have);
    if (!space)
        return error_set(error, "out of memory for a batch");
    if (s->tail_len > 0)
        memcpy(space, s->tail, s->tail_len);
    s->at = space;
    s->left = s->tail_len;
    s->in_space = true;
    size_t limit = intake_left(intake);
    window->at = space + s->tail_len;
    window->len = (have < limit ? have : limit) - s->tail_len;
    return true;
}

static enum stream_result large_received(struct stream *s, struct intake *intake, size_t n)
{
    s->large_len += n;
    if (s->large_len < s->large->len)
        return STREAM_MORE;
    struct batch *batch = s->large;
    s->budget->used -= charge_of(batch->len);
    s->large = NULL;
    batch->count = 1;
    s->frames++;
    intake_flush(intake);
    intake_offer(intake, batch);
    return STREAM_MORE;
}

/* Begins a message that is larger than a batch: what is here of it moves to memory of its own. */
static enum stream_result begin_large(struct stream *s, uint32_t frame_len, struct error *error)
{
    uint32_t whole = FRAME_HEADER + frame_len;
    drop_tail(s); /* what it held stands in the space by now; the budget need not pay for both */
    if (!charge(s, whole, error))
        return STREAM_BROKEN;
    s->large = batch_alloc(whole);
    if (!s->large) {
        s->budget->used -= charge_of(whole);
        error_set(error, "out of memory for a frame of %u octets", frame_len);
        return STREAM_BROKEN;
    }
    memcpy(s->large + 1, s->at, s->left);
    s->large_len = s->left;
    s->left = 0;
    return save_tail(s, error) ? STREAM_MORE : STREAM_BROKEN;
}

/* Cuts a control frame out of the octets, so that data frames on both sides of it stay one run. */
static enum stream_result take_control(struct stream *s, struct error *error)
{
    if (s->left < CONTROL_HEADER)
        return save_tail(s, error) ? STREAM_MORE : STREAM_BROKEN;
    size_t len = load_be32(s->at + FRAME_HEADER);
    if (len > CONTROL_MAX) {
        error_set(error, "control frame of %zu octets; at most %d are allowed", len, CONTROL_MAX);
        return STREAM_BROKEN;
    }
    if (s->left < CONTROL_HEADER + len)
        return save_tail(s, error) ? STREAM_MORE : STREAM_BROKEN;
    memcpy(s->control, s->at + CONTROL_HEADER, len);
    s->control_len = len;
    s->started = true;
    s->left -= CONTROL_HEADER + len;
    memmove(s->at, s->at + CONTROL_HEADER + len, s->left);
    return STREAM_CONTROL;
}

static enum stream_result oversize(struct stream *s, struct intake *intake, uint32_t frame_len,
                                   struct error *error)
{
    error_set(error, "frame of %u octets is longer than max-frame=%u", frame_len, s->frame_max);
    if (!s->skip_oversize)
        return STREAM_BROKEN;
    intake_refuse(intake, 1);
    s->skip = (size_t)FRAME_HEADER + frame_len;
    return STREAM_MORE;
}

/* Passes over what is here of an oversize frame. */
static void skip_octets(struct stream *s)
{
    size_t n = s->skip < s->left ? s->skip : s->left;
    s->skip -= n;
    s->left -= n;
    memmove(s->at, s->at + n, s->left);
}

/* Whole data frames at the front: their octets, and how many. */
static size_t walk_frames(const struct stream *s, uint32_t frames_max, uint32_t *count)
{
    const uint8_t *at = s->at;
    size_t left = s->left;
    uint32_t n = 0;
    while (left >= FRAME_HEADER && n < frames_max) {
        uint32_t len = load_be32(at);
        if (len == 0 || len > s->frame_max || left - FRAME_HEADER < len)
            break;
        at += FRAME_HEADER + len;
        left -= FRAME_HEADER + len;
        n++;
    }
    *count = n;
    return s->left - left;
}

/* A stream begins with a control frame; octets that do not are something else. */
static bool begins_well(const struct stream *s, struct error *error)
{
    if (s->started || s->left < FRAME_HEADER || load_be32(s->at) == 0)
        return true;
    const char *name = foreign_name(s->at, s->left);
    return error_set(error, "does not begin with a START or READY control frame: %s%s",
                     name ? "it is " : "not Frame Streams", name ? name : "");
}

static enum stream_result walk(struct stream *s, struct intake *intake, uint32_t frames_max,
                               struct error *error)
{
    for (;;) {
        if (s->skip > 0)
            skip_octets(s);
        uint32_t count;
        size_t len = walk_frames(s, frames_max, &count);
        intake_commit(intake, len, count);
        s->frames += count;
        s->at += len;
        s->left -= len;
        frames_max -= count;
        if (frames_max == 0)
            return save_tail(s, error) ? STREAM_PAUSE : STREAM_BROKEN;
        if (s->left < FRAME_HEADER)
            return save_tail(s, error) ? STREAM_MORE : STREAM_BROKEN;
        uint32_t next = load_be32(s->at);
        if (next == 0)
            return take_control(s, error);
        if (next > s->frame_max) {
            if (oversize(s, intake, next, error) == STREAM_BROKEN)
                return STREAM_BROKEN;
            continue;
        }
        if (next > BATCH_LIMIT - FRAME_HEADER - READ_LEAST)
            return begin_large(s, next, error);
        return save_tail(s, error) ? STREAM_MORE : STREAM_BROKEN;
    }
}

enum stream_result stream_received(struct stream *s, struct intake *intake, size_t n,
                                   uint32_t frames_max, struct error *error)
{
    if (s->large)
        return large_received(s, intake, n);
    if (!s->in_space) { /* after a pause: the rest is in the tail */
        struct stream_window window;
        if (!stream_window(s, intake, &window, error))
            return STREAM_BROKEN;
    }
    s->left += n;
    if (!begins_well(s, error))
        return STREAM_BROKEN;
    return walk(s, intake, frames_max ? frames_max : UINT32_MAX, error);
}

const uint8_t *stream_control(const struct stream *s, size_t *len)
{
    *len = s->control_len;
    return s->control;
}

uint64_t stream_frames(const struct stream *s)
{
    return s->frames;
}

size_t stream_torn(const struct stream *s)
{
    if (s->large)
        return s->large_len;
    return s->tail_len + s->skip;
}
