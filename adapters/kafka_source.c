/* Consumes a topic as a member of a group. Offsets move only when every route has settled the
 * messages (kafka_offsets.h), so a crash repeats what was in flight and loses nothing. Where a ring
 * is full the partitions are paused, and the group hears from us all the while. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bus.h"
#include "clock.h"
#include "kafka.h"
#include "kafka_offsets.h"
#include "kafka_record.h"
#include "log.h"
#include "receipt/receiver.h"
#include "scan/dnstap.h"
#include "waker.h"

enum {
    STOP_LOOK_RECORDS = 64,
    PAUSE_LOOK_MS = 20, /* how often a full ring is looked at */
    NO_PAUSE_MS =
        400, /* a ring that is full for less is waited for: a pause throws away what was fetched */
    GROUP_LOOK_MS =
        60000, /* how often an idle member is heard of, or four times per max.poll.interval.ms */
    SETTLE_MS =
        10000, /* how long a partition that is taken away waits for its messages, or half of it */
    COMMIT_MS = 3000, /* brokers that are away hold up neither a rebalance nor the end for longer */
    LEAVE_MS = 5000,  /* for the group to hear that we leave it, */
    CLOSE_MS = 6000,  /* and librdkafka to end its client; then it is left behind */
    ANSWER_MS = 10000,    /* for brokers to say where a partition begins, ends, or was read to */
    ANSWER_LOOK_MS = 500, /* how soon a stop is noticed meanwhile */
    DEAD_LETTER_MS = 1000,
    MISSING_MS = 5000, /* with until=end: how long the topic may be unknown before it does not exist */
    BEGIN_AGAIN_MS = 100, /* where brokers could not tell a partition's beginning */
};

static const struct kafka_property defaults[] = {
    {"enable.auto.offset.store", "false", true},
    {"enable.partition.eof", "true", true},
    {"enable.auto.commit", "true", false},
    {"auto.commit.interval.ms", "250", false},
    {"auto.offset.reset", "error", true}, /* what is out of range comes to us: see begin_again() */
    {"max.poll.interval.ms", "300000", false},
    {"queued.max.messages.kbytes", "16384", false},
    {"fetch.max.bytes", "16777216", false},
    {NULL, NULL, false},
};

static const struct kafka_property dead_letter_defaults[] = {
    {"enable.idempotence", "true", false}, {"acks", "all", false}, {NULL, NULL, false}};

struct partition {
    int32_t number;
    int64_t begin; /* of this run in it, where the group has no offset yet; may be logical */
    int64_t next;  /* the offset to be read next; may be logical */
    int64_t end;   /* with until=end */
    int64_t gap;   /* the offset that was out of range, until the next record shows where reading went on; -1: none */
    bool frames;   /* its last record was a batch, whose numbers show a gap by themselves */
    bool done;     /* read to its end, or another member's to read */
};

enum beginning { FROM_STORED, FROM_EARLIEST, FROM_LATEST };

struct source {
    char *url; /* first: what kafka_listen needs; our own, for librdkafka may outlive us (see kafka_source_free) */
    const struct place *place; /* NULL from the end on */
    char *topic;
    enum beginning from;
    uint32_t frame_max;
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue;
    int event;
    struct waker waker;
    struct offsets *offsets;
    struct intake *intake; /* while it runs */
    struct envelope envelope;
    struct receipt_receiver *receipts; /* NULL: none are asked for */

    bool finite;
    int64_t missing_since; /* with until=end: brokers have known no such topic since then, ms; 0: they do */
    bool assigned;
    unsigned assignments; /* so many until now: a new one begins without pauses */
    int poll_interval_ms;
    struct partition *partitions;
    unsigned partition_count;
    unsigned current; /* the partition of the last record: the next one is mostly of the same */

    rd_kafka_t *letters; /* the producer for the dead-letter topic, once there was one */
    rd_kafka_resp_err_t letter_result;
    bool letters_end; /* one got no answer while we were stopping: the others are not waited for */
};

/* --- rebalancing --- */

/* One that was ours before; NULL: it never was. */
static struct partition *find_partition(struct source *s, int32_t number)
{
    for (unsigned i = s->current, n = 0; n < s->partition_count; n++, i++) {
        i = i < s->partition_count ? i : 0;
        if (s->partitions[i].number == number) {
            s->current = i;
            return &s->partitions[i];
        }
    }
    return NULL;
}

