/* Produces records, and settles messages by the brokers' reports: a message per record, or with
 * format=frames a batch per record with its envelope in a header. A full queue of librdkafka makes
 * the route's thread wait, so that loss happens in the ring, and is counted there. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "frame.h"
#include "http_url.h"
#include "kafka.h"
#include "kafka_record.h"
#include "kafka_registry.h"
#include "log.h"
#include "postmark.h"
#include "receipt/sender.h"
#include "secret.h"
#include "waker.h"

enum {
    FUTURE_S = 1800, /* brokers refuse a time that is an hour ahead, and all that came with it */
    LOOK_MS = 100,   /* how soon an end of waiting inside librdkafka is noticed */
    REGISTRY_RETRY_MS = 2000,
    RECORD_OVERHEAD = 256, /* octets of memory of librdkafka for a record beside its own */
    REQUESTS = 32 << 20,   /* and for requests under way: five of 1 MB for each of some brokers */
    REGISTRY_HEAD = 6,     /* octets before a protobuf: 0, schema id, message index [0] */
    RECORD_MAX = 1000000,  /* librdkafka's message.max.bytes, where it is not given, */
    RECORD_LEAST = 1000,   /* and its smallest */
    RECORD_FRAMING = 512,  /* octets that a record takes in a request beside its value and headers */
    PURGE_MS = 5000,       /* for librdkafka to give back what it held, */
    CLOSE_MS = 5000,       /* and to end its client; then it is left behind */
};

/* Nothing that was accepted is lost or doubled, and nothing is given up for taking long: the ring
 * in front is where that is counted. */
static const struct kafka_property defaults[] = {
    {"enable.idempotence", "true", false},
    {"acks", "all", false},
    {"message.timeout.ms", "0", false},
    {"queue.buffering.max.kbytes", "65536", false},
    {"queue.buffering.max.messages", "200000", false},
    {NULL, NULL, false},
};

struct sink {
    char *url; /* first: what kafka_listen needs; our own, for librdkafka may outlive us (see kafka_sink_free) */
    const struct place *place;
    const struct sink_host *host;
    const char *topic_name;
    rd_kafka_t *rk;
    rd_kafka_topic_t *topic;
    rd_kafka_queue_t *queue;
    int event;
    struct waker waker;
    bool ending; /* what librdkafka gives back now is in flight, not failed */
    bool frames;
    size_t record_max; /* octets of a record with frames and its envelope */
    enum record_key key;
    int32_t partition;
    int64_t latest_ms; /* of a message's time that is put into its record */
    struct postmark postmark;
    struct receipt_sender *receipts; /* NULL: none are asked for */
    struct buffer scratch; /* an envelope, or a framed value */
    char *registry_auth;
    bool registered;
    uint8_t head[REGISTRY_HEAD];
};

/* The records of one parcel on their way. It belongs to them: the last report frees it. */
struct shipment {
    struct sink *sink;
    struct ticket ticket;
    uint32_t left;     /* reports to come, and the writer while it adds records */
    uint32_t messages; /* in each record */
};

static struct shipment *shipment_new(struct sink *s, const struct parcel *parcel, uint32_t messages)
{
    struct shipment *shipment = malloc(sizeof *shipment);
    if (shipment)
        *shipment = (struct shipment){.sink = s, .left = 1, .messages = messages};
    if (shipment && parcel)
        shipment->ticket = ticket_take(parcel);
    return shipment;
}

static void shipment_done(struct shipment *shipment)
{
    if (--shipment->left > 0)
        return;
    ticket_drop(&shipment->ticket);
    free(shipment);
}

static void shipment_settle(const struct shipment *shipment, enum outcome outcome)
{
    if (shipment->messages > 0)
        ticket_settle(&shipment->ticket, outcome, shipment->messages);
}

static void fail(const struct shipment *shipment, size_t len, const char *why)
{
    static struct log_limit limit;
    shipment_settle(shipment, OUTCOME_FAILED);
    log_limited(&limit, LOG_WARN, "sink %s: a record of %zu octets failed: %s", shipment->sink->url,
                len, why);
}

