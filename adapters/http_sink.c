/* Posts batches of records to an HTTP server.
 *
 *     records ──► filling ──► slot ──► slot ...      a load each; at most `inflight` slots
 *
 * A load that is full, or has waited for `linger`, goes into a free slot and is posted there until the server
 * has taken it: one request at a time for each load, so that at most one is in doubt whatever breaks. When no
 * slot is free, `write` waits, and the ring in front takes the loss. All on the sink's thread, by libcurl's
 * multi interface. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "http.h"
#include "http_client.h"
#include "http_items.h"
#include "http_retry.h"
#include "log.h"
#include "pack.h"

enum {
    ANSWER_KEPT = 1024,         /* octets of an answer, for the log */
    ANSWER_ITEM = 512,          /* and for each item, where it tells of each */
    ANSWER_BASE = 64 * 1024,
    HANDLE_MEMORY = 640 * 1024, /* of libcurl and TLS, for a connection: their buffers, and a margin */
    SHARE_MEMORY = 2 * sizeof(struct load_share),
};

enum slot_state {
    SLOT_FREE,
    SLOT_BUSY,    /* a request is under way */
    SLOT_WAITING, /* to be tried at `due` */
};

struct slot {
    struct sink *sink;
    enum slot_state state;
    CURL *easy;
    struct load *load;
    struct buffer body;   /* where it is not the load's own octets */
    struct buffer answer; /* its beginning */
    char trouble[CURL_ERROR_SIZE];
    unsigned attempts; /* to post this window */
    int64_t begun;     /* the first of them, ms */
    int64_t due;
};

struct sink {
    const struct place *place;
    struct http_client client;
    struct body body;
    CURLM *multi;
    struct slot *slots;
    unsigned slot_count;
    unsigned busy; /* slots that are not free */
    struct load *filling;
    struct pack *pack; /* NULL: bodies are not packed */
    struct buffer scratch;
    size_t answer_max;
    size_t size_max; /* octets in a request: batch-size, or less since the server said 413 */
    int64_t linger;
    int64_t retry_for; /* ms, 0: without end */
    int64_t held_until; /* by Retry-After */
    uint32_t random;
    bool well; /* the last answer was 2xx */
    _Atomic bool interrupted;
    struct log_limit trouble;
    struct log_limit rejections;
};

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Jitter need not be good, only different from others' (Marsaglia's xorshift). */
static uint32_t next_random(struct sink *s)
{
    s->random ^= s->random << 13;
    s->random ^= s->random >> 17;
    s->random ^= s->random << 5;
    return s->random;
}

static size_t take_answer(char *data, size_t size, size_t count, void *arg)
{
    struct slot *slot = arg;
    size_t len = size * count, room = slot->sink->answer_max - slot->answer.len;
    buffer_put(&slot->answer, data, len < room ? len : room);
    return len; /* what is not kept is read and forgotten */
}

/* The window's body, packed if asked for. NULL: out of memory. */
static const uint8_t *make_body(struct slot *slot, size_t *len)
{
    struct sink *s = slot->sink;
    const uint8_t *plain = body_make(&s->body, slot->load, s->pack ? &s->scratch : &slot->body, len);
    if (!plain || !s->pack)
        return plain;
    buffer_clear(&slot->body);
    pack_reset(s->pack);
    if (!pack_add(s->pack, plain, *len, &slot->body) || !pack_finish(s->pack, &slot->body))
        return NULL;
    *len = slot->body.len;
    return slot->body.data;
}

static void wait_in_slot(struct slot *slot, int64_t delay)
{
    slot->state = SLOT_WAITING;
    slot->due = now_ms() + delay;
}

static void start_request(struct slot *slot)
{
    struct sink *s = slot->sink;
    size_t len;
    const uint8_t *body = make_body(slot, &len);
    buffer_clear(&slot->answer);
    slot->trouble[0] = '\0';
    slot->attempts++;
    if (body) {
        curl_easy_setopt(slot->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)len);
        curl_easy_setopt(slot->easy, CURLOPT_POSTFIELDS, body); /* borrowed until the request is done */
    }
    if (body && curl_multi_add_handle(s->multi, slot->easy) == CURLM_OK) {
        slot->state = SLOT_BUSY;
        return;
    }
    log_limited(&s->trouble, LOG_ERROR, "sink %s: out of memory for a request; trying again", s->place->url);
    wait_in_slot(slot, retry_delay_ms(slot->attempts, next_random(s)));
}

static void begin_window(struct slot *slot)
{
    slot->attempts = 0;
    slot->begun = now_ms();
    start_request(slot);
}

static void free_slot(struct slot *slot)
{
    load_clear(slot->load);
    slot->state = SLOT_FREE;
    slot->sink->busy--;
}

