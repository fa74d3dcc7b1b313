/* Sends batches over an nng socket, each in an envelope that numbers its messages and carries the
 * ledger of this hop and of those before it.
 *
 * push: a batch is delivered when a peer's pipe has taken it; without a peer it waits, and the ring in
 * front takes the loss. pub never waits: a batch that nobody listened for is failed, and one that nng
 * drops for a slow subscriber is found missing there, by its number. */
#include <nng/nng.h>

#include <nng/protocol/pipeline0/push.h>
#include <nng/protocol/pubsub0/pub.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus.h"
#include "log.h"
#include "nng.h"
#include "nng_end.h"
#include "nng_tls.h"
#include "postmark.h"
#include "receipt/sender.h"
#include "waker.h"

enum { FLUSH_LOOK_MS = 5, FLUSH_QUIET_MS = 200 };

struct sink {
    const struct place *place;
    const struct sink_host *host;
    nng_socket socket;
    bool open;
    bool pub;
    bool counted; /* nng's statistics count what the transport writes */
    nng_aio *aio;
    struct waker waker;
    struct nng_peers peers;
    struct nng_end end;

    struct postmark postmark;
    struct receipt_sender *receipts; /* NULL: none are asked for */
    char topic[sizeof BUS_TOPIC_PREFIX + BUS_CHANNEL_MAX];
    uint64_t sent; /* nng messages taken by nng */
    struct buffer head;
};

static nng_msg *make_message(struct sink *s, const struct parcel *parcel)
{
    nng_msg *msg;
    /* push spreads its batches over several peers: whoever gets one cannot call the others' lost */
    postmark_share(&s->postmark, !s->pub && atomic_load(&s->peers.count) > 1);
    receipt_sender_stamp(s->receipts, &s->postmark);
    postmark_fill(&s->postmark, s->host, parcel ? parcel->batch : NULL, parcel ? parcel->count : 0);
    buffer_clear(&s->head);
    bus_write_head(options_string(s->place->options, "channel"), &s->postmark.envelope, &s->head);
    size_t data_len = parcel ? parcel->len : 0;
    if (s->head.failed || nng_msg_alloc(&msg, s->head.len + data_len) != 0)
        return NULL;
    uint8_t *body = nng_msg_body(msg);
    memcpy(body, s->head.data, s->head.len);
    if (data_len > 0)
        memcpy(body + s->head.len, parcel->data, data_len);
    return msg;
}

/* Hands the message to nng, waiting for a peer to take it. An nng error number. */
static int send_message(struct sink *s, nng_msg *msg)
{
    nng_aio_set_msg(s->aio, msg);
    nng_send_aio(s->socket, s->aio);
    nng_aio_wait(s->aio);
    int rv = nng_aio_result(s->aio);
    if (rv != 0)
        nng_msg_free(msg);
    else
        s->sent++;
    return rv;
}

static void fail_parcel(const struct sink *s, const struct parcel *parcel, const char *why)
{
    static struct log_limit limit;
    parcel_settle(parcel, OUTCOME_FAILED, parcel->count);
    log_limited(&limit, LOG_WARN, "sink %s: %u messages failed: %s", s->place->url, parcel->count,
                why);
}

static void nng_sink_write(struct sink *s, const struct parcel *parcel)
{
    if (s->pub && atomic_load(&s->peers.count) == 0) {
        fail_parcel(s, parcel, "nobody subscribes");
        return;
    }
    nng_msg *msg = make_message(s, parcel);
    if (!msg) {
        fail_parcel(s, parcel, "out of memory");
        return;
    }
    int rv = send_message(s, msg);
    if (rv == 0) {
        receipt_sender_note(s->receipts, s->postmark.sequence, parcel->count, parcel->data, parcel->len);
        s->postmark.sequence += parcel->count;
        parcel_settle(parcel, OUTCOME_DELIVERED, parcel->count);
    } else if (!waker_woken(&s->waker)) {
        fail_parcel(s, parcel, nng_strerror(rv));
    }
}

/* nng messages written out by the pipes that are still there. */
static uint64_t written_out(const struct sink *s)
{
    nng_stat *root;
    uint64_t sum = 0;
    if (nng_stats_get(&root) != 0)
        return 0;
    for (nng_stat *pipe = nng_stat_child(root); pipe; pipe = nng_stat_next(pipe)) {
        uint64_t count = 0;
        bool ours = false;
        if (strcmp(nng_stat_name(pipe), "pipe") != 0)
            continue;
        for (nng_stat *stat = nng_stat_child(pipe); stat; stat = nng_stat_next(stat)) {
            if (strcmp(nng_stat_name(stat), "socket") == 0)
                ours = nng_stat_value(stat) == (uint64_t)nng_socket_id(s->socket);
            else if (strcmp(nng_stat_name(stat), "tx_msgs") == 0)
                count = nng_stat_value(stat);
        }
        sum += ours ? count : 0;
    }
    nng_stats_free(root);
    return sum;
}

/* nng_close throws away what its pipes have not written yet, so we wait until they have: exactly where
 * the numbers allow it (push to peers that all stayed), else until nothing has moved for a while. */
