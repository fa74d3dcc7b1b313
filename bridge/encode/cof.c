/* format=cof: passive DNS. Responses are gathered over a window; when it ends, there is one object
 * for each RRset that was seen, in the Passive DNS Common Output Format
 * (draft-dulaunoy-dnsop-passive-dns-cof):
 *
 *     {"count":3,"time_first":1764000000,"time_last":1764000042,"rrname":"www.example.org.","rrtype":"A",
 *      "rdata":["192.0.2.1","192.0.2.2"],"bailiwick":"example.org.","sensor_id":"ns1"}
 *
 * docs/cof.md. */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "../capped.h"
#include "../clock.h"
#include "../json_string.h"
#include "../scan/dns_check.h"
#include "../scan/dns_question.h"
#include "../scan/dns_type.h"
#include "../scan/dnstap.h"
#include "../scan/rdata_rewrite.h"
#include "cof_table.h"
#include "encoder.h"
#include "flat.h"
#include "put.h"
#include "rdata.h"

enum {
    FLAG_RESPONSE = 0x8000,
    FLAG_TRUNCATED = 0x0200,
    RECORDS_MAX = 1024,  /* of one RRset */
    CLASSES = 4,         /* of which RDATA is printed; the rest are of updates and questions */
    MESSAGE_ROOM = 4096, /* in the table, that a usual message is given, and for each octet of it */
    TEXT_PER_OCTET = 8,
};

struct encoder {
    struct cof_table *table;
    int64_t window_ms, until_ms; /* of the window that is open */
    uint64_t seed;
    size_t given; /* at the end of a window: so much of the table was given out */
    struct buffer text, canonical;
    uint32_t order[RECORDS_MAX];
    struct dns_record records[RECORDS_MAX];
    uint64_t hashes[RECORDS_MAX];
};

static const struct option_spec cof_options[] = {
    {.name = "window",
     .type = OPTION_DURATION,
     .fallback = "60s",
     .min = 1,
     .max = 24 * 3600 * 1000,
     .meaning = "how long RRsets are gathered before they are written"},
    {.name = "memory",
     .type = OPTION_SIZE,
     .fallback = "64MiB",
     .min = 1 << 20,
     .max = (uint64_t)16 << 30,
     .meaning = "for RRsets; where it is used up, the window ends before its time"},
    {0},
};

static void cof_free(struct encoder *e)
{
    cof_table_free(e->table);
    buffer_free(&e->text);
    buffer_free(&e->canonical);
    free(e);
}

static struct encoder *cof_new(const struct options *options, struct error *error)
{
    struct encoder *e = calloc(1, sizeof *e);
    if (e) {
        e->window_ms = (int64_t)options_number(options, "window");
        e->table = cof_table_new(options_number(options, "memory"));
        if (e->table && getrandom(&e->seed, sizeof e->seed, 0) == sizeof e->seed)
            return e;
        cof_free(e);
    }
    error_set(error, "out of memory for the encoder");
    return NULL;
}

/* RDATA whatever the case of its names and their compression. */
static uint64_t hash_rdata(struct encoder *e, struct octets dns, const struct dns_record *record)
{
    buffer_clear(&e->canonical);
    rdata_put_lower(dns, record, &e->canonical);
    return XXH3_64bits_withSeed(e->canonical.data, e->canonical.len, e->seed);
}

/* What the RRset is: name, type, class, RDATA in any order, zone, sensor. */
static struct cof_key key_of(struct encoder *e, const struct question *owner, unsigned count,
                             const struct dnstap_view *view)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < count; i++)
        sum += e->hashes[i];
    buffer_clear(&e->canonical);
    struct question zone = {.name_len = 0};
    const struct dns_name name = {view->query_zone.data, 0, view->query_zone.len};
    if (view->query_zone.len > 0 && !question_read_name(name, &zone))
        zone.name_len = 0;
    const uint32_t fixed[4] = {e->records[0].type, e->records[0].class, count, zone.name_len};
    buffer_put(&e->canonical, fixed, sizeof fixed);
    buffer_put(&e->canonical, &sum, sizeof sum);
    buffer_put(&e->canonical, owner->name, owner->name_len);
    buffer_put(&e->canonical, zone.name, zone.name_len);
    buffer_put(&e->canonical, view->identity.data, view->identity.len);
    XXH128_hash_t hash = XXH3_128bits_withSeed(e->canonical.data, e->canonical.len, e->seed);
    return (struct cof_key){.high = hash.high64, .low = hash.low64};
}