static struct partition *partition_of(struct source *s, int32_t number)
{
    struct partition *known = find_partition(s, number);
    if (known)
        return known;
    struct partition *grown = realloc(s->partitions, (s->partition_count + 1) * sizeof *grown);
    if (!grown)
        return NULL;
    s->partitions = grown;
    grown[s->partition_count] = (struct partition){.number = number, .begin = RD_KAFKA_OFFSET_BEGINNING, .end = -1, .gap = -1};
    return &grown[s->partition_count++];
}

/* Brokers are asked in short turns, so that a stop is noticed. Is there time for another one? */
static bool may_ask_again(const struct source *s, int64_t since)
{
    return !waker_woken(&s->waker) && clock_ms(CLOCK_MONOTONIC) - since < ANSWER_MS;
}

static rd_kafka_resp_err_t ask_watermarks(struct source *s, int32_t partition, int64_t *low, int64_t *high)
{
    int64_t since = clock_ms(CLOCK_MONOTONIC);
    rd_kafka_resp_err_t err;
    do
        err = rd_kafka_query_watermark_offsets(s->rk, s->topic, partition, low, high, ANSWER_LOOK_MS);
    while (err && may_ask_again(s, since));
    return err;
}

/* The end of a partition, now. -1: the brokers do not say it. */
static int64_t ask_end(struct source *s, int32_t partition, const char *otherwise)
{
    int64_t low, high;
    rd_kafka_resp_err_t err = ask_watermarks(s, partition, &low, &high);
    if (!err)
        return high;
    log_line(LOG_ERROR, "source %s: cannot learn the end of partition %d: %s; %s", s->url, partition,
             rd_kafka_err2str(err), otherwise);
    return -1;
}

/* A partition that this run gets for the first time. The place is known by its number, so that it is the same one when the
 * partition comes back before anything of it was settled. */
static void choose_beginning(struct source *s, struct partition *partition, rd_kafka_topic_partition_t *p)
{
    if (s->from == FROM_STORED)
        return;
    if (s->from == FROM_LATEST) {
        int64_t end = ask_end(s, p->partition, "it is read from the end that it has when they answer");
        partition->begin = end >= 0 ? end : RD_KAFKA_OFFSET_END;
    }
    p->offset = partition->begin;
}

/* Where this run begins in a partition, and with until=end, ends. */
static void begin_partition(struct source *s, rd_kafka_topic_partition_t *p)
{
    unsigned before = s->partition_count;
    struct partition *partition = partition_of(s, p->partition);
    if (!partition) {
        log_line(LOG_ERROR, "source %s: out of memory for partition %d", s->url, p->partition);
        return;
    }
    partition->gap = -1;
    if (s->partition_count > before)
        choose_beginning(s, partition, p);
    if (!s->finite)
        return;
    if (partition->end >= 0) { /* it was ours before: if it is read, the first look says so */
        partition->done = false;
        return;
    }
    int64_t end = ask_end(s, p->partition, "it is read until nothing more comes");
    partition->end = end >= 0 ? end : 0;
}

/* Where the group left off. What it has not read yet is read from where this run begins: librdkafka would ask us, one by one. */
static void ask_stored(struct source *s, rd_kafka_topic_partition_list_t *list)
{
    int64_t since = clock_ms(CLOCK_MONOTONIC);
    rd_kafka_topic_partition_list_t *stored = rd_kafka_topic_partition_list_copy(list);
    rd_kafka_resp_err_t err;
    do
        err = rd_kafka_committed(s->rk, stored, ANSWER_LOOK_MS);
    while (err && may_ask_again(s, since));
    for (int i = 0; !err && i < list->cnt; i++) {
        const struct partition *partition = find_partition(s, list->elems[i].partition);
        if (!partition || list->elems[i].offset != RD_KAFKA_OFFSET_INVALID || stored->elems[i].err)
            continue;
        list->elems[i].offset = stored->elems[i].offset >= 0 ? stored->elems[i].offset : partition->begin;
    }
    rd_kafka_topic_partition_list_destroy(stored);
}

static void note_next(struct source *s, const rd_kafka_topic_partition_list_t *list)
{
    for (int i = 0; i < list->cnt; i++) {
        struct partition *partition = find_partition(s, list->elems[i].partition);
        if (partition)
            partition->next = list->elems[i].offset;
    }
}

