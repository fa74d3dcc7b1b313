/* Takes batches from an nng socket. nng's own message is the batch's memory: nothing is copied. */
#include <nng/nng.h>

#include <nng/protocol/pipeline0/pull.h>
#include <nng/protocol/pubsub0/sub.h>
#include <nng/supplemental/util/platform.h>
#include <stdlib.h>
#include <string.h>

#include "bus.h"
#include "frame.h"
#include "log.h"
#include "nng.h"
#include "nng_end.h"
#include "receipt/receiver.h"

enum {
    QUIET_MS = 50,       /* when stopped: silence after which nothing more is on its way to us, */
    LAST_WORDS_MS = 1000, /* or the most that we listen on */
    MESSAGE_OVERHEAD = 256, /* nng's own octets per message, about */
};

struct source {
    const struct place *place;
    nng_socket socket;
    bool open;
    nng_aio *aio;
    _Atomic bool stopping;
    uint32_t frame_max;
    bool any_channel;
    bool sub;
    bool wide; /* sub: every channel still comes, until one message of ours has, so that a wrong channel shows */
    struct nng_peers peers;
    struct receipt_receiver *receipts; /* NULL: none are asked for */
    struct nng_end end;
    struct envelope envelope; /* of the message in hand */
};

static size_t message_max(const struct options *options)
{
    return sizeof BUS_TOPIC_PREFIX + BUS_CHANNEL_MAX + ENVELOPE_MAX + BATCH_LIMIT + FRAME_HEADER +
           options_number(options, "max-frame");
}

static void release_message(struct batch *batch)
{
    nng_msg_free(batch->owner);
    free(batch);
}

static struct batch *batch_from(nng_msg *msg, const struct bus_message *bus, uint32_t count)
{
    struct batch *batch = malloc(sizeof *batch);
    if (!batch)
        return NULL;
    *batch = (struct batch){
        .count = count,
        .len = bus->frames_len,
        .footprint = (uint32_t)(batch_footprint(nng_msg_len(msg)) + MESSAGE_OVERHEAD),
        .data = bus->frames,
        .envelope = bus->envelope,
        .envelope_len = bus->envelope_len,
        .release = release_message,
        .owner = msg,
    };
    atomic_init(&batch->refs, 1);
    return batch;
}

static bool is_our_channel(const struct source *s, const struct bus_message *bus)
{
    return s->any_channel || strcmp(bus->channel, options_string(s->place->options, "channel")) == 0;
}

/* A subscriber gets its own channel alone from here on. */
static void narrow(struct source *s)
{
    s->wide = false;
    nng_socket_set(s->socket, NNG_OPT_SUB_UNSUBSCRIBE, BUS_TOPIC_PREFIX, strlen(BUS_TOPIC_PREFIX));
}

/* What a subscriber did not ask for is not its own, and in no account. */
static void pass_over(const struct source *s, const struct bus_message *bus)
{
    static struct log_limit limit;
    log_limited(&limit, LOG_WARN, "source %s: messages of channel '%s' come, none yet of '%s': channel= names what to take",
                s->place->url, bus->channel, options_string(s->place->options, "channel"));
}

/* Its envelope is in `s->envelope` where `*numbered` says so. */
static bool read_message(struct source *s, nng_msg *msg, struct bus_message *bus, bool *numbered, struct error *error)
{
    *numbered = false;
    if (!bus_read(nng_msg_body(msg), nng_msg_len(msg), bus, error))
        return false;
    *numbered = envelope_read(&s->envelope, bus->envelope, bus->envelope_len);
    if (!is_our_channel(s, bus))
        return error_set(error, "it is of channel '%s', not '%s'", bus->channel, options_string(s->place->options, "channel"));
    return *numbered || error_set(error, "its envelope cannot be read");
}

/* The octets of a bus message begin with its topic. */
static void note_receipt(struct source *s, nng_msg *msg, const struct bus_message *bus, bool whole)
{
    receipt_receiver_note(s->receipts, &s->envelope, nng_msg_body(msg), whole ? bus->frames : NULL,
                          bus->frames_len);
}