/* What the reason does not say. */
static const char *reason_of(rd_kafka_resp_err_t err)
{
    if (err != RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
        return rd_kafka_err2str(err);
    return "Broker: Message size too large (with all that came in its batch; where the broker's or "
           "the topic's limit is "
           "below 1 MB, set batch.size and message.max.bytes to it)";
}

/* What a broker refused for its size tells what it takes: the batches to come are cut smaller. */
static void learn_size(struct sink *s, const rd_kafka_message_t *record)
{
    size_t half = record->len / 2;
    const struct shipment *shipment = record->_private;
    if (!s->frames || shipment->messages < 2 || half < RECORD_LEAST || half >= s->record_max)
        return;
    s->record_max = half;
    log_line(LOG_WARN,
             "sink %s: the broker refuses a record of %zu octets: batches are cut to %zu from here on; "
             "message.max.bytes sets it from the start",
             s->url, record->len, half);
}

/* In rd_kafka_poll, so on the sink's thread. */
static void on_report(rd_kafka_t *rk, const rd_kafka_message_t *record, void *opaque)
{
    struct shipment *shipment = record->_private;
    (void)rk;
    (void)opaque;
    if (!record->err)
        shipment_settle(shipment, OUTCOME_DELIVERED);
    else if (!shipment->sink->ending)
        fail(shipment, record->len, reason_of(record->err));
    if (record->err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE && !shipment->sink->ending)
        learn_size(shipment->sink, record);
    shipment_done(shipment);
}

static bool start_producer(struct sink *s, struct error *error)
{
    s->rk = kafka_producer(s->place, defaults, on_report, s, error);
    if (!s->rk)
        return false;
    s->topic = rd_kafka_topic_new(s->rk, s->topic_name, NULL);
    s->queue = rd_kafka_queue_get_main(s->rk);
    kafka_watch(s->queue, s->event);
    return s->topic || error_set(error, "%s", rd_kafka_err2str(rd_kafka_last_error()));
}

/* What the producer holds is given back: settled as failed, or left in flight. */
static void purge(struct sink *s)
{
    int64_t end = clock_ms(CLOCK_MONOTONIC) + PURGE_MS;
    rd_kafka_purge(s->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    while (rd_kafka_outq_len(s->rk) > 0 && clock_ms(CLOCK_MONOTONIC) < end)
        rd_kafka_poll(s->rk, LOOK_MS);
}

static void destroy_client(void *rk)
{
    kafka_destroy(rk);
}

static void let_go_of_handles(struct sink *s)
{
    if (s->topic)
        rd_kafka_topic_destroy(s->topic);
    if (s->queue)
        rd_kafka_queue_destroy(s->queue);
    s->topic = NULL;
    s->queue = NULL;
}

static void stop_producer(struct sink *s)
{
    if (!s->rk)
        return;
    purge(s);
    let_go_of_handles(s);
    kafka_close(destroy_client, s->rk, true, CLOSE_MS, s->url);
    s->rk = NULL;
}

/* After an error that an idempotent producer cannot go on from; what it held is failed. */
static bool restart_producer(struct sink *s)
{
    char why[KAFKA_REASON] = "";
    struct error error;
    rd_kafka_fatal_error(s->rk, why, sizeof why);
    log_line(LOG_ERROR, "sink %s: the producer starts anew, what it held is failed: %s", s->url,
             why);
    stop_producer(s);
    while (!start_producer(s, &error)) {
        log_line(LOG_ERROR, "sink %s: %s; trying again in %g s", s->url, error.text, REGISTRY_RETRY_MS / 1000.0);
        stop_producer(s);
        if (waker_wait(&s->waker, -1, 0, REGISTRY_RETRY_MS) == WAIT_WOKEN)
            return false;
    }
    return true;
}

static rd_kafka_error_t *produce_once(struct sink *s, struct shipment *shipment, struct frame value,
                                      const struct record_facts *facts, rd_kafka_headers_t *headers)
{
    rd_kafka_vu_t v[8] = {
        {.vtype = RD_KAFKA_VTYPE_RKT, .u.rkt = s->topic},
        {.vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = s->partition},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = shipment},
        /* produced alike whether empty or not: a value of NULL is a tombstone */
        {.vtype = RD_KAFKA_VTYPE_VALUE,
         .u.mem = {.ptr = (void *)(uintptr_t)value.data, .size = value.len}},
    };
    size_t n = 5;
    if (facts->time_ms > 0 && facts->time_ms <= s->latest_ms)
        v[n++] = (rd_kafka_vu_t){.vtype = RD_KAFKA_VTYPE_TIMESTAMP, .u.i64 = facts->time_ms};
    if (facts->key_len > 0)
        v[n++] = (rd_kafka_vu_t){
            .vtype = RD_KAFKA_VTYPE_KEY,
            .u.mem = {.ptr = (void *)(uintptr_t)facts->key, .size = facts->key_len}};
    if (headers)
        v[n++] = (rd_kafka_vu_t){.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = headers};
    return rd_kafka_produceva(s->rk, v, n);
}

/* Takes over the headers. False: interrupted, the record is not settled. */
static bool produce(struct sink *s, struct shipment *shipment, struct frame value,
                    const struct record_facts *facts, rd_kafka_headers_t *headers)
{
    while (s->rk) {
        rd_kafka_error_t *problem = produce_once(s, shipment, value, facts, headers);
        if (!problem) {
            shipment->left++;
            return true;
        }
        rd_kafka_resp_err_t code = rd_kafka_error_code(problem);
        bool again = code == RD_KAFKA_RESP_ERR__QUEUE_FULL || code == RD_KAFKA_RESP_ERR__FATAL;
        if (!again)
            fail(shipment, value.len, rd_kafka_error_string(problem));
        rd_kafka_error_destroy(problem);
        if (again && code == RD_KAFKA_RESP_ERR__QUEUE_FULL)
            rd_kafka_poll(s->rk, LOOK_MS);
        if (!again || waker_woken(&s->waker) ||
            (code == RD_KAFKA_RESP_ERR__FATAL && !restart_producer(s))) {
            if (headers)
                rd_kafka_headers_destroy(headers);
            return !again;
        }
    }
    if (headers)
        rd_kafka_headers_destroy(headers);
    return false;
}

/* A run of a batch's data frames. */
struct piece {
    struct frame octets;
    uint32_t count;
};

static void fail_piece(struct sink *s, const struct parcel *parcel, uint32_t count, struct shipment *shipment,
                       rd_kafka_headers_t *headers)
{
    log_line(LOG_ERROR, "sink %s: out of memory for a record", s->url);
    if (parcel)
        parcel_settle(parcel, OUTCOME_FAILED, count);
    if (headers)
        rd_kafka_headers_destroy(headers);
    if (shipment)
        shipment_done(shipment);
}

/* The envelope of the messages to come, into `scratch`. */
static void make_envelope(struct sink *s, const struct parcel *parcel, uint32_t count)
{
    receipt_sender_stamp(s->receipts, &s->postmark);
    postmark_fill(&s->postmark, s->host, parcel ? parcel->batch : NULL, count);
    buffer_clear(&s->scratch);
    envelope_write(&s->postmark.envelope, &s->scratch);
}

/* A piece as one record; without a parcel, the closing envelope. */
static void write_piece(struct sink *s, const struct parcel *parcel, struct piece piece)
{
    struct shipment *shipment = shipment_new(s, parcel, piece.count);
    rd_kafka_headers_t *headers = rd_kafka_headers_new(1);
    make_envelope(s, parcel, piece.count);
    if (!shipment || !headers || s->scratch.failed ||
        rd_kafka_header_add(headers, KAFKA_ENVELOPE_HEADER, -1, s->scratch.data,
                            (ssize_t)s->scratch.len)) {
        fail_piece(s, parcel, piece.count, shipment, headers);
        return;
    }
    struct record_facts facts = {.time_ms = 0};
    produce(s, shipment, piece.octets, &facts, headers);
    if (shipment->left > 1 && parcel) { /* it is on its way: what failed here leaves no gap */
        receipt_sender_note(s->receipts, s->postmark.sequence, piece.count, piece.octets.data, piece.octets.len);
        s->postmark.sequence += piece.count;
    }
    shipment_done(shipment);
}

/* The first of the frames that are left, as many as a record holds, but one at least. */
static struct piece cut_piece(struct reader *left, size_t room)
{
    struct piece piece = {.octets = {.data = left->at}};
    struct frame message;
    for (;;) {
        struct reader next = *left;
        if (!frame_next(&next, &message))
            return piece;
        size_t len = (size_t)(next.at - piece.octets.data);
        if (piece.count > 0 && len > room)
            return piece;
        *left = next;
        piece.octets.len = (uint32_t)len;
        piece.count++;
    }
}

/* Octets of data frames that a record has room for, beside its envelope. */
static size_t record_room(struct sink *s, const struct parcel *parcel)
{
    size_t beside = ENVELOPE_MAX + RECORD_FRAMING;
    if (parcel->len + beside > s->record_max) { /* the most does not fit: how large is it in truth? */
        make_envelope(s, parcel, parcel->count);
        beside = s->scratch.len + RECORD_FRAMING;
    }
    return s->record_max > beside ? s->record_max - beside : 0;
}

/* A batch as one record, or as several where that would be larger than the brokers take. */
static void write_frames(struct sink *s, const struct parcel *parcel)
{
    struct reader left = reader_over(parcel->data, parcel->len);
    size_t room = record_room(s, parcel);
    if (parcel->len <= room) {
        write_piece(s, parcel, (struct piece){{.data = parcel->data, .len = (uint32_t)parcel->len}, parcel->count});
        return;
    }
    for (struct piece piece; s->rk && !waker_woken(&s->waker) && (piece = cut_piece(&left, room)).count > 0;)
        write_piece(s, parcel, piece);
}

static void write_closing(struct sink *s)
{
    write_piece(s, NULL, (struct piece){{.data = (const uint8_t *)"", .len = 0}, 0});
}

/* The value with the head that clients of a schema registry look for. */
static struct frame framed(struct sink *s, struct frame value)
{
    if (!s->registered)
        return value;
    buffer_clear(&s->scratch);
    buffer_put(&s->scratch, s->head, sizeof s->head);
    buffer_put(&s->scratch, value.data, value.len);
    return (struct frame){.data = s->scratch.data, .len = (uint32_t)s->scratch.len};
}

static void write_messages(struct sink *s, const struct parcel *parcel, struct shipment *shipment)
{
    struct reader r = reader_over(parcel->data, parcel->len);
    struct record_facts facts;
    struct frame message;
    while (frame_next(&r, &message)) {
        record_facts(message, s->key, &facts);
        struct frame value = framed(s, message);
        if (s->scratch.failed)
            fail(shipment, value.len, "out of memory");
        else if (!produce(s, shipment, value, &facts, NULL))
            return;
    }
}

static void write_records(struct sink *s, const struct parcel *parcel, struct shipment *shipment)
{
    struct record_facts facts;
    uint32_t start = 0;
    for (uint32_t i = 0; i < parcel->count; i++) {
        struct frame value = {.data = parcel->data + start, .len = parcel->ends[i] - start};
        start = parcel->ends[i];
        if (value.len > 0 && value.data[value.len - 1] == '\n')
            value.len--; /* a record is one anyway */
        record_facts(parcel->origins[i], s->key, &facts);
        if (!produce(s, shipment, value, &facts, NULL))
            return;
    }
}

/* Before the first record, for without its id none can be framed. False: interrupted. */
static bool make_registered(struct sink *s)
{
    const char *url = options_string(s->place->options, "schema-registry");
    static struct log_limit limit;
    struct error error;
    uint32_t id = 0;
    while (url && !s->registered) {
        if (registry_register(url, s->registry_auth, s->topic_name, &s->waker, &id, &error)) {
            s->head[1] = (uint8_t)(id >> 24);
            s->head[2] = (uint8_t)(id >> 16);
            s->head[3] = (uint8_t)(id >> 8);
            s->head[4] = (uint8_t)id;
            s->registered = true;
            log_line(LOG_INFO, "sink %s: schema registered as %u", s->url, id);
            break;
        }
        if (waker_woken(&s->waker))
            return false;
        log_limited(&limit, LOG_WARN, "sink %s: %s; trying again in %g s", s->url, error.text, REGISTRY_RETRY_MS / 1000.0);
        if (waker_wait(&s->waker, -1, 0, REGISTRY_RETRY_MS) == WAIT_WOKEN)
            return false;
    }
    return true;
}

static void kafka_sink_write(struct sink *s, const struct parcel *parcel)
{
    if (s->frames) {
        write_frames(s, parcel);
    } else if (make_registered(s)) {
        struct shipment *shipment = shipment_new(s, parcel, 1);
        if (!shipment) {
            parcel_settle(parcel, OUTCOME_FAILED, parcel->count);
            log_line(LOG_ERROR, "sink %s: out of memory for records", s->url);
            return;
        }
        s->latest_ms = ((int64_t)time(NULL) + FUTURE_S) * 1000;
        if (parcel->ends)
            write_records(s, parcel, shipment);
        else
            write_messages(s, parcel, shipment);
        shipment_done(shipment);
    }
    if (s->rk)
        rd_kafka_poll(s->rk, 0);
}

static int kafka_sink_idle(struct sink *s)
{
    kafka_quiet(s->event);
    while (s->rk && rd_kafka_poll(s->rk, 0) > 0)
        ;
    return receipt_sender_idle(s->receipts);
}

static void kafka_sink_wait(struct sink *s, int timeout_ms)
{
    struct pollfd event = {.fd = s->event, .events = POLLIN};
    poll(&event, 1, timeout_ms);
}

static void flush(struct sink *s)
{
    while (s->rk && rd_kafka_outq_len(s->rk) > 0 && !waker_woken(&s->waker))
        rd_kafka_flush(s->rk, LOOK_MS);
}

/* The closing envelope tells the closing ledger, so it goes when all before it is settled. */
static void kafka_sink_finish(struct sink *s)
{
    flush(s);
    if (s->frames && s->postmark.sequence > 0 && !waker_woken(&s->waker))
        write_closing(s);
    receipt_sender_end(s->receipts);
    flush(s);
}

static void free_rest(struct sink *s)
{
    if (s->event >= 0)
        close(s->event);
    waker_close(&s->waker);
    buffer_free(&s->scratch);
    secret_free(s->registry_auth);
    free(s->url);
    free(s);
}

/* On a thread of its own, which may never end. Nothing here is borrowed. */
static void close_client(void *arg)
{
    struct sink *s = arg;
    let_go_of_handles(s);
    kafka_destroy(s->rk);
    free_rest(s);
}

static void kafka_sink_free(struct sink *s)
{
    s->ending = true;
    if (s->rk)
        purge(s);
    receipt_sender_free(s->receipts);
    kafka_close(close_client, s, s->rk != NULL, CLOSE_MS, s->place->url);
}

static bool read_partition(const struct place *place, int32_t *partition, struct error *error)
{
    const char *text = options_string(place->options, "partition");
    char *end;
    *partition = options_is(place->options, "format", "frames") ? 0 : RD_KAFKA_PARTITION_UA;
    if (!text)
        return true;
    if (strcmp(text, "any") == 0) {
        *partition = RD_KAFKA_PARTITION_UA;
        return true;
    }
    unsigned long number = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || number > INT32_MAX)
        return error_set(error, "option 'partition' takes a number from 0 to %d, or any, not '%s'", INT32_MAX, text);
    *partition = (int32_t)number;
    return true;
}

