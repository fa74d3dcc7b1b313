#include "http_poster.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "clock.h"
#include "http_client.h"
#include "http_items.h"
#include "http_retry.h"
#include "log.h"
#include "pack.h"
#include "tls.h"

enum {
    ANSWER_KEPT = 1024, /* octets of an answer, for the log */
    ANSWER_ITEM = 512,  /* and for each item, where it tells of each */
    ANSWER_BASE = 64 * 1024,
    HANDLE_MEMORY =
        640 * 1024, /* of libcurl and TLS, for a connection: their buffers, and a margin */
};

enum slot_state {
    SLOT_FREE,
    SLOT_BUSY,    /* a request is under way */
    SLOT_WAITING, /* to be tried at `due` */
};

/* Where one load is posted. */
struct slot {
    struct poster *poster;
    enum slot_state state;
    CURL *easy;
    struct load *load;
    struct buffer body;   /* where it is not the load's own octets */
    struct buffer answer; /* its beginning */
    char trouble[CURL_ERROR_SIZE];
    unsigned certificates; /* the version of those that the handle has; 0: none yet */
    unsigned attempts; /* to post this window */
    int64_t begun;     /* the first of them, ms */
    int64_t due;
};

struct poster {
    const char *url; /* as it may be printed */
    struct http_client client;
    struct body body;
    CURLM *multi;
    struct slot *slots;
    unsigned slot_count;
    unsigned busy;     /* slots that are not free */
    struct pack *pack; /* NULL: bodies are not packed */
    struct buffer scratch;
    size_t answer_max;
    size_t size_max;    /* octets in a request: batch-size, or less since the server said 413 */
    int64_t retry_for;  /* ms, 0: without end */
    int64_t held_until; /* by Retry-After */
    uint32_t random;
    bool well; /* the last answer was 2xx */
    struct log_limit trouble;
    struct log_limit rejections;
};

/* Jitter need not be good, only different from others' (Marsaglia's xorshift). */
static uint32_t next_random(struct poster *p)
{
    p->random ^= p->random << 13;
    p->random ^= p->random >> 17;
    p->random ^= p->random << 5;
    return p->random;
}

static size_t take_answer(char *data, size_t size, size_t count, void *arg)
{
    struct slot *slot = arg;
    size_t len = size * count, room = slot->poster->answer_max - slot->answer.len;
    buffer_put(&slot->answer, data, len < room ? len : room);
    return len; /* what is not kept is read and forgotten */
}

/* The window's body, packed if asked for. NULL: out of memory. */
static const uint8_t *make_body(struct slot *slot, size_t *len)
{
    struct poster *p = slot->poster;
    const uint8_t *plain =
        body_make(&p->body, slot->load, p->pack ? &p->scratch : &slot->body, len);
    if (!plain || !p->pack)
        return plain;
    buffer_clear(&slot->body);
    pack_reset(p->pack);
    if (!pack_add(p->pack, plain, *len, &slot->body) || !pack_finish(p->pack, &slot->body))
        return NULL;
    *len = slot->body.len;
    return slot->body.data;
}

static void wait_in_slot(struct slot *slot, int64_t delay)
{
    slot->state = SLOT_WAITING;
    slot->due = clock_ms(CLOCK_MONOTONIC) + delay;
}

/* Certificates that were read anew hold from the next request on. */
static void use_certificates(struct slot *slot)
{
    struct http_tls *tls = &slot->poster->client.tls;
    unsigned version = tls->version + 1;
    if (slot->certificates != version)
        http_tls_apply(tls, slot->easy);
    slot->certificates = version;
}

static void start_request(struct slot *slot)
{
    struct poster *p = slot->poster;
    size_t len;
    const uint8_t *body = make_body(slot, &len);
    buffer_clear(&slot->answer);
    slot->trouble[0] = '\0';
    slot->attempts++;
    use_certificates(slot);
    if (body) {
        curl_easy_setopt(slot->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)len);
        curl_easy_setopt(slot->easy, CURLOPT_POSTFIELDS,
                         body); /* borrowed until the request is done */
    }
    if (body && curl_multi_add_handle(p->multi, slot->easy) == CURLM_OK) {
        slot->state = SLOT_BUSY;
        return;
    }
    log_limited(&p->trouble, LOG_ERROR, "sink %s: out of memory for a request; trying again",
                p->url);
    wait_in_slot(slot, retry_delay_ms(slot->attempts, next_random(p)));
}