/* All of the window is settled: on to the next. */
static void end_window(struct slot *slot)
{
    if (load_next(slot->load))
        begin_window(slot);
    else
        free_slot(slot);
}

/* What went wrong, for the log: libcurl's words, or the status and the start of the answer. */
static void describe(const struct slot *slot, CURLcode code, long status, char *out, size_t room)
{
    const struct http_client *client = &slot->sink->client;
    char said[256];
    if (code != CURLE_OK) {
        const char *why = slot->trouble[0] ? slot->trouble : curl_easy_strerror(code);
        http_client_excerpt(client, why, strlen(why), out, room);
        return;
    }
    http_client_excerpt(client, slot->answer.data ? (const void *)slot->answer.data : "", slot->answer.len,
                        said, sizeof said);
    snprintf(out, room, "the server answered %ld%s%s%s", status, said[0] ? ": '" : "", said,
             said[0] ? "'" : "");
}

static void reject(struct slot *slot, const char *why)
{
    struct sink *s = slot->sink;
    log_limited(&s->rejections, LOG_ERROR, "sink %s: %s; %u messages failed", s->place->url, why,
                load_open(slot->load));
    load_settle(slot->load, OUTCOME_FAILED);
    end_window(slot);
}

static void retry(struct slot *slot, const char *why)
{
    struct sink *s = slot->sink;
    curl_off_t seconds = 0;
    int64_t delay = retry_delay_ms(slot->attempts, next_random(s)), now = now_ms();
    curl_easy_getinfo(slot->easy, CURLINFO_RETRY_AFTER, &seconds);
    if (seconds > 0) {
        delay = seconds * 1000;
        s->held_until = now + delay; /* it is the server that asks, not this request */
    }
    if (s->retry_for && now + delay - slot->begun > s->retry_for) {
        reject(slot, why);
        return;
    }
    log_limited(&s->trouble, LOG_WARN, "sink %s: %s; trying again", s->place->url, why);
    s->well = false;
    wait_in_slot(slot, delay);
}

/* Goes through the items of an answer beside the records that they speak of. */
struct items {
    struct slot *slot;
    uint32_t record; /* the next one */
    uint32_t retried, rejected;
    char reason[256]; /* of the first that was not taken */
};

static void take_item(void *arg, uint32_t i, enum item_result result, const char *reason)
{
    struct items *items = arg;
    struct load *load = items->slot->load;
    (void)i;
    while (load_is_settled(load, items->record))
        items->record++;
    uint32_t record = items->record++;
    if (result != ITEM_TAKEN && !items->reason[0])
        http_client_excerpt(&items->slot->sink->client, reason, strlen(reason), items->reason,
                            sizeof items->reason);
    items->retried += result == ITEM_RETRY;
    items->rejected += result == ITEM_REJECTED;
    if (result != ITEM_RETRY)
        load_settle_one(load, record, result == ITEM_TAKEN ? OUTCOME_DELIVERED : OUTCOME_FAILED);
}

static void take_items(struct slot *slot)
{
    struct sink *s = slot->sink;
    struct items items = {.slot = slot, .record = slot->load->from};
    uint32_t open = load_open(slot->load);
    if (!http_items_read((const char *)slot->answer.data, slot->answer.len, open, take_item, &items)) {
        char why[512];
        describe(slot, CURLE_OK, 200, why, sizeof why);
        strncat(why, ", which is no answer to _bulk", sizeof why - strlen(why) - 1);
        reject(slot, why);
        return;
    }
    if (items.rejected > 0)
        log_limited(&s->rejections, LOG_ERROR, "sink %s: %u of %u documents were rejected: %s; they failed",
                    s->place->url, items.rejected, open, items.reason);
    if (items.retried > 0)
        retry(slot, items.reason[0] ? items.reason : "documents were not taken now");
    else
        end_window(slot);
}

static void take_all(struct slot *slot)
{
    if (slot->sink->body.kind->itemised) {
        take_items(slot);
        return;
    }
    load_settle(slot->load, OUTCOME_DELIVERED);
    end_window(slot);
}

/* The server wants less at once: so do the requests to come. */
static void split(struct slot *slot, const char *why)
{
    struct sink *s = slot->sink;
    size_t octets = load_octets(slot->load);
    if (!load_halve(slot->load)) {
        reject(slot, why);
        return;
    }
    if (octets / 2 < s->size_max) {
        s->size_max = octets / 2;
        log_line(LOG_WARN, "sink %s: the server refuses %zu octets as too large; requests carry at most %zu now",
                 s->place->url, octets, s->size_max);
    }
    begin_window(slot);
}