static int count_ours(const struct source *s)
{
    rd_kafka_topic_partition_list_t *ours = NULL;
    if (rd_kafka_assignment(s->rk, &ours))
        return 0;
    int count = ours->cnt;
    rd_kafka_topic_partition_list_destroy(ours);
    return count;
}

/* The partitions that the topic has; 0: there is none, or the brokers do not say it. */
static int ask_partition_count(struct source *s)
{
    const struct rd_kafka_metadata *found = NULL;
    int64_t since = clock_ms(CLOCK_MONOTONIC);
    int count = 0;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(s->rk, s->topic, NULL);
    rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR__FAIL;
    if (topic)
        do
            err = rd_kafka_metadata(s->rk, 0, topic, &found, ANSWER_LOOK_MS);
        while (err && may_ask_again(s, since));
    if (!err && found->topic_cnt == 1 && !found->topics[0].err)
        count = found->topics[0].partition_cnt;
    if (found)
        rd_kafka_metadata_destroy(found);
    if (topic)
        rd_kafka_topic_destroy(topic);
    return count;
}

/* A member that gets nothing is most often meant to get a copy. */
static void say_assigned(struct source *s, int came)
{
    int all = came == 0 && count_ours(s) == 0 ? ask_partition_count(s) : 0;
    if (all == 0)
        log_line(LOG_INFO, "source %s: %d partitions are ours to read", s->url, came);
    else
        log_line(LOG_WARN,
                 "source %s: no partition of %s is ours to read: other members of group=%s have all %d; for a copy of its own "
                 "give this source another group=, to share the work more partitions",
                 s->url, s->topic, options_string(s->place->options, "group"), all);
}

static void assign(struct source *s, rd_kafka_topic_partition_list_t *list)
{
    for (int i = 0; i < list->cnt; i++)
        begin_partition(s, &list->elems[i]);
    ask_stored(s, list);
    note_next(s, list);
    s->assigned = true;
    s->assignments++;
    if (list->cnt > 0)
        s->missing_since = 0;
    if (strcmp(rd_kafka_rebalance_protocol(s->rk), "COOPERATIVE") == 0)
        rd_kafka_error_destroy(rd_kafka_incremental_assign(s->rk, list));
    else
        rd_kafka_assign(s->rk, list);
    say_assigned(s, list->cnt);
}

static int at_most(int ms, int limit)
{
    return ms < limit ? ms : limit;
}

/* Commits what is stored, and waits for the answer, not for brokers that are gone. With nothing
 * stored there is nothing to commit. */
static void commit(struct source *s)
{
    rd_kafka_queue_t *answers = rd_kafka_queue_new(s->rk);
    if (!rd_kafka_commit_queue(s->rk, NULL, answers, NULL, NULL))
        rd_kafka_event_destroy(rd_kafka_queue_poll(answers, COMMIT_MS));
    rd_kafka_queue_destroy(answers);
}

/* What was taken from the partitions is settled and committed before somebody else goes on there.
 */
static void give_back(struct source *s, rd_kafka_topic_partition_list_t *list)
{
    if (s->intake) {
        intake_flush(s->intake);
        offsets_settle_rest(s->offsets);
        if (!offsets_wait(s->offsets, (unsigned)at_most(SETTLE_MS, s->poll_interval_ms / 2)))
            log_line(LOG_WARN,
                     "source %s: partitions were taken away while messages of them were not "
                     "settled: they come again to their next reader",
                     s->url);
    }
    for (int i = 0; i < list->cnt; i++) {
        struct partition *partition = partition_of(s, list->elems[i].partition);
        if (partition)
            partition->done = true;
    }
    commit(s);
    if (strcmp(rd_kafka_rebalance_protocol(s->rk), "COOPERATIVE") == 0) {
        rd_kafka_error_destroy(rd_kafka_incremental_unassign(s->rk, list));
    } else {
        s->assigned = false; /* all is taken, to be dealt out anew: until then nothing is read to its end */
        rd_kafka_assign(s->rk, NULL);
    }
}

/* In rd_kafka_consumer_poll or _close, so on the thread that runs or frees the source. */
static void on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t err,
                         rd_kafka_topic_partition_list_t *list, void *opaque)
{
    struct source *s = opaque;
    if (err != RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS)
        give_back(s, list);
    else if (s->place)
        assign(s, list);
    else
        rd_kafka_assign(rk, NULL); /* we are leaving */
}

/* --- the dead-letter topic --- */