static bool check_registry(const char *text, struct error *error)
{
    CURLU *url = http_url_read(text, error);
    curl_url_cleanup(url);
    return url != NULL;
}

static bool kafka_sink_check(const struct place *place, struct error *error)
{
    int32_t partition;
    const char *registry = options_string(place->options, "schema-registry");
    bool frames = options_is(place->options, "format", "frames");
    if (registry && !check_registry(registry, error))
        return error_prefix(error, "option 'schema-registry'");
    if (registry && !options_is(place->options, "format", "dnstap"))
        return error_set(error, "schema-registry goes with format=dnstap");
    if (frames && !options_is(place->options, "key", "none"))
        return error_set(error,
                         "a record of format=frames holds many messages: key goes with the others");
    if (receipt_wanted(place->options) && !frames)
        return error_set(error, "receipts go with format=frames: a record with one message has no number");
    return read_partition(place, &partition, error) && receipt_check(place, error) &&
           kafka_check(place, defaults, error);
}

static bool prepare(struct sink *s, struct error *error)
{
    const char *auth = options_string(s->place->options, "registry-auth");
    if (auth && !(s->registry_auth = secret_read(auth, error)))
        return false;
    if (!read_partition(s->place, &s->partition, error) || !postmark_init(&s->postmark, error) ||
        !receipt_sender_open(&s->receipts, s->place, s->host, s->topic_name, error))
        return false;
    postmark_share(&s->postmark, s->partition == RD_KAFKA_PARTITION_UA);
    s->event = kafka_event_new();
    if (s->event < 0 || !waker_init(&s->waker))
        return error_set(error, "no descriptor left: %s", strerror(errno));
    return start_producer(s, error);
}