/* Takes over the message. */
static void take_message(struct source *s, struct intake *intake, nng_msg *msg)
{
    static struct log_limit limit;
    struct error error;
    struct bus_message bus;
    uint32_t count = 0;
    bool numbered;
    bool ok = read_message(s, msg, &bus, &numbered, &error);
    uint32_t refused = numbered ? s->envelope.count : 1;
    if (numbered && s->envelope.final)
        nng_peers_note_end(&s->peers, nng_pipe_id(nng_msg_get_pipe(msg)));
    if (s->wide && numbered && !is_our_channel(s, &bus)) {
        pass_over(s, &bus);
        nng_msg_free(msg);
        return;
    }
    if (ok) {
        if (s->wide)
            narrow(s);
        int peer = nng_pipe_id(nng_msg_get_pipe(msg)); /* -1: it is gone already */
        upstream_note_from(intake_upstream(intake), peer > 0 ? (uint64_t)peer : 0, &s->envelope);
        ok = bus_check_frames(&bus, s->frame_max, &count, &error);
        if (ok && count != s->envelope.count)
            ok = error_set(&error, "its envelope says %u messages, it holds %u", s->envelope.count,
                           count);
        note_receipt(s, msg, &bus, ok);
    }
    if (!ok) {
        log_limited(&limit, LOG_WARN, "source %s: a message of %zu octets is refused: %s",
                    s->place->url, nng_msg_len(msg), error.text);
        bool closing = numbered && refused == 0 && bus.frames_len == 0; /* of another channel: no message */
        intake_refuse(intake, closing ? 0 : refused > 0 ? refused : 1);
    } else if (count > 0) {
        struct batch *batch = batch_from(msg, &bus, count);
        if (batch) {
            intake_offer(intake, batch);
            return;
        }
        log_limited(&limit, LOG_ERROR, "source %s: out of memory for a batch", s->place->url);
        intake_refuse(intake, count);
    }
    nng_msg_free(msg);
}

/* What other hops had sent when we were stopped still counts. */
static void drain(struct source *s, struct intake *intake)
{
    nng_msg *msg;
    nng_socket_set_ms(s->socket, NNG_OPT_RECVTIMEO, QUIET_MS);
    for (nng_time end = nng_clock() + LAST_WORDS_MS; nng_clock() < end;) {
        if (nng_recvmsg(s->socket, &msg, 0) != 0)
            return;
        take_message(s, intake, msg);
    }
}

/* Receipts that are due wake us; nothing else does while nothing comes. */
static nng_duration patience(struct source *s)
{
    int due = receipt_receiver_idle(s->receipts);
    return due < 0 ? NNG_DURATION_INFINITE : due;
}

/* Until nothing more comes. */
static void receive(struct source *s, struct intake *intake)
{
    for (;;) {
        nng_aio_set_timeout(s->aio, patience(s));
        nng_recv_aio(s->socket, s->aio);
        nng_aio_wait(s->aio);
        int rv = nng_aio_result(s->aio);
        if (rv == 0) {
            take_message(s, intake, nng_aio_get_msg(s->aio));
        } else if (atomic_load(&s->stopping)) {
            drain(s, intake);
            return;
        } else if (rv != NNG_ETIMEDOUT) {
            log_line(LOG_ERROR, "source %s: cannot receive: %s", s->place->url, nng_strerror(rv));
            return;
        }
    }
}

static void nng_source_run(struct source *s, struct intake *intake)
{
    receive(s, intake);
    receipt_receiver_end(s->receipts);
}

static void nng_source_stop(struct source *s)
{
    atomic_store(&s->stopping, true);
    atomic_store(&s->peers.ending, true);
    nng_aio_stop(s->aio); /* this receive fails, and every further one */
}

static void nng_source_reload(struct source *s)
{
    nng_reload(&s->end, s->place, "source");
}

/* On a thread of its own: nothing here is borrowed. */
static void close_socket(void *arg)
{
    struct source *s = arg;
    nng_detach(&s->end);
    atomic_store(&s->peers.ending, true);
    if (s->open)
        nng_close(s->socket);
    if (s->aio)
        nng_aio_free(s->aio);
    nng_peers_free(&s->peers);
    free(s);
}