static void begin_window(struct slot *slot)
{
    slot->attempts = 0;
    slot->begun = clock_ms(CLOCK_MONOTONIC);
    start_request(slot);
}

static void free_slot(struct slot *slot)
{
    load_clear(slot->load);
    slot->state = SLOT_FREE;
    slot->poster->busy--;
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
    const struct http_client *client = &slot->poster->client;
    char said[256];
    if (code != CURLE_OK) {
        const char *why = slot->trouble[0] ? slot->trouble : curl_easy_strerror(code);
        http_client_excerpt(client, why, strlen(why), out, room);
        return;
    }
    http_client_excerpt(client, slot->answer.data ? (const void *)slot->answer.data : "",
                        slot->answer.len, said, sizeof said);
    snprintf(out, room, "the server answered %ld%s%s%s", status, said[0] ? ": '" : "", said,
             said[0] ? "'" : "");
}

static void reject(struct slot *slot, const char *why)
{
    struct poster *p = slot->poster;
    log_limited(&p->rejections, LOG_ERROR, "sink %s: %s; %u messages failed", p->url, why,
                load_open(slot->load));
    load_settle(slot->load, OUTCOME_FAILED);
    end_window(slot);
}

static void retry(struct slot *slot, const char *why)
{
    struct poster *p = slot->poster;
    curl_off_t seconds = 0;
    int64_t delay = retry_delay_ms(slot->attempts, next_random(p)), now = clock_ms(CLOCK_MONOTONIC);
    curl_easy_getinfo(slot->easy, CURLINFO_RETRY_AFTER, &seconds);
    if (seconds > 0) {
        delay = retry_after_ms(seconds);
        p->held_until = now + delay; /* it is the server that asks, not this request */
    }
    if (p->retry_for && now + delay - slot->begun > p->retry_for) {
        reject(slot, why);
        return;
    }
    log_limited(&p->trouble, LOG_WARN, "sink %s: %s; trying again in %g s", p->url, why, (double)delay / 1000);
    p->well = false;
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
        http_client_excerpt(&items->slot->poster->client, reason, strlen(reason), items->reason,
                            sizeof items->reason);
    items->retried += result == ITEM_RETRY;
    items->rejected += result == ITEM_REJECTED;
    if (result != ITEM_RETRY)
        load_settle_one(load, record, result == ITEM_TAKEN ? OUTCOME_DELIVERED : OUTCOME_FAILED);
}

static void take_items(struct slot *slot)
{
    struct poster *p = slot->poster;
    struct items items = {.slot = slot, .record = slot->load->from};
    uint32_t open = load_open(slot->load);
    if (!http_items_read((const char *)slot->answer.data, slot->answer.len, open, take_item,
                         &items)) {
        char why[512];
        describe(slot, CURLE_OK, 200, why, sizeof why);
        strncat(why, ", which is no answer to _bulk", sizeof why - strlen(why) - 1);
        reject(slot, why);
        return;
    }
    if (items.rejected > 0)
        log_limited(&p->rejections, LOG_ERROR,
                    "sink %s: %u of %u documents were rejected: %s; they failed", p->url,
                    items.rejected, open, items.reason);
    if (items.retried > 0)
        retry(slot, items.reason[0] ? items.reason : "documents were not taken now");
    else
        end_window(slot);
}

static void take_all(struct slot *slot)
{
    if (slot->poster->body.kind->itemised) {
        take_items(slot);
        return;
    }
    load_settle(slot->load, OUTCOME_DELIVERED);
    end_window(slot);
}

/* The server wants less at once: so do the requests to come. */
static void split(struct slot *slot, const char *why)
{
    struct poster *p = slot->poster;
    size_t octets = load_octets(slot->load);
    if (!load_halve(slot->load)) {
        reject(slot, why);
        return;
    }
    if (octets / 2 < p->size_max) {
        p->size_max = octets / 2;
        log_line(
            LOG_WARN,
            "sink %s: the server refuses %zu octets as too large; requests carry at most %zu now",
            p->url, octets, p->size_max);
    }
    begin_window(slot);
}