static size_t record_max_of(const struct options *options)
{
    uint64_t max = kafka_number(options, defaults, "message.max.bytes");
    return max ? (size_t)max : RECORD_MAX;
}

static struct sink *kafka_sink_open(const struct place *place, const struct sink_host *host,
                                    struct error *error)
{
    struct sink *s = calloc(1, sizeof *s);
    if (!s) {
        error_set(error, "out of memory");
        return NULL;
    }
    *s = (struct sink){
        .url = strdup(place->url),
        .place = place,
        .host = host,
        .record_max = record_max_of(place->options),
        .topic_name = kafka_topic(place, error),
        .event = -1,
        .waker.fd = -1,
        .frames = options_is(place->options, "format", "frames"),
        .key = record_key_of(options_string(place->options, "key")),
    };
    if (!s->url)
        error_set(error, "out of memory");
    else if (s->topic_name && prepare(s, error))
        return s;
    kafka_sink_free(s);
    return NULL;
}

static void kafka_sink_interrupt(struct sink *s)
{
    waker_wake(&s->waker);
}

static void kafka_sink_rouse(struct sink *s)
{
    kafka_signal(s->event);
}

static bool kafka_sink_knows_events(const struct options *options)
{
    return options_is(options, "format", "frames");
}

static uint64_t kafka_sink_memory(const struct options *options, uint64_t batch_max)
{
    return kafka_number(options, defaults, "queue.buffering.max.kbytes") * 1024 +
           kafka_number(options, defaults, "queue.buffering.max.messages") * RECORD_OVERHEAD +
           REQUESTS + batch_max + sizeof(struct sink) + receipt_sender_memory(options);
}

const struct sink_ops kafka_sink_ops = {
    .open = kafka_sink_open,
    .check = kafka_sink_check,
    .write = kafka_sink_write,
    .idle = kafka_sink_idle,
    .wait = kafka_sink_wait,
    .rouse = kafka_sink_rouse,
    .finish = kafka_sink_finish,
    .interrupt = kafka_sink_interrupt,
    .free = kafka_sink_free,
    .memory = kafka_sink_memory,
    .takes_frames = true,
    .knows_events = kafka_sink_knows_events,
};