static void on_letter(rd_kafka_t *rk, const rd_kafka_message_t *record, void *opaque)
{
    (void)rk;
    ((struct source *)opaque)->letter_result = record->err;
}

static bool post_letter(struct source *s, const char *topic, const rd_kafka_message_t *record,
                        const char *reason, struct error *error)
{
    if (!s->letters)
        s->letters = kafka_producer(s->place, dead_letter_defaults, on_letter, s, error);
    if (!s->letters)
        return false;
    char origin[KAFKA_TOPIC_MAX + 64];
    snprintf(origin, sizeof origin, "%s/%d/%lld", s->topic, record->partition,
             (long long)record->offset);
    if (s->letters_end)
        return error_set(error, "the program stops, and its brokers do not answer");
    s->letter_result = RD_KAFKA_RESP_ERR__IN_PROGRESS;
    rd_kafka_resp_err_t err = rd_kafka_producev(
        s->letters, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
        RD_KAFKA_V_VALUE(record->payload, record->len),
        RD_KAFKA_V_KEY(record->key, record->key_len), RD_KAFKA_V_HEADER("reason", reason, -1),
        RD_KAFKA_V_HEADER("origin", origin, -1), RD_KAFKA_V_END);
    while (!err && s->letter_result == RD_KAFKA_RESP_ERR__IN_PROGRESS) {
        rd_kafka_poll(s->letters, PAUSE_LOOK_MS);
        if (waker_woken(&s->waker))
            rd_kafka_flush(s->letters, DEAD_LETTER_MS);
        if (waker_woken(&s->waker) && s->letter_result == RD_KAFKA_RESP_ERR__IN_PROGRESS)
            err = RD_KAFKA_RESP_ERR__TIMED_OUT;
        s->letters_end = err == RD_KAFKA_RESP_ERR__TIMED_OUT;
    }
    if (!err)
        err = s->letter_result;
    return !err || error_set(error, "%s", rd_kafka_err2str(err));
}

/* --- taking records --- */

static void refuse(struct source *s, const rd_kafka_message_t *record, uint32_t messages,
                   const char *reason)
{
    static struct log_limit limit;
    const char *topic = options_string(s->place->options, "dead-letter");
    struct error error;
    intake_refuse(s->intake, messages > 0 ? messages : 1);
    log_limited(&limit, LOG_WARN,
                "source %s: the record at offset %lld of partition %d is refused: %s", s->url,
                (long long)record->offset, record->partition, reason);
    if (topic && !post_letter(s, topic, record, reason, &error)) {
        log_limited(
            &limit, LOG_ERROR,
            "source %s: dead-letter topic %s does not take it: %s; the offsets stay before it",
            s->url, topic, error.text);
        offsets_spoil(s->offsets);
    }
}

static void note(struct source *s, const rd_kafka_message_t *record)
{
    offsets_note(s->offsets, record->partition, record->offset + 1);
}

/* A batch of its own, for what is too large to build on or comes as one. */
static void offer_apart(struct source *s, const rd_kafka_message_t *record, struct batch *batch)
{
    intake_flush(s->intake);
    note(s, record);
    batch->pledge = offsets_pledge(s->offsets);
    intake_offer(s->intake, batch);
}

static void take_frames(struct source *s, const rd_kafka_message_t *record, const void *header,
                        size_t len)
{
    struct bus_message bus = {.frames = record->payload, .frames_len = (uint32_t)record->len};
    struct error error;
    uint32_t count = 0;
    if (!envelope_read(&s->envelope, header, len)) {
        refuse(s, record, 1, "its envelope cannot be read");
        note(s, record);
        return;
    }
    upstream_note(intake_upstream(s->intake), &s->envelope);
    bool ok = record->len <= BATCH_LIMIT + s->frame_max ||
              error_set(&error, "its %zu octets are more than a batch may have", record->len);
    ok = ok && bus_check_frames(&bus, s->frame_max, &count, &error);
    if (ok && count != s->envelope.count)
        ok = error_set(&error, "its envelope says %u messages, it holds %u", s->envelope.count,
                       count);
    receipt_receiver_note(s->receipts, &s->envelope, s->topic, ok ? bus.frames : NULL, bus.frames_len);
    struct batch *batch = ok && count > 0 ? batch_alloc((uint32_t)(record->len + len)) : NULL;
    if (batch) {
        uint8_t *memory = (uint8_t *)(batch + 1);
        memcpy(memory, record->payload, record->len);
        memcpy(memory + record->len, header, len);
        batch->len = (uint32_t)record->len;
        batch->count = count;
        batch->envelope = memory + record->len;
        batch->envelope_len = (uint32_t)len;
        offer_apart(s, record, batch);
        return;
    }
    if (!ok || count > 0)
        refuse(s, record, s->envelope.count, ok ? "out of memory" : error.text);
    note(s, record);
}

