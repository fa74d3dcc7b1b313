#include "framestream_dial.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "clock.h"
#include "reader.h"

/* What a stage comes to: the events that it waits for, or one of these. */
enum { STAGE_OVER = 0, STAGE_FAILED = -1 };

/* So many octets as the control frame has, as far as that is known; 0: it is none. */
static size_t answer_length(const struct answer *answer)
{
    if (answer->got < CONTROL_HEADER)
        return CONTROL_HEADER;
    uint32_t payload = load_be32(answer->octets + 4);
    return load_be32(answer->octets) != 0 || payload > CONTROL_MAX ? 0 : CONTROL_HEADER + payload;
}

static enum answer_result answer_judge(const struct answer *answer, enum control_type wanted, struct error *error)
{
    enum control_type type;
    if (!control_read(answer->octets + CONTROL_HEADER, answer->got - CONTROL_HEADER, &type, error))
        return ANSWER_WRONG;
    if (type == wanted)
        return ANSWER_THERE;
    error_set(error, "the peer answered %s", control_name(type));
    return ANSWER_WRONG;
}

enum answer_result answer_read(struct answer *answer, const struct link *link, enum control_type wanted, struct error *error)
{
    for (;;) {
        size_t len = answer_length(answer);
        if (len == 0) {
            error_set(error, "the peer does not speak Frame Streams");
            return ANSWER_WRONG;
        }
        if (answer->got == len)
            return answer_judge(answer, wanted, error);
        ssize_t n = link_read(link, answer->octets + answer->got, len - answer->got);
        if (n > 0) {
            answer->got += (size_t)n;
        } else if (n == 0) {
            error_set(error, "the peer closed the connection");
            return ANSWER_WRONG;
        } else if (errno == EAGAIN) {
            return ANSWER_WAITS;
        } else if (errno != EINTR) {
            error_set(error, "%s", link_trouble(link));
            return ANSWER_WRONG;
        }
    }
}

/* A control frame on a connection that has room for it, for nothing is under way there. */
static bool say(const struct dial *d, enum control_type type, struct error *error)
{
    uint8_t frame[CONTROL_HEADER + CONTROL_MAX];
    size_t len = control_write(type, frame);
    if (len == 0)
        return error_set(error, "out of memory");
    return link_write(&d->link, frame, len) == (ssize_t)len ||
           error_set(error, "cannot send %s: %s", control_name(type), link_trouble(&d->link));
}

static void enter(struct dial *d, enum dial_stage stage)
{
    d->stage = stage;
    d->deadline = clock_ms(CLOCK_MONOTONIC) + d->patience_ms;
}

/* --- the stages: each does what can be done now --- */

static int begin(struct dial *d, struct error *error)
{
    if (!say(d, CONTROL_READY, error))
        return STAGE_FAILED;
    d->answer.got = 0;
    enter(d, DIAL_BEGINS);
    return POLLIN;
}

static int connect_on(struct dial *d, struct error *error)
{
    struct pollfd set = {.fd = d->link.fd, .events = POLLOUT};
    if (poll(&set, 1, 0) <= 0)
        return POLLOUT;
    int failed = socket_error(d->link.fd);
    if (failed) {
        error_set(error, "cannot connect: %s", strerror(failed));
        return STAGE_FAILED;
    }
    if (!d->tls)
        return begin(d, error);
    d->link.tls = tls_session_new(d->tls, d->link.fd);
    if (!d->link.tls) {
        error_set(error, "out of memory for TLS");
        return STAGE_FAILED;
    }
    enter(d, DIAL_SECURES);
    return POLLOUT;
}

static int secure_on(struct dial *d, struct error *error)
{
    switch (tls_handshake(d->link.tls)) {
    case TLS_DONE:
        return begin(d, error);
    case TLS_WANTS_READ:
        return POLLIN;
    case TLS_WANTS_WRITE:
        return POLLOUT;
    case TLS_FAILED:
        break;
    }
    error_set(error, "%s", tls_reason(d->link.tls));
    return STAGE_FAILED;
}

static int begin_on(struct dial *d, struct error *error)
{
    switch (answer_read(&d->answer, &d->link, CONTROL_ACCEPT, error)) {
    case ANSWER_THERE:
        return say(d, CONTROL_START, error) ? STAGE_OVER : STAGE_FAILED;
    case ANSWER_WAITS:
        return POLLIN;
    case ANSWER_WRONG:
        break;
    }
    return STAGE_FAILED;
}

static const struct {
    int (*go_on)(struct dial *d, struct error *error);
    const char *late; /* said when its time is over */
} stages[] = {
    [DIAL_CONNECTS] = {connect_on, "cannot connect: no answer in time"},
    [DIAL_SECURES] = {secure_on, "TLS: no answer in time"},
    [DIAL_BEGINS] = {begin_on, "no answer in time"},
};

/* --- a round over all addresses --- */

static int begin_address(struct dial *d, struct error *error)
{
    d->link.fd = socket_connect(&d->found.list[d->at]);
    if (d->link.fd < 0) {
        error_set(error, "cannot connect: %s", strerror(errno));
        return STAGE_FAILED;
    }
    enter(d, DIAL_CONNECTS);
    return POLLOUT;
}

/* Adds what came of one address to the line that tells of all. */
static void note_trouble(struct dial *d, const char *why)
{
    char name[ADDRESS_TEXT];
    const struct sockaddr *address = (const struct sockaddr *)&d->found.list[d->at].storage;
    bool is_unix = address->sa_family == AF_UNIX;
    address_print(address, name, sizeof name);
    error_add(&d->troubles, "%s%s%s", is_unix ? "" : name, is_unix ? "" : ": ", why);
}

/* Until this address is connected or has failed, or the waker is woken. */
static enum dial_result run_address(struct dial *d, const struct waker *waker, struct error *error)
{
    int events = d->link.fd < 0 ? begin_address(d, error) : stages[d->stage].go_on(d, error);
    while (events > 0) {
        int64_t left = d->deadline - clock_ms(CLOCK_MONOTONIC);
        if (left <= 0) {
            error_set(error, "%s", stages[d->stage].late);
            return DIAL_FAILED;
        }
        if (waker_wait(waker, d->link.fd, (short)events, (int)left) == WAIT_WOKEN)
            return DIAL_WOKEN;
        events = stages[d->stage].go_on(d, error);
    }
    return events == STAGE_OVER ? DIAL_DONE : DIAL_FAILED;
}

enum dial_result dial_run(struct dial *d, const struct waker *waker, struct error *error)
{
    struct error one;
    if (d->stage == DIAL_IDLE) {
        enum resolve_result found = address_find(d->place, false, waker, -1, &d->found, error);
        if (found != RESOLVED)
            return found == RESOLVE_WOKEN ? DIAL_WOKEN : DIAL_FAILED;
        d->at = 0;
        d->troubles.text[0] = '\0';
    }
    for (; d->at < d->found.count; d->at++) {
        enum dial_result result = run_address(d, waker, &one);
        if (result != DIAL_FAILED)
            return result;
        note_trouble(d, one.text);
        link_close(&d->link);
    }
    *error = d->troubles;
    d->stage = DIAL_IDLE;
    return DIAL_FAILED;
}

struct link dial_take(struct dial *d)
{
    struct link link = d->link;
    assert(link.fd >= 0);
    d->link = (struct link){.fd = -1};
    d->stage = DIAL_IDLE;
    return link;
}

void dial_drop(struct dial *d)
{
    link_close(&d->link);
    d->stage = DIAL_IDLE;
}