static void end_request(struct slot *slot, CURLcode code)
{
    struct poster *p = slot->poster;
    char why[512];
    long status = 0;
    curl_easy_getinfo(slot->easy, CURLINFO_RESPONSE_CODE, &status);
    enum verdict verdict = verdict_of(code, status);
    if (verdict == VERDICT_TAKEN) {
        if (!p->well)
            log_line(LOG_INFO, "sink %s: the server takes requests", p->url);
        p->well = true;
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
static void move_on(struct poster *p)
{
    int running, left;
    curl_multi_perform(p->multi, &running);
    for (CURLMsg *msg; (msg = curl_multi_info_read(p->multi, &left));) {
        struct slot *slot = NULL;
        CURL *easy = msg->easy_handle;
        CURLcode code = msg->data.result;
        curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&slot);
        curl_multi_remove_handle(p->multi, easy);
        end_request(slot, code);
    }
}

/* When a slot that waits is to be tried again, ms. */
static int64_t due_at(const struct slot *slot)
{
    int64_t held = slot->poster->held_until;
    return slot->due > held ? slot->due : held;
}

/* Starts what is due to be tried again. False: nothing was. */
static bool try_again(struct poster *p)
{
    int64_t now = clock_ms(CLOCK_MONOTONIC);
    bool any = false;
    for (unsigned i = 0; i < p->slot_count; i++) {
        if (p->slots[i].state != SLOT_WAITING || due_at(&p->slots[i]) > now)
            continue;
        start_request(&p->slots[i]);
        any = true;
    }
    return any;
}

/* The milliseconds until the next slot that waits is due, -1: none waits. */
static int until_due(const struct poster *p)
{
    int64_t now = clock_ms(CLOCK_MONOTONIC), next = -1;
    for (unsigned i = 0; i < p->slot_count; i++) {
        if (p->slots[i].state != SLOT_WAITING)
            continue;
        int64_t left = due_at(&p->slots[i]) - now;
        left = left > 0 ? left : 0;
        next = next < 0 || left < next ? left : next;
    }
    return next > INT_MAX ? INT_MAX : (int)next;
}

int poster_move(struct poster *p)
{
    move_on(p);
    if (try_again(p))
        move_on(p); /* what was started now may be over already */
    return until_due(p);
}

bool poster_offer(struct poster *p, struct load **load)
{
    if (p->busy == p->slot_count)
        return false;
    struct slot *slot = p->slots;
    while (slot->state != SLOT_FREE)
        slot++;
    struct load *full = *load;
    *load = slot->load;
    slot->load = full;
    p->busy++;
    load_begin(full, p->size_max);
    slot->attempts = 0;
    slot->begun = clock_ms(CLOCK_MONOTONIC);
    if (p->held_until > slot->begun)
        wait_in_slot(slot, 0);
    else
        start_request(slot);
    return true;
}

unsigned poster_free_slots(const struct poster *p)
{
    return p->slot_count - p->busy;
}

bool poster_is_idle(const struct poster *p)
{
    return p->busy == 0;
}

size_t poster_size_max(const struct poster *p)
{
    return p->size_max;
}

void poster_wait(struct poster *p, int timeout_ms)
{
    curl_multi_poll(p->multi, NULL, 0, timeout_ms < 0 ? INT_MAX : timeout_ms, NULL);
}

void poster_rouse(struct poster *p)
{
    curl_multi_wakeup(p->multi);
}

void poster_reload(struct poster *p)
{
    struct error error;
    const struct options *options = p->client.options;
    bool any = options_string(options, "ca") || options_string(options, "cert");
    if (any)
        tls_log_reload("sink", p->url, http_tls_renew(&p->client.tls, &error) ? NULL : error.text);
}

static void close_slot(struct slot *slot)
{
    if (slot->state == SLOT_BUSY)
        curl_multi_remove_handle(slot->poster->multi, slot->easy);
    curl_easy_cleanup(slot->easy);
    load_free(slot->load);
    buffer_free(&slot->body);
    buffer_free(&slot->answer);
}

void poster_free(struct poster *p)
{
    if (!p)
        return;
    for (unsigned i = 0; p->slots && i < p->slot_count; i++)
        close_slot(&p->slots[i]);
    free(p->slots);
    curl_multi_cleanup(p->multi);
    pack_free(p->pack);
    buffer_free(&p->scratch);
    body_free(&p->body);
    http_client_free(&p->client);
    free(p);
}

static bool open_slot(struct poster *p, struct slot *slot, uint32_t count_max)
{
    slot->poster = p;
    slot->load = load_new(count_max);
    slot->easy = http_client_handle(&p->client);
    if (!slot->easy || !slot->load)
        return false;
    curl_easy_setopt(slot->easy, CURLOPT_PRIVATE, slot);
    curl_easy_setopt(slot->easy, CURLOPT_ERRORBUFFER, slot->trouble);
    curl_easy_setopt(slot->easy, CURLOPT_WRITEFUNCTION, take_answer);
    curl_easy_setopt(slot->easy, CURLOPT_WRITEDATA, slot);
    return true;
}

static enum packing packing_of(const struct options *options)
{
    if (options_is(options, "compress", "zstd"))
        return PACKING_ZSTD;
    return options_is(options, "compress", "gzip") ? PACKING_GZIP : PACKING_NONE;
}

static bool open_all(struct poster *p, const struct options *options, struct error *error)
{
    enum packing packing = packing_of(options);
    unsigned count = (unsigned)options_number(options, "inflight");
    p->multi = curl_multi_init();
    p->slots = calloc(count, sizeof *p->slots);
    p->slot_count = count;
    if (packing != PACKING_NONE)
        p->pack = pack_new(packing);
    bool ok = p->multi && p->slots && (p->pack || packing == PACKING_NONE);
    for (unsigned i = 0; ok && i < count; i++)
        ok = open_slot(p, &p->slots[i], (uint32_t)options_number(options, "batch-count"));
    if (!ok)
        return error_set(error, "out of memory");
    curl_multi_setopt(p->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)count);
    curl_multi_setopt(p->multi, CURLMOPT_MAXCONNECTS, (long)count);
    return true;
}