static void append(struct source *s, const rd_kafka_message_t *record, struct frame message)
{
    size_t have, want = FRAME_HEADER + message.len;
    if (want > BATCH_LIMIT) {
        struct batch *batch = batch_alloc((uint32_t)want);
        if (batch) {
            store_be32((uint8_t *)(batch + 1), message.len);
            memcpy((uint8_t *)(batch + 1) + FRAME_HEADER, message.data, message.len);
            batch->count = 1;
            offer_apart(s, record, batch);
            return;
        }
    } else {
        if (intake_left(s->intake) < want)
            intake_flush(s->intake);
        uint8_t *space = intake_space(s->intake, want, &have);
        if (space) {
            store_be32(space, message.len);
            memcpy(space + FRAME_HEADER, message.data, message.len);
            intake_commit(s->intake, want, 1);
            note(s, record);
            return;
        }
    }
    refuse(s, record, 1, "out of memory");
    offsets_spoil(s->offsets);
    note(s, record);
}

static void take_message(struct source *s, const rd_kafka_message_t *record)
{
    struct frame message = {.data = record->payload, .len = (uint32_t)record->len};
    struct dnstap_view view;
    const char *reason = NULL;
    if (!record->payload || record->len == 0)
        reason = "it has no value";
    else if (!record_unframe(&message))
        reason = "its schema registry framing is torn";
    else if (message.len > s->frame_max)
        reason = "it is longer than max-frame";
    else if (message.len == 0 || !dnstap_scan(message, &view))
        reason = "it is no dnstap message";
    if (!reason) {
        append(s, record, message);
        return;
    }
    refuse(s, record, 1, reason);
    note(s, record);
}

/* With until=end: is the record behind what was the end when we came? Notes the end when it is
 * reached, for a topic that grows as fast as it is read never says that it is. */
static bool beyond_end(struct source *s, const rd_kafka_message_t *record)
{
    struct partition *partition = s->finite ? find_partition(s, record->partition) : NULL;
    if (!partition || partition->end <= 0)
        return false;
    partition->done = partition->done || record->offset + 1 >= partition->end;
    return record->offset >= partition->end;
}

/* Records had expired, or were deleted, before they were read: reading went on at `offset`. Those between are lost; where a
 * topic is compacted or has transactions, some of the offsets never were records. */
static void count_gap(struct source *s, struct partition *partition, int64_t offset)
{
    int64_t gap = partition->gap;
    partition->gap = -1;
    if (offset <= gap) {
        log_line(LOG_WARN,
                 "source %s: partition %d was cut short or made anew: it is read from offset %lld on, "
                 "where %lld was next",
                 s->url, partition->number, (long long)offset, (long long)gap);
        return;
    }
    log_line(LOG_ERROR,
             "source %s: partition %d: at most %lld records are lost, offsets %lld to %lld: they had "
             "expired, or were deleted, before they were read",
             s->url, partition->number, (long long)(offset - gap), (long long)gap, (long long)offset - 1);
    if (!partition->frames) /* else the numbers of the messages tell it, exactly */
        upstream_lose(intake_upstream(s->intake), (uint64_t)(offset - gap));
}