static void put_rdata(struct octets dns, const struct dns_record *record, struct buffer *out)
{
    const struct octets rdata = {dns.data + record->rdata, record->rdata_len};
    buffer_put_char(out, '"');
    size_t from = out->len;
    if (rdata.len > 0 && record->class <= CLASSES)
        rdata_put(dns, record, RDATA_PLAIN, out);
    else
        rdata_put_unknown(rdata, out);
    json_string_seal(out, from);
}

/* Records of one set come in any order: the text has them in the order of their hashes, so that it
 * is the same for the same set while the program runs. */
static void sort(struct encoder *e, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        unsigned k = i;
        for (; k > 0 && e->hashes[e->order[k - 1]] > e->hashes[i]; k--)
            e->order[k] = e->order[k - 1];
        e->order[k] = i;
    }
}

static void make_text(struct encoder *e, struct octets dns, const struct question *owner,
                      unsigned count, const struct dnstap_view *view)
{
    struct buffer *out = &e->text;
    buffer_clear(out);
    sort(e, count);
    FLAT_PUT(out, ",\"rrname\":");
    flat_name_put((struct dns_name){owner->name, 0, owner->name_len}, out);
    FLAT_PUT(out, ",\"rrtype\":");
    flat_type_put(e->records[0].type, out);
    FLAT_PUT(out, ",\"rdata\":[");
    for (unsigned i = 0; i < count; i++) {
        if (i > 0)
            buffer_put_char(out, ',');
        put_rdata(dns, &e->records[e->order[i]], out);
    }
    buffer_put_char(out, ']');
    if (view->query_zone.len > 0) {
        FLAT_PUT(out, ",\"bailiwick\":");
        flat_name_put((struct dns_name){view->query_zone.data, 0, view->query_zone.len}, out);
    }
    if (dnstap_has(view, DNSTAP_HAS_IDENTITY)) {
        FLAT_PUT(out, ",\"sensor_id\":");
        json_string_put(view->identity, JSON_STRING_PLAIN, out);
    }
    FLAT_PUT(out, "}\n");
}

static uint64_t time_of(const struct dnstap_view *view)
{
    return dnstap_has(view, DNSTAP_HAS_RESPONSE_TIME_SEC) ? view->response_time_sec
                                                          : view->query_time_sec;
}

/* The text of all RRsets of a message is no longer than this. Names that are compressed to two
 * octets each can make it hundreds of times as long as the message. */
static size_t text_at_most(struct octets dns)
{
    enum { NAMES = 4, NAME_TEXT = 5 * DNS_NAME_WIRE_MAX, RECORD_TEXT = 200, RECORD_LEAST = 11 };
    size_t records = 0;
    for (size_t at = 6; at < 12; at += 2)
        records += (size_t)dns.data[at] << 8 | dns.data[at + 1];
    if (records > dns.len / RECORD_LEAST)
        records = dns.len / RECORD_LEAST;
    return MESSAGE_ROOM + (size_t)dns.len * TEXT_PER_OCTET +
           records * (NAMES * NAME_TEXT + RECORD_TEXT);
}

enum noted { NOTED, NO_ROOM, NO_MEMORY };

/* The `count` records are one RRset, seen in this message. */
static enum noted note(struct encoder *e, struct octets dns, unsigned count,
                       const struct dnstap_view *view)
{
    struct question owner;
    if (!question_read_name(e->records[0].owner, &owner))
        return NOTED;
    for (unsigned i = 0; i < count; i++)
        e->hashes[i] = hash_rdata(e, dns, &e->records[i]);
    struct cof_key key = key_of(e, &owner, count, view);
    struct cof_entry *entry = cof_table_find(e->table, key);
    uint64_t when = time_of(view);
    if (!entry) {
        make_text(e, dns, &owner, count, view);
        if (e->text.failed || e->canonical.failed)
            return NO_MEMORY;
        entry = cof_table_add(e->table, key, e->text.data, e->text.len);
        if (!entry)
            return NO_ROOM;
        entry->first = entry->last = when;
    }
    entry->count = capped_add(entry->count, capped_add(1, view->repeats));
    entry->first = when < entry->first ? when : entry->first;
    entry->last = when > entry->last ? when : entry->last;
    return NOTED;
}