static uint64_t answer_bound(const struct body_kind *kind, const struct options *options)
{
    return kind->itemised ? ANSWER_BASE + ANSWER_ITEM * options_number(options, "batch-count")
                          : ANSWER_KEPT;
}

bool poster_check(const struct place *place, struct error *error)
{
    struct body body = {0};
    struct http_client client = {0};
    bool ok = body_init(&body, place->options, "hop", error) && http_client_init(&client, place, body.kind, error);
    http_client_free(&client);
    body_free(&body);
    return ok;
}

struct poster *poster_new(const struct place *place, const char *hop, struct error *error)
{
    const struct options *options = place->options;
    struct poster *p = calloc(1, sizeof *p);
    if (!p || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        error_set(error, "out of memory");
        free(p);
        return NULL;
    }
    p->url = place->url;
    p->size_max = options_number(options, "batch-size");
    p->retry_for = (int64_t)options_number(options, "retry-for");
    if (getrandom(&p->random, sizeof p->random, 0) != sizeof p->random || p->random == 0)
        p->random = 1;
    if (body_init(&p->body, options, hop, error) &&
        http_client_init(&p->client, place, p->body.kind, error) && open_all(p, options, error)) {
        p->answer_max = answer_bound(p->body.kind, options);
        return p;
    }
    poster_free(p);
    return NULL;
}

/* Each slot has its load, its body, packed or not, and its answer; buffers grow by doubling. */
uint64_t poster_memory(const struct options *options, uint64_t size)
{
    const struct body_kind *kind = body_find(options_string(options, "body"));
    uint64_t count = options_number(options, "batch-count"),
             slots = options_number(options, "inflight");
    uint64_t body = 2 * body_bound(kind, size, count);
    bool packed = packing_of(options) != PACKING_NONE;
    uint64_t scratch = packed ? body : 0;
    if (kind->as_is) {
        body = packed ? 2 * pack_bound(size) : 0;
        scratch = 0;
    }
    uint64_t slot =
        load_memory(size, count) + body + 2 * answer_bound(kind, options) + HANDLE_MEMORY;
    return sizeof(struct poster) + slots * (sizeof(struct slot) + slot) +
           pack_memory(packing_of(options)) + scratch +
           (kind->itemised ? http_items_memory(count) : 0);
}