static void take_record(struct source *s, const rd_kafka_message_t *record)
{
    rd_kafka_headers_t *headers;
    const void *envelope;
    size_t len;
    struct partition *partition = find_partition(s, record->partition);
    if (partition && partition->gap >= 0)
        count_gap(s, partition, record->offset);
    if (partition)
        partition->next = record->offset + 1;
    if (beyond_end(s, record))
        return;
    bool frames = rd_kafka_message_headers(record, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR &&
                  rd_kafka_header_get_last(headers, KAFKA_ENVELOPE_HEADER, &envelope, &len) ==
                      RD_KAFKA_RESP_ERR_NO_ERROR &&
                  envelope;
    if (partition)
        partition->frames = frames;
    if (frames)
        take_frames(s, record, envelope, len);
    else
        take_message(s, record);
}

/* Reads one partition from `offset` on. librdkafka, which stopped there, can no longer seek in it, but takes it anew; with
 * the eager protocol all others as well, each from where it is. */
static void read_from(struct source *s, int32_t number, int64_t offset)
{
    bool alone = strcmp(rd_kafka_rebalance_protocol(s->rk), "COOPERATIVE") == 0;
    rd_kafka_topic_partition_list_t *list = NULL;
    if (alone)
        rd_kafka_topic_partition_list_add(list = rd_kafka_topic_partition_list_new(1), s->topic, number);
    else if (rd_kafka_assignment(s->rk, &list))
        return;
    for (int i = 0; i < list->cnt; i++) {
        const struct partition *partition = find_partition(s, list->elems[i].partition);
        list->elems[i].offset = list->elems[i].partition == number ? offset
                                : partition                        ? partition->next
                                                                   : RD_KAFKA_OFFSET_INVALID;
    }
    if (alone) {
        rd_kafka_error_destroy(rd_kafka_incremental_unassign(s->rk, list));
        rd_kafka_error_destroy(rd_kafka_incremental_assign(s->rk, list));
    } else {
        rd_kafka_assign(s->rk, list);
    }
    s->assignments++;
    rd_kafka_topic_partition_list_destroy(list);
}

/* librdkafka does not know where to read on: what the group has stored is no longer (or not yet) in the partition, nothing is
 * stored, or the brokers could not tell where it begins. Where this run begins is for `from=` to say; from there on it is the
 * earliest that there is, for going to the end would pass over what is there. */
static void begin_again(struct source *s, const rd_kafka_message_t *event)
{
    struct partition *partition = find_partition(s, event->partition);
    bool out_of_range = event->offset >= 0;
    if (!partition)
        return;
    if (out_of_range)
        partition->gap = event->offset;
    else if (event->offset != RD_KAFKA_OFFSET_INVALID)
        waker_wait(&s->waker, -1, 0, BEGIN_AGAIN_MS);
    partition->next = out_of_range ? RD_KAFKA_OFFSET_BEGINNING : partition->begin;
    read_from(s, partition->number, partition->next);
}

static bool is_unknown(rd_kafka_resp_err_t err)
{
    return err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || err == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
           err == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION;
}

static void take_event(struct source *s, const rd_kafka_message_t *event)
{
    static struct log_limit limit;
    if (event->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET) {
        begin_again(s, event);
        return;
    }
    if (event->err != RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        log_limited(&limit, LOG_WARN, "source %s: %s", s->url, rd_kafka_message_errstr(event));
        if (s->finite && is_unknown(event->err) && s->missing_since == 0)
            s->missing_since = clock_ms(CLOCK_MONOTONIC);
        return;
    }
    struct partition *partition = find_partition(s, event->partition);
    if (partition && partition->gap >= 0)
        count_gap(s, partition, event->offset);
    if (partition && event->offset >= partition->end)
        partition->done = true;
}

/* With until=end: brokers have known no such topic for so long that there is none. */
static bool is_missing(const struct source *s)
{
    return s->missing_since != 0 && clock_ms(CLOCK_MONOTONIC) - s->missing_since >= MISSING_MS;
}

/* With until=end: is every partition that is ours read to its end? */
static bool finished(const struct source *s)
{
    if (s->finite && is_missing(s))
        return true;
    if (!s->finite || !s->assigned || s->missing_since != 0)
        return false;
    for (unsigned i = 0; i < s->partition_count; i++) {
        if (!s->partitions[i].done)
            return false;
    }
    return true;
}

/* What came is handed on, if anything did. False: nothing was there. */
static bool take_next(struct source *s, int timeout_ms)
{
    rd_kafka_message_t *record = rd_kafka_consumer_poll(s->rk, timeout_ms);
    if (!record)
        return false;
    if (record->err)
        take_event(s, record);
    else
        take_record(s, record);
    rd_kafka_message_destroy(record);
    return true;
}

/* Waits a moment for room. False: the rings are full still. */
static bool room_soon(struct source *s, size_t len)
{
    for (int waited = 0; waited < NO_PAUSE_MS; waited += PAUSE_LOOK_MS / 4) {
        if (waker_wait(&s->waker, -1, 0, PAUSE_LOOK_MS / 4) == WAIT_WOKEN ||
            !intake_would_wait(s->intake, len))
            return true;
    }
    return false;
}

static rd_kafka_topic_partition_list_t *pause_all(struct source *s)
{
    rd_kafka_topic_partition_list_t *ours = NULL;
    if (rd_kafka_assignment(s->rk, &ours) == RD_KAFKA_RESP_ERR_NO_ERROR)
        rd_kafka_pause_partitions(s->rk, ours);
    return ours;
}

/* Rings that stay full pause the partitions, so that the group goes on hearing from us while we
 * wait. */
static void wait_for_room(struct source *s, size_t len)
{
    if (!intake_would_wait(s->intake, len))
        return;
    intake_flush(s->intake);
    if (room_soon(s, len))
        return;
    rd_kafka_topic_partition_list_t *ours = pause_all(s);
    unsigned assignments = s->assignments;
    while (ours && intake_would_wait(s->intake, len) && !waker_woken(&s->waker)) {
        take_next(s, PAUSE_LOOK_MS); /* only events come now */
        if (assignments == s->assignments)
            continue;
        assignments = s->assignments;
        rd_kafka_topic_partition_list_destroy(ours);
        ours = pause_all(s);
    }
    if (!ours)
        return;
    rd_kafka_resume_partitions(s->rk, ours);
    rd_kafka_topic_partition_list_destroy(ours);
}

/* Nothing is there: hands on what was gathered, and sleeps until librdkafka has something. */
static void rest(struct source *s)
{
    intake_flush(s->intake);
    offsets_settle_rest(s->offsets);
    int due = receipt_receiver_idle(s->receipts);
    int group = at_most(GROUP_LOOK_MS, s->poll_interval_ms / 4);
    if (s->missing_since != 0)
        group = at_most(group, MISSING_MS / 10);
    waker_wait(&s->waker, s->event, POLLIN, due < 0 ? group : at_most(due, group));
    kafka_quiet(s->event);
}

static void kafka_source_run(struct source *s, struct intake *intake)
{
    size_t batch_max = 2 * BATCH_LIMIT + s->frame_max;
    s->intake = intake;
    intake_on_seal(intake, offsets_pledge, s->offsets);
    unsigned taken = 0;
    /* the waker costs a system call, so it is not asked for every record */
    while (!finished(s) && (taken++ % STOP_LOOK_RECORDS != 0 || !waker_woken(&s->waker))) {
        wait_for_room(s, batch_max);
        if (take_next(s, 0) || finished(s))
            continue;
        rest(s);
        taken = 0;
    }
    intake_flush(intake);
    offsets_settle_rest(s->offsets);
    receipt_receiver_end(s->receipts);
    if (s->finite && is_missing(s)) {
        log_line(LOG_ERROR,
                 "source %s: the topic does not exist, so there is nothing to read to its end; make "
                 "it, or leave until=end out to wait for it",
                 s->url);
        intake_fail(intake);
    }
    s->intake = NULL;
}

static void kafka_source_stop(struct source *s)
{
    waker_wake(&s->waker);
}

/* Commits what is stored and leaves the group, if brokers are there to hear it. */
static void leave_group(struct source *s)
{
    int64_t end = clock_ms(CLOCK_MONOTONIC) + LEAVE_MS;
    rd_kafka_message_t *unread;
    rd_kafka_queue_t *events = rd_kafka_queue_new(s->rk);
    rd_kafka_error_t *problem = rd_kafka_consumer_close_queue(s->rk, events);
    while (!problem && !rd_kafka_consumer_closed(s->rk) && clock_ms(CLOCK_MONOTONIC) < end)
        if ((unread = rd_kafka_consume_queue(events, PAUSE_LOOK_MS))) /* calls the callbacks, too */
            rd_kafka_message_destroy(unread);
    bool left = !problem && rd_kafka_consumer_closed(s->rk);
    rd_kafka_error_destroy(problem);
    rd_kafka_queue_destroy(events);
    if (!left)
        log_line(LOG_WARN,
                 "source %s: the brokers do not answer: what was settled last may be repeated",
                 s->url);
}

static void free_rest(struct source *s)
{
    if (s->event >= 0)
        close(s->event);
    waker_close(&s->waker);
    free(s->partitions);
    free(s->topic);
    free(s->url);
    free(s);
}

/* On a thread of its own: rd_kafka_destroy waits most of a minute for a coordinator that is gone, and was seen to wait for ever
 * after a topic was deleted. Nothing here is borrowed. */
static void close_clients(void *arg)
{
    struct source *s = arg;
    if (s->rk)
        leave_group(s);
    if (s->offsets)
        offsets_close(s->offsets);
    if (s->queue)
        rd_kafka_queue_destroy(s->queue);
    kafka_destroy(s->rk);
    kafka_destroy(s->letters);
    free_rest(s);
}

static void kafka_source_free(struct source *s)
{
    receipt_receiver_free(s->receipts);
    s->receipts = NULL;
    const char *url = s->place->url;
    s->place = NULL;
    kafka_close(close_clients, s, s->rk != NULL, CLOSE_MS, url);
}

static bool subscribe(struct source *s, struct error *error)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, s->topic, RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t err = rd_kafka_subscribe(s->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    return !err || error_set(error, "cannot subscribe: %s", rd_kafka_err2str(err));
}

static bool start_consumer(struct source *s, struct error *error)
{
    char why[KAFKA_REASON];
    rd_kafka_conf_t *conf = kafka_conf(s->place, defaults, error);
    if (!conf)
        return false;
    kafka_listen(conf);
    rd_kafka_conf_set_opaque(conf, s);
    rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
    bool ok = rd_kafka_conf_set(conf, "group.id", options_string(s->place->options, "group"), why,
                                sizeof why) == RD_KAFKA_CONF_OK;
    if (ok)
        s->rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
    if (!s->rk) {
        rd_kafka_conf_destroy(conf);
        return error_set(error, "%s", why);
    }
    rd_kafka_poll_set_consumer(s->rk);
    s->queue = rd_kafka_queue_get_consumer(s->rk);
    kafka_watch(s->queue, s->event);
    s->offsets =
        offsets_new(s->rk, s->url, s->topic, options_is(s->place->options, "on-failure", "hold"));
    return s->offsets ? subscribe(s, error) : error_set(error, "out of memory");
}

static enum beginning beginning_of(const struct options *options)
{
    if (options_is(options, "from", "earliest"))
        return FROM_EARLIEST;
    return options_is(options, "from", "latest") ? FROM_LATEST : FROM_STORED;
}

static struct source *kafka_source_open(const struct place *place, struct error *error)
{
    const char *topic = kafka_topic(place, error);
    struct source *s = calloc(1, sizeof *s);
    if (!s) {
        error_set(error, "out of memory");
        return NULL;
    }
    *s = (struct source){
        .url = strdup(place->url),
        .place = place,
        .topic = topic ? strdup(topic) : NULL,
        .from = beginning_of(place->options),
        .frame_max = (uint32_t)options_number(place->options, "max-frame"),
        .finite = options_is(place->options, "until", "end"),
        .poll_interval_ms = (int)kafka_number(place->options, defaults, "max.poll.interval.ms"),
        .event = kafka_event_new(),
        .waker.fd = -1,
    };
    if (!s->url || (topic && !s->topic))
        error_set(error, "out of memory");
    else if (s->event < 0 || !waker_init(&s->waker))
        error_set(error, "no descriptor left: %s", strerror(errno));
    else if (topic && receipt_receiver_open(&s->receipts, place, error) && start_consumer(s, error))
        return s;
    kafka_source_free(s);
    return NULL;
}

static bool kafka_source_check(const struct place *place, struct error *error)
{
    const char *letters = options_string(place->options, "dead-letter");
    const char *topic = kafka_topic(place, error);
    if (!topic || (letters && !kafka_topic_legal(letters, error)))
        return false;
    if (letters && strcmp(letters, topic) == 0)
        return error_set(error, "option 'dead-letter' names the topic that is read: what does not decode "
                                "would come back for ever; name another topic");
    return receipt_check(place, error) && kafka_check(place, defaults, error);
}

/* librdkafka holds what waits to be read, a fetch under way, and both once more unpacked. */
static uint64_t kafka_source_memory(const struct options *options)
{
    return 2 * (kafka_number(options, defaults, "queued.max.messages.kbytes") * 1024 +
                kafka_number(options, defaults, "fetch.max.bytes")) +
           receipt_receiver_memory(options);
}

static bool kafka_source_is_finite(const struct options *options)
{
    return options_is(options, "until", "end");
}

const struct source_ops kafka_source_ops = {
    .is_finite = kafka_source_is_finite,
    .has_links = true,
    .upstream_keeps = true,
    .open = kafka_source_open,
    .check = kafka_source_check,
    .run = kafka_source_run,
    .stop = kafka_source_stop,
    .free = kafka_source_free,
    .memory = kafka_source_memory,
};