/* Is the record of the set whose first one stands in `records`? Sets stand together. */
static bool joins(struct encoder *e, const struct dns_record *record, unsigned count)
{
    struct question a, b;
    const struct dns_record *first = &e->records[0];
    if (count == 0 || count == RECORDS_MAX || record->type != first->type ||
        record->class != first->class || record->section != first->section)
        return false;
    return question_read_name(record->owner, &a) && question_read_name(first->owner, &b) &&
           a.name_len == b.name_len && memcmp(a.name, b.name, a.name_len) == 0;
}

static bool is_data(const struct dns_record *record)
{
    enum { TYPE_SIG = 24, TYPE_TSIG = 250, TYPE_TKEY = 249 };
    return record->type != DNS_TYPE_OPT && record->type != TYPE_TSIG && record->type != TYPE_TKEY &&
           record->type != TYPE_SIG;
}

/* Every RRset of the message. One that finds no room even in an empty table, halfway, has failed.
 */
static enum encode_result note_all(struct encoder *e, struct octets dns,
                                   const struct dnstap_view *view)
{
    struct dns_walk walk;
    struct dns_record record;
    unsigned count = 0;
    bool any = false;
    enum noted noted = NOTED;
    if (!dns_message_ok(dns) || !dns_walk_begin(&walk, dns))
        return ENCODE_MALFORMED;
    while (noted == NOTED && dns_walk_record(&walk, &record)) {
        if (count > 0 && !joins(e, &record, count)) {
            noted = note(e, dns, count, view);
            count = 0;
        }
        if (is_data(&record)) {
            e->records[count++] = record;
            any = true;
        }
    }
    if (noted == NOTED && count > 0)
        noted = note(e, dns, count, view);
    if (noted != NOTED)
        return ENCODE_FAILED;
    return any ? ENCODE_HELD : ENCODE_FILTERED;
}

static enum encode_result cof_message(struct encoder *e, struct frame message, struct buffer *out)
{
    struct dnstap_view view;
    (void)out;
    if (!dnstap_scan(message, &view))
        return ENCODE_MALFORMED;
    const struct octets dns = view.response_message;
    if (view.message_type % 2 != 0 || dns.len < 12 || !(dns.data[2] & FLAG_RESPONSE >> 8) ||
        dns.data[2] & FLAG_TRUNCATED >> 8)
        return ENCODE_FILTERED;
    bool empty = cof_table_is_empty(e->table);
    if (!empty && cof_table_room(e->table) < text_at_most(dns))
        return ENCODE_FULL;
    if (empty)
        e->until_ms = clock_ms(CLOCK_MONOTONIC) + e->window_ms;
    return note_all(e, dns, &view);
}

static int64_t cof_due(const struct encoder *e)
{
    return cof_table_is_empty(e->table) ? -1 : e->until_ms;
}

static bool cof_next(struct encoder *e, struct buffer *out)
{
    const struct cof_entry *entry = cof_table_next(e->table, &e->given);
    if (!entry) {
        cof_table_clear(e->table);
        e->given = 0;
        return false;
    }
    FLAT_PUT(out, "{\"count\":");
    put_unsigned(entry->count, out);
    FLAT_PUT(out, ",\"time_first\":");
    put_unsigned(entry->first, out);
    FLAT_PUT(out, ",\"time_last\":");
    put_unsigned(entry->last, out);
    buffer_put(out, entry->text, entry->len);
    return true;
}

static uint64_t cof_memory(const struct options *options)
{
    return options_number(options, "memory") + sizeof(struct encoder);
}

const struct encoder_ops cof_encoder = {
    .name = "cof",
    .summary = "passive DNS: one JSON object for each RRset of a window of responses; docs/cof.md",
    .options = cof_options,
    .new = cof_new,
    .message = cof_message,
    .due = cof_due,
    .next = cof_next,
    .memory = cof_memory,
    .free = cof_free,
};