static void flush(struct sink *s)
{
    uint64_t before = 0;
    int quiet = 0;
    while (atomic_load(&s->peers.count) > 0) {
        uint64_t written = written_out(s);
        bool exact = s->counted && !s->pub && !atomic_load(&s->peers.left);
        if (exact && written >= s->sent)
            return;
        quiet = written == before ? quiet + FLUSH_LOOK_MS : 0;
        before = written;
        if (!exact && quiet >= FLUSH_QUIET_MS)
            return;
        if (waker_wait(&s->waker, -1, 0, FLUSH_LOOK_MS) == WAIT_WOKEN)
            return;
    }
}

/* Tells the peers the last number and the closing ledger, so that they can judge the end of the stream
 * too. Each of several pullers hears it: one envelope for each, spread like batches. */
static void nng_sink_finish(struct sink *s)
{
    int peers = atomic_load(&s->peers.count);
    for (int i = 0; i < (s->pub ? peers > 0 : peers); i++) {
        nng_msg *msg = make_message(s, NULL);
        if (!msg || send_message(s, msg) != 0)
            break;
    }
    receipt_sender_end(s->receipts);
    flush(s);
}

static int nng_sink_idle(struct sink *s)
{
    return receipt_sender_idle(s->receipts);
}

static void nng_sink_interrupt(struct sink *s)
{
    waker_wake(&s->waker);
    nng_aio_stop(s->aio); /* this send fails, and every further one */
}

static void nng_sink_reload(struct sink *s)
{
    nng_reload(&s->end, s->place, "sink");
}

/* On a thread of its own: nothing here is borrowed. */
static void close_socket(void *arg)
{
    struct sink *s = arg;
    nng_detach(&s->end);
    if (s->open)
        nng_close(s->socket);
    if (s->aio)
        nng_aio_free(s->aio);
    nng_peers_free(&s->peers);
    waker_close(&s->waker);
    buffer_free(&s->head);
    free(s);
}

static void nng_sink_free(struct sink *s)
{
    receipt_sender_free(s->receipts);
    nng_close_apart(close_socket, s, s->place->url);
}

static bool open_socket(struct sink *s, struct error *error)
{
    const struct options *options = s->place->options;
    int rv = s->pub ? nng_pub0_open(&s->socket) : nng_push0_open(&s->socket);
    s->open = rv == 0;
    if (rv == 0 && s->pub)
        rv = nng_socket_set_int(s->socket, NNG_OPT_SENDBUF, (int)options_number(options, "buffer"));
    if (rv == 0)
        rv = nng_aio_alloc(&s->aio, NULL, NULL);
    if (rv != 0)
        return error_set(error, "cannot open an nng socket: %s", nng_strerror(rv));
    nng_aio_set_timeout(s->aio, NNG_DURATION_INFINITE);
    return nng_peers_watch(s->socket, &s->peers, error) &&
           nng_attach(&s->end, s->socket, s->place, s->pub, &s->peers, error);
}

static struct sink *nng_sink_open(const struct place *place, const struct sink_host *host,
                                  struct error *error)
{
    struct sink *s = calloc(1, sizeof *s);
    if (!s) {
        error_set(error, "out of memory");
        return NULL;
    }
    *s = (struct sink){
        .place = place,
        .host = host,
        .pub = options_is(place->options, "socket", "pub"),
        /* inproc: a peer has it at once; tls: what is counted may still wait inside TLS */
        .counted = strcmp(place->scheme, "nng+inproc") != 0 && !nng_is_tls(place),
        .waker.fd = -1,
    };
    snprintf(s->topic, sizeof s->topic, BUS_TOPIC_PREFIX "%s", options_string(place->options, "channel"));
    bool marked = postmark_init(&s->postmark, error) &&
                  receipt_sender_open(&s->receipts, place, host, s->topic, error);
    if (marked && !waker_init(&s->waker))
        error_set(error, "no descriptor left");
    else if (marked && nng_peers_init(&s->peers, "sink", place, error) && open_socket(s, error))
        return s;
    nng_sink_free(s);
    return NULL;
}

/* nng holds one batch per peer, and for pub the buffer of each subscriber; all of them may differ. */
static uint64_t nng_sink_memory(const struct options *options, uint64_t batch_max)
{
    uint64_t held = options_number(options, "max-connections");
    if (options_is(options, "socket", "pub"))
        held *= 1 + options_number(options, "buffer");
    return (held + 1) * (batch_max + ENVELOPE_MAX) + receipt_sender_memory(options) +
           nng_peers_memory(options_number(options, "max-connections"));
}

/* On the bus are hops of this project. */
static bool nng_sink_knows_events(const struct options *options)
{
    (void)options;
    return true;
}

static bool nng_sink_check(const struct place *place, struct error *error)
{
    const char *channel = options_string(place->options, "channel");
    if (!options_is(place->options, "format", "dnstap"))
        return error_set(error, "the bus carries format=dnstap only");
    if (strlen(channel) >= BUS_CHANNEL_MAX || strcmp(channel, BUS_CHANNEL_ANY) == 0)
        return error_set(error, "'%.64s' is no channel to publish to: 1 to %d octets, not *", channel,
                         BUS_CHANNEL_MAX - 1);
    return nng_check(place, options_is(place->options, "socket", "pub"), error) && receipt_check(place, error);
}

const struct sink_ops nng_sink_ops = {
    .check = nng_sink_check,
    .knows_events = nng_sink_knows_events,
    .open = nng_sink_open,
    .write = nng_sink_write,
    .idle = nng_sink_idle,
    .finish = nng_sink_finish,
    .interrupt = nng_sink_interrupt,
    .reload = nng_sink_reload,
    .free = nng_sink_free,
    .memory = nng_sink_memory,
};