static void end_request(struct slot *slot, CURLcode code)
{
    struct sink *s = slot->sink;
    char why[512];
    long status = 0;
    curl_easy_getinfo(slot->easy, CURLINFO_RESPONSE_CODE, &status);
    enum verdict verdict = verdict_of(code, status);
    if (verdict == VERDICT_TAKEN) {
        if (!s->well)
            log_line(LOG_INFO, "sink %s: the server takes requests", s->place->url);
        s->well = true;
        take_all(slot);
        return;
    }
    describe(slot, code, status, why, sizeof why);
    if (verdict == VERDICT_RETRY)
        retry(slot, why);
    else if (verdict == VERDICT_TOO_MUCH)
        split(slot, why);
    else
        reject(slot, why);
}

/* Moves all transfers on, without waiting, and deals with those that ended. */
static void move_on(struct sink *s)
{
    int running, left;
    curl_multi_perform(s->multi, &running);
    for (CURLMsg *msg; (msg = curl_multi_info_read(s->multi, &left));) {
        struct slot *slot = NULL;
        CURL *easy = msg->easy_handle;
        CURLcode code = msg->data.result;
        curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&slot);
        curl_multi_remove_handle(s->multi, easy);
        end_request(slot, code);
    }
}

/* Starts what is due to be tried again. The milliseconds until the next is, -1: none waits. */
static int try_again(struct sink *s)
{
    int64_t now = now_ms(), next = -1;
    for (unsigned i = 0; i < s->slot_count; i++) {
        struct slot *slot = &s->slots[i];
        if (slot->state != SLOT_WAITING)
            continue;
        int64_t due = slot->due > s->held_until ? slot->due : s->held_until;
        if (due <= now)
            start_request(slot);
        if (slot->state == SLOT_WAITING) {
            int64_t left = due > now ? due - now : 1;
            next = next < 0 || left < next ? left : next;
        }
    }
    return next > INT_MAX ? INT_MAX : (int)next;
}

/* Puts the load that was filled into a free slot. False: there is none. */
static bool dispatch(struct sink *s)
{
    if (s->busy == s->slot_count)
        return false;
    struct slot *slot = s->slots;
    while (slot->state != SLOT_FREE)
        slot++;
    struct load *load = s->filling;
    s->filling = slot->load;
    slot->load = load;
    s->busy++;
    load_begin(load, s->size_max);
    slot->attempts = 0;
    slot->begun = now_ms();
    if (s->held_until > slot->begun)
        wait_in_slot(slot, 0);
    else
        start_request(slot);
    return true;
}

/* Waits until something happened, and deals with it. False: interrupted. */
static bool wait_a_while(struct sink *s)
{
    move_on(s);
    int next = try_again(s);
    if (!atomic_load(&s->interrupted) && s->busy > 0)
        curl_multi_poll(s->multi, NULL, 0, next < 0 ? INT_MAX : next, NULL);
    move_on(s);
    return !atomic_load(&s->interrupted);
}

static void http_sink_write(struct sink *s, const struct parcel *parcel)
{
    struct load_cursor cursor = {.parcel = parcel};
    while (!load_add(s->filling, &cursor, s->size_max)) {
        while (!dispatch(s)) {
            if (!wait_a_while(s))
                return;
        }
    }
    move_on(s);
    try_again(s);
}

static int http_sink_idle(struct sink *s)
{
    move_on(s);
    int next = try_again(s);
    if (s->filling->count == 0 || s->busy == s->slot_count)
        return next; /* a slot that becomes free brings us here again */
    int64_t left = s->filling->begun_ms + s->linger - now_ms();
    if (left <= 0 && dispatch(s)) {
        move_on(s);
        return try_again(s);
    }
    left = left > 0 ? left : 1;
    return next < 0 || left < next ? (int)left : next;
}

static void http_sink_wait(struct sink *s, int timeout_ms)
{
    curl_multi_poll(s->multi, NULL, 0, timeout_ms < 0 ? INT_MAX : timeout_ms, NULL);
}

static void http_sink_rouse(struct sink *s)
{
    curl_multi_wakeup(s->multi);
}

static void http_sink_finish(struct sink *s)
{
    bool going = !atomic_load(&s->interrupted);
    while (going && s->filling->count > 0 && !dispatch(s))
        going = wait_a_while(s);
    while (going && s->busy > 0)
        going = wait_a_while(s);
}

static void http_sink_interrupt(struct sink *s)
{
    atomic_store(&s->interrupted, true);
    curl_multi_wakeup(s->multi);
}

static void free_slots(struct sink *s)
{
    for (unsigned i = 0; s->slots && i < s->slot_count; i++) {
        struct slot *slot = &s->slots[i];
        if (slot->state == SLOT_BUSY)
            curl_multi_remove_handle(s->multi, slot->easy);
        curl_easy_cleanup(slot->easy);
        load_free(slot->load);
        buffer_free(&slot->body);
        buffer_free(&slot->answer);
    }
    free(s->slots);
}

