/* Turns one message into one record of an output format: the vtable that all formats fill in.
 *
 * An encoder belongs to one route and is called by that route's thread alone. It never blocks, trusts
 * nothing in the message, and allocates nothing per message (the buffer is reused). */
#ifndef BRIDGE_ENCODER_H
#define BRIDGE_ENCODER_H

#include "../buffer.h"
#include "../error.h"
#include "../frame.h"
#include "../options.h"

struct encoder;

enum encode_result {
    ENCODE_OK,        /* one whole record was appended */
    ENCODE_FILTERED,  /* the format has no place for such a message; nothing was appended */
    ENCODE_MALFORMED, /* the message is no dnstap message; nothing was appended */
    ENCODE_FAILED,    /* out of memory; nothing was appended */
    ENCODE_HELD,      /* taken in; the record that it is part of comes later, by `next` */
    ENCODE_FULL,      /* there is no room for it: what is held has to be given out first, then again */
};

struct encoder_ops {
    const char *name;    /* what `format=` calls it */
    const char *summary; /* one line for help: "... " */
    const struct option_spec *options; /* its own; NULL: none */

    /* A new encoder with the sink's options, which are borrowed and outlive it. NULL with the error. Main
     * thread. The caller frees it with `free`. */
    struct encoder *(*new)(const struct options *options, struct error *error);

    /* Appends the record of one message. May grow `out`. Leaves `out->len` alone unless ENCODE_OK. */
    enum encode_result (*message)(struct encoder *encoder, struct frame message,
                                  struct buffer *out);

    /* Of an encoder that makes records of many messages, else NULL, all three. When is what it holds due (CLOCK_MONOTONIC, ms;
     * -1: it holds nothing)? And once it is: appends the next record (`out->failed`: it is lost); false behind the last, and it is empty again. Nothing else
     * is called in between. The octets that it may take. */
    int64_t (*due)(const struct encoder *encoder);
    bool (*next)(struct encoder *encoder, struct buffer *out);
    uint64_t (*memory)(const struct options *options);

    void (*free)(struct encoder *encoder);
};

/* The names that `format=` takes, separated by '|'. "dnstap" and "frames" are no encoders: messages go as
 * they are, one by one or a batch at a time. */
extern const char encoder_formats[];

/* All encoders, ending with NULL. */
extern const struct encoder_ops *const encoders[];

/* The encoder of a format; NULL for dnstap. */
const struct encoder_ops *encoder_find(const char *format);

extern const struct encoder_ops cof_encoder;  /* an object per RRset of a window */
extern const struct encoder_ops text_encoder; /* one line per message, as `dnstap -q` prints it */
extern const struct encoder_ops json_encoder; /* one object per line */
extern const struct encoder_ops nmsg_encoder; /* one NMSG container per message */
extern const struct encoder_ops yaml_encoder; /* one document per message, as `dnstap -y` prints it */

#endif