static void nng_source_free(struct source *s)
{
    receipt_receiver_free(s->receipts);
    nng_close_apart(close_socket, s, s->place->url);
}

/* An nng error number. */
static int subscribe(struct source *s)
{
    char topic[sizeof BUS_TOPIC_PREFIX + BUS_CHANNEL_MAX] = BUS_TOPIC_PREFIX;
    size_t len = strlen(topic);
    int rv = nng_socket_set(s->socket, NNG_OPT_SUB_SUBSCRIBE, topic, len);
    if (rv != 0 || s->any_channel)
        return rv;
    const char *channel = options_string(s->place->options, "channel");
    memcpy(topic + len, channel, strlen(channel) + 1);
    len += strlen(channel) + 1; /* with the NUL: raw is not raw2 */
    s->wide = true;
    return nng_socket_set(s->socket, NNG_OPT_SUB_SUBSCRIBE, topic, len);
}

static bool open_socket(struct source *s, struct error *error)
{
    const struct options *options = s->place->options;
    bool sub = s->sub;
    int rv = sub ? nng_sub0_open(&s->socket) : nng_pull0_open(&s->socket);
    s->open = rv == 0;
    if (rv == 0)
        rv = nng_socket_set_size(s->socket, NNG_OPT_RECVMAXSZ, message_max(options));
    if (rv == 0 && sub)
        rv = nng_socket_set_int(s->socket, NNG_OPT_RECVBUF, (int)options_number(options, "buffer"));
    if (rv == 0 && sub)
        rv = subscribe(s);
    if (rv == 0)
        rv = nng_aio_alloc(&s->aio, NULL, NULL);
    if (rv != 0)
        return error_set(error, "cannot open an nng socket: %s", nng_strerror(rv));
    if (strcmp(s->place->scheme, "nng+inproc") != 0)
        s->peers.message_max = message_max(options);
    return nng_peers_watch(s->socket, &s->peers, error) &&
           nng_attach(&s->end, s->socket, s->place, !sub, &s->peers, error);
}

static struct source *nng_source_open(const struct place *place, struct error *error)
{
    struct source *s = calloc(1, sizeof *s);
    if (!s) {
        error_set(error, "out of memory");
        return NULL;
    }
    *s = (struct source){
        .place = place,
        .frame_max = (uint32_t)options_number(place->options, "max-frame"),
        .any_channel = options_is(place->options, "channel", BUS_CHANNEL_ANY),
        .sub = options_is(place->options, "socket", "sub"),
    };
    if (receipt_receiver_open(&s->receipts, place, error) && nng_peers_init(&s->peers, "source", place, error) &&
        open_socket(s, error))
        return s;
    nng_source_free(s);
    return NULL;
}

/* nng holds one message per peer, and for sub the buffer too. A message is about a batch; one larger
 * than that can only be a single frame. */
static uint64_t nng_source_memory(const struct options *options)
{
    uint64_t held = options_number(options, "max-connections") + 2;
    if (options_is(options, "socket", "sub"))
        held += options_number(options, "buffer");
    return held * message_max(options) + receipt_receiver_memory(options) +
           nng_peers_memory(options_number(options, "max-connections"));
}

static uint64_t nng_source_turned_away(const struct source *s)
{
    return atomic_load(&s->peers.turned_away);
}

static bool nng_source_check(const struct place *place, struct error *error)
{
    if (strlen(options_string(place->options, "channel")) >= BUS_CHANNEL_MAX)
        return error_set(error, "a channel's name has at most %d octets", BUS_CHANNEL_MAX - 1);
    return nng_check(place, options_is(place->options, "socket", "pull"), error) && receipt_check(place, error);
}

const struct source_ops nng_source_ops = {
    .has_links = true,
    .check = nng_source_check,
    .open = nng_source_open,
    .run = nng_source_run,
    .stop = nng_source_stop,
    .reload = nng_source_reload,
    .free = nng_source_free,
    .memory = nng_source_memory,
    .turned_away = nng_source_turned_away,
};