static void http_sink_free(struct sink *s)
{
    free_slots(s);
    curl_multi_cleanup(s->multi);
    load_free(s->filling);
    pack_free(s->pack);
    buffer_free(&s->scratch);
    body_free(&s->body);
    http_client_free(&s->client);
    free(s);
}

static bool open_slot(struct sink *s, struct slot *slot)
{
    slot->sink = s;
    slot->load = load_new((uint32_t)options_number(s->place->options, "batch-count"));
    slot->easy = http_client_handle(&s->client);
    if (!slot->easy || !slot->load)
        return false;
    curl_easy_setopt(slot->easy, CURLOPT_PRIVATE, slot);
    curl_easy_setopt(slot->easy, CURLOPT_ERRORBUFFER, slot->trouble);
    curl_easy_setopt(slot->easy, CURLOPT_WRITEFUNCTION, take_answer);
    curl_easy_setopt(slot->easy, CURLOPT_WRITEDATA, slot);
    return true;
}

static bool open_all(struct sink *s, struct error *error)
{
    const struct options *options = s->place->options;
    bool zstd = options_is(options, "compress", "zstd"), gzip = options_is(options, "compress", "gzip");
    unsigned count = (unsigned)options_number(options, "inflight");
    bool ok = true;
    s->multi = curl_multi_init();
    s->filling = load_new((uint32_t)options_number(options, "batch-count"));
    s->slots = calloc(count, sizeof *s->slots);
    s->slot_count = count;
    if (zstd || gzip)
        s->pack = pack_new(zstd ? PACKING_ZSTD : PACKING_GZIP);
    for (unsigned i = 0; s->slots && ok && i < count; i++)
        ok = open_slot(s, &s->slots[i]);
    if (!ok || !s->multi || !s->filling || !s->slots || ((zstd || gzip) && !s->pack))
        return error_set(error, "out of memory");
    curl_multi_setopt(s->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)count);
    curl_multi_setopt(s->multi, CURLMOPT_MAXCONNECTS, (long)count);
    return true;
}

static uint64_t answer_bound(const struct body_kind *kind, const struct options *options)
{
    return kind->itemised ? ANSWER_BASE + ANSWER_ITEM * options_number(options, "batch-count") : ANSWER_KEPT;
}

static struct sink *http_sink_open(const struct place *place, const struct sink_host *host,
                                   struct error *error)
{
    struct sink *s = calloc(1, sizeof *s);
    if (!s || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        error_set(error, "out of memory");
        free(s);
        return NULL;
    }
    s->place = place;
    s->size_max = options_number(place->options, "batch-size");
    s->linger = (int64_t)options_number(place->options, "linger");
    s->retry_for = (int64_t)options_number(place->options, "retry-for");
    if (getrandom(&s->random, sizeof s->random, 0) != sizeof s->random || s->random == 0)
        s->random = 1;
    if (body_init(&s->body, place->options, host->hop, error) &&
        http_client_init(&s->client, place, s->body.kind, error) && open_all(s, error)) {
        s->answer_max = answer_bound(s->body.kind, place->options);
        return s;
    }
    http_sink_free(s);
    return NULL;
}

/* Each load is the records, where they end and whose they are; each slot has its body, packed or not, and its
 * answer; buffers grow by doubling. */
static uint64_t http_sink_memory(const struct options *options, uint64_t batch_max)
{
    const struct body_kind *kind = body_find(options_string(options, "body"));
    uint64_t count = options_number(options, "batch-count"), slots = options_number(options, "inflight");
    uint64_t size = options_number(options, "batch-size");
    size = size > batch_max ? size : batch_max; /* one record may be larger than a request should be */
    uint64_t load = 2 * size + count * (sizeof(uint32_t) + sizeof(bool)) + SHARE_MEMORY * count;
    uint64_t body = 2 * body_bound(kind, size, count), pack = pack_memory(PACKING_ZSTD);
    bool packed = !options_is(options, "compress", "no");
    if (kind->as_is)
        body = packed ? 2 * pack_bound(size) : 0;
    uint64_t slot = load + body + 2 * answer_bound(kind, options) + HANDLE_MEMORY;
    return sizeof(struct sink) + load + slots * slot + (packed ? pack + body : 0) +
           (kind->itemised ? http_items_memory(count) : 0);
}

static const char *http_sink_format_of(const struct place *place)
{
    return body_find(options_string(place->options, "body"))->format;
}

const struct sink_ops http_sink_ops = {
    .format_of = http_sink_format_of,
    .open = http_sink_open,
    .write = http_sink_write,
    .idle = http_sink_idle,
    .wait = http_sink_wait,
    .rouse = http_sink_rouse,
    .finish = http_sink_finish,
    .interrupt = http_sink_interrupt,
    .free = http_sink_free,
    .memory = http_sink_memory,
};
