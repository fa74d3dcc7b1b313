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
#include <time.h>

#include "../capped.h"
#include "../clock.h"
#include "../json_string.h"
#include "../scan/dns_check.h"
#include "../scan/dns_question.h"
#include "../scan/dnstap.h"
#include "../scan/rcode.h"
#include "cof_sets.h"
#include "cof_table.h"
#include "encoder.h"
#include "flat.h"
#include "put.h"
#include "rdata.h"

enum {
    FLAG_RESPONSE = 0x8000,
    FLAG_TRUNCATED = 0x0200,
    OPCODE = 0x7800, /* 0: QUERY */
    NOERROR = 0,
    NXDOMAIN = 3,
    DNS_INVENTED = 410227200, /* 1983: no message is older */
    CLOCK_IS_SET = 1704067200, /* 2024: a clock that is earlier knows nothing of today */
    AHEAD_MAX = 24 * 3600,
    MESSAGE_ROOM = 4096, /* in the table, that a usual message is given, and for each octet of it */
    TEXT_PER_OCTET = 8,
};

struct encoder {
    struct cof_table *table;
    int64_t window_ms, until_ms; /* of the window that is open */
    size_t given; /* at the end of a window: so much of the table was given out */
    struct buffer text, canonical;
    struct cof_sets sets;
    struct cof_entry *entries[COF_RECORDS_MAX]; /* of the message's RRsets */
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
    buffer_free(&e->sets.canonical);
    free(e);
}

static struct encoder *cof_new(const struct options *options, struct error *error)
{
    struct encoder *e = calloc(1, sizeof *e);
    if (e) {
        e->window_ms = (int64_t)options_number(options, "window");
        e->table = cof_table_new(options_number(options, "memory"));
        if (e->table && siphash_key_make(&e->sets.key))
            return e;
        cof_free(e);
    }
    error_set(error, "out of memory for the encoder");
    return NULL;
}

/* What an entry is of: the RRset, the zone, the sensor. */
static struct cof_key key_of(struct encoder *e, const struct cof_set *set,
                             const struct dnstap_view *view)
{
    struct question zone = {.name_len = 0};
    const struct dns_name name = {view->query_zone.data, 0, view->query_zone.len};
    if (view->query_zone.len > 0 && !question_read_name(name, &zone))
        zone.name_len = 0;
    buffer_clear(&e->canonical);
    buffer_put(&e->canonical, &set->hash, sizeof set->hash);
    buffer_put(&e->canonical, &zone.name_len, sizeof zone.name_len);
    buffer_put(&e->canonical, zone.name, zone.name_len);
    buffer_put(&e->canonical, view->identity.data, view->identity.len);
    const struct siphash hash = cof_hash_of(&e->sets, &e->canonical);
    return (struct cof_key){.high = hash.high, .low = hash.low};
}

static void put_rdata(struct octets dns, const struct dns_record *record, struct buffer *out)
{
    const struct octets rdata = {dns.data + record->rdata, record->rdata_len};
    buffer_put_char(out, '"');
    size_t from = out->len;
    if (rdata.len > 0)
        rdata_put(dns, record, RDATA_PLAIN, out);
    else
        rdata_put_unknown(rdata, out);
    json_string_seal(out, from);
}

/* The records stand in the order of their hashes, so that the text is the same for the same set while the
 * program runs. False: out of memory. */
