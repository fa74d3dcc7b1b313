/* Makes a connection to a Frame Streams collector: the addresses of its name in turn, TLS where it is wanted, READY, ACCEPT, START.
 * It can be left at any step, by waking its waker, and taken up there again:
 *
 *     dial_run(dial, waker, &error)    DIAL_WOKEN: call again to go on; DIAL_DONE: dial_take
 *     dial_drop(dial)                  gives up what is under way
 *
 * Owned by one thread. */
#ifndef ADAPTERS_FRAMESTREAM_DIAL_H
#define ADAPTERS_FRAMESTREAM_DIAL_H

#include "control.h"
#include "link.h"
#include "socket.h"

/* A control frame of the peer that comes in pieces. */
struct answer {
    uint8_t octets[CONTROL_HEADER + CONTROL_MAX];
    size_t got;
};

enum answer_result { ANSWER_THERE, ANSWER_WAITS, ANSWER_WRONG };

/* Reads on, without waiting. ANSWER_WRONG, with the error: it cannot be read, or is another one than `wanted`. */
enum answer_result answer_read(struct answer *answer, const struct link *link, enum control_type wanted, struct error *error);

enum dial_stage { DIAL_IDLE, DIAL_CONNECTS, DIAL_SECURES, DIAL_BEGINS };

struct dial {
    const struct place *place; /* borrowed, as tls is */
    struct tls_context *tls;   /* NULL: plain */
    int patience_ms;           /* for each stage */

    enum dial_stage stage; /* DIAL_IDLE: no round is under way */
    struct addresses found;
    unsigned at;
    struct error troubles; /* of the addresses before */
    struct link link;
    int64_t deadline;
    struct answer answer;
};

enum dial_result { DIAL_DONE, DIAL_FAILED, DIAL_WOKEN };

/* Goes on with the round under way, or begins one: the name is looked up anew, for the peer may have moved. Until it is connected, every
 * address has failed (with the error), or the waker is woken. */
enum dial_result dial_run(struct dial *dial, const struct waker *waker, struct error *error);

/* After DIAL_DONE: the connection, the caller's from here on. */
struct link dial_take(struct dial *dial);

void dial_drop(struct dial *dial);

#endif