static bool make_text(struct encoder *e, struct octets dns, const struct cof_set *set,
                      const struct dnstap_view *view)
{
    struct buffer *out = &e->text;
    const struct dns_record *first = cof_sets_record(&e->sets, set->first);
    struct question owner;
    buffer_clear(out);
    question_read_name(first->owner, &owner); /* sound, or it would be in no set */
    FLAT_PUT(out, ",\"rrname\":");
    flat_name_put((struct dns_name){owner.name, 0, owner.name_len}, out);
    FLAT_PUT(out, ",\"rrtype\":");
    flat_type_put(first->type, out);
    FLAT_PUT(out, ",\"rdata\":[");
    for (unsigned i = 0; i < set->count; i++) {
        if (i > 0)
            buffer_put_char(out, ',');
        put_rdata(dns, cof_sets_record(&e->sets, set->first + i), out);
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
    return !out->failed;
}

/* When the response was seen. False: the message does not say. */
static bool time_of(const struct dnstap_view *view, uint64_t *when)
{
    const bool response = dnstap_has(view, DNSTAP_HAS_RESPONSE_TIME_SEC);
    *when = response ? view->response_time_sec : view->query_time_sec;
    return response || dnstap_has(view, DNSTAP_HAS_QUERY_TIME_SEC);
}

/* One absurd time would stand in a database for ever as the first or the last. */
static bool is_possible(uint64_t when)
{
    const int64_t now = clock_ms(CLOCK_REALTIME) / 1000;
    const uint64_t latest = now > CLOCK_IS_SET ? (uint64_t)now + AHEAD_MAX : UINT32_MAX;
    return when >= DNS_INVENTED && when <= latest;
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

/* The entry of a set, a new one with a count of 0 if it is not there yet. NULL: there is no memory for it. */
static struct cof_entry *entry_of(struct encoder *e, struct octets dns, const struct cof_set *set,
                                  const struct dnstap_view *view)
{
    const struct cof_key key = key_of(e, set, view);
    if (e->canonical.failed || e->sets.canonical.failed)
        return NULL;
    struct cof_entry *entry = cof_table_find(e->table, key);
    if (entry || !make_text(e, dns, set, view))
        return entry;
    return cof_table_add(e->table, key, e->text.data, e->text.len);
}

static void note(struct cof_entry *entry, uint64_t when, uint64_t times)
{
    const bool fresh = entry->count == 0;
    entry->count = capped_add(entry->count, times);
    entry->first = fresh || when < entry->first ? when : entry->first;
    entry->last = fresh || when > entry->last ? when : entry->last;
}

/* Every RRset of the message, or none: one that finds no room even in an empty table has failed. */
static enum encode_result note_all(struct encoder *e, struct octets dns, uint64_t when,
                                   const struct dnstap_view *view)
{
    struct cof_set set;
    unsigned count = 0;
    const struct cof_mark mark = cof_table_mark(e->table);
    if (!cof_sets_find(&e->sets, dns))
        return ENCODE_FAILED;
    while (cof_sets_next(&e->sets, &set)) {
        struct cof_entry *entry = entry_of(e, dns, &set, view);
        if (!entry) {
            cof_table_take_back(e->table, mark);
            bool memory = !e->text.failed && !e->canonical.failed && !e->sets.canonical.failed;
            return memory && mark.count > 0 ? ENCODE_FULL : ENCODE_FAILED; /* an empty table has more room */
        }
        e->entries[count++] = entry;
    }
    for (unsigned i = 0; i < count; i++)
        note(e->entries[i], when, capped_add(1, view->repeats));
    return count > 0 ? ENCODE_HELD : ENCODE_FILTERED;
}

/* Is it an answer to a query that says what there is? Other opcodes' records are what a client wrote, and
 * those beside an error say little. */
static bool is_answer(struct octets dns)
{
    unsigned rcode;
    if (dns.len < 12)
        return false;
    const unsigned flags = load_be16(dns.data + 2);
    return flags & FLAG_RESPONSE && !(flags & (FLAG_TRUNCATED | OPCODE)) && rcode_read(dns, &rcode) &&
           (rcode == NOERROR || rcode == NXDOMAIN);
}

static enum encode_result cof_message(struct encoder *e, struct frame message, struct buffer *out)
{
    struct dnstap_view view;
    (void)out;
    if (!dnstap_scan(message, &view))
        return ENCODE_MALFORMED;
    if (view.type == DNSTAP_TYPE_MESSAGE && !dnstap_has(&view, DNSTAP_HAS_MESSAGE))
        return ENCODE_MALFORMED;
    const struct octets dns = view.response_message;
    uint64_t when;
    if (view.message_type % 2 != 0 || !is_answer(dns) || !time_of(&view, &when))
        return ENCODE_FILTERED;
    if (!is_possible(when) || dns.len > COF_DNS_MAX || !dns_message_ok(dns))
        return ENCODE_MALFORMED;
    bool empty = cof_table_is_empty(e->table);
    if (!empty && cof_table_room(e->table) < text_at_most(dns))
        return ENCODE_FULL;
    if (empty)
        e->until_ms = clock_ms(CLOCK_MONOTONIC) + e->window_ms;
    return note_all(e, dns, when, &view);
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
