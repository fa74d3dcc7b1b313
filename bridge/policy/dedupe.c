/* dedupe: of messages that are alike in all that the key names, the first stands for those that
 * come within the window. It goes on when the window ends, or its room is needed, and says how many
 * it stands for (Dnstap.repeats). */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "../capped.h"
#include "../scan/dns_check.h"
#include "../scan/rdata_rewrite.h"
#include "../siphash.h"
#include "canonical.h"
#include "dedupe_table.h"
#include "../scan/rcode.h"
#include "step.h"

enum part {
    PART_TYPE,
    PART_QNAME,
    PART_QTYPE,
    PART_RCODE,
    PART_ANSWERS,
    PART_IDENTITY,
    PART_CLIENT,
    PART_SERVER,
    PART_PROTOCOL,
    PARTS
};

static const char *const part_names[PARTS] = {"type",     "qname",  "qtype",  "rcode",   "answers",
                                              "identity", "client", "server", "protocol"};

enum {
    USUAL_PARTS =
        1 << PART_TYPE | 1 << PART_QNAME | 1 << PART_QTYPE | 1 << PART_RCODE | 1 << PART_ANSWERS
};

struct step {
    struct dedupe_table *table;
    unsigned parts;
    int64_t window_ms, now_ms;
    struct siphash_key hash_key; /* random: who sends messages cannot choose two that are taken for each other */
    struct ticket released;
    struct buffer record, key;
};

static const struct option_spec dedupe_options[] = {
    {.name = "window",
     .type = OPTION_DURATION,
     .fallback = "10s",
     .min = 1,
     .max = 24 * 3600 * 1000,
     .meaning = "how long a message stands for those like it, from when it came"},
    {.name = "key",
     .type = OPTION_STRING,
     .repeats = true,
     .meaning = "what must be alike: type, qname, qtype, rcode, answers (the default, all of "
                "them), identity, client, server, protocol"},
    {.name = "memory",
     .type = OPTION_SIZE,
     .fallback = "16MiB",
     .min = 1 << 20,
     .max = (uint64_t)16 << 30,
     .meaning = "for messages that wait; where it is used up the oldest go on before their time"},
    {0},
};

static bool read_part(const char *text, size_t len, unsigned *parts, struct error *error)
{
    for (int i = 0; i < PARTS; i++) {
        if (strlen(part_names[i]) == len && memcmp(part_names[i], text, len) == 0) {
            *parts |= 1u << i;
            return true;
        }
    }
    return error_set(error,
                     "key takes type, qname, qtype, rcode, answers, identity, client, server, "
                     "protocol, not '%.*s'",
                     len < 64 ? (int)len : 64, text);
}

static bool read_parts(const char *text, unsigned *parts, struct error *error)
{
    *parts = text ? 0 : USUAL_PARTS;
    while (text && *text) {
        size_t len = strcspn(text, "\n");
        if (!read_part(text, len, parts, error))
            return false;
        text += len + (text[len] == '\n');
    }
    return true;
}

static void dedupe_free(struct step *step)
{
    dedupe_table_free(step->table);
    buffer_free(&step->record);
    buffer_free(&step->key);
    free(step);
}

static struct step *dedupe_new(const struct options *options, struct error *error)
{
    struct step *step = calloc(1, sizeof *step);
    if (!step) {
        error_set(error, "out of memory");
        return NULL;
    }
    step->window_ms = (int64_t)options_number(options, "window");
    if (read_parts(options_string(options, "key"), &step->parts, error)) {
        step->table = dedupe_table_new(options_number(options, "memory"));
        if (step->table && siphash_key_make(&step->hash_key))
            return step;
        error_set(error, "out of memory for its table");
    }
    dedupe_free(step);
    return NULL;
}

/* A record whatever its TTL, and however its names are written and compressed. */
static bool hash_record(struct step *step, struct octets dns, const struct dns_record *record,
                        struct siphash *hash)
{
    buffer_clear(&step->record);
    const uint16_t fixed[2] = {record->type, record->class};
    buffer_put(&step->record, fixed, sizeof fixed);
    if (!name_put_lower(record->owner, &step->record) || !dns_rdata_ok(dns, record))
        return false;
    rdata_put_lower(dns, record, &step->record);
    *hash = siphash(&step->hash_key, step->record.data, step->record.len);
    return !step->record.failed;
}

/* The records of the answer section in any order: their hashes are added up, and nobody knows one of them. False: they are
 * broken. */
static bool put_answers(struct step *step, struct octets dns)
{
    struct dns_walk walk;
    struct dns_record record;
    struct siphash sum = {0}, one = {0};
    if (dns.len > 0 && !dns_walk_begin(&walk, dns))
        return false;
    while (dns.len > 0 && walk.header.count[DNS_ANSWER] > 0 && dns_walk_record(&walk, &record) &&
           record.section == DNS_ANSWER) {
        if (!hash_record(step, dns, &record, &one))
            return false;
        sum.low += one.low;
        sum.high += one.high;
    }
    buffer_put(&step->key, &sum, sizeof sum);
    return dns.len == 0 || !walk.bad;
}

static void put_part(struct step *step, struct octets octets)
{
    buffer_put(&step->key, &octets.len, sizeof octets.len);
    buffer_put(&step->key, octets.data, octets.len);
}

static void put_number(struct step *step, int32_t number)
{
    buffer_put(&step->key, &number, sizeof number);
}

/* False where the message cannot be read as far as the key asks. */
static bool make_key(struct step *step, struct subject *s, struct dedupe_key *key)
{
    const struct dnstap_view *view = subject_view(s);
    const unsigned parts = step->parts, of_question = 1u << PART_QNAME | 1u << PART_QTYPE;
    const struct question *q = parts & of_question ? subject_question(s) : NULL;
    unsigned rcode = 0;
    buffer_clear(&step->key);
    if (parts & of_question && !q)
        return false;
    if (parts >> PART_TYPE & 1)
        put_number(step, view->message_type);
    if (parts >> PART_QNAME & 1)
        put_part(step, (struct octets){q->name, q->name_len});
    if (parts >> PART_QTYPE & 1)
        put_number(step, (int32_t)((uint32_t)q->type << 16 | q->class));
    if (parts >> PART_RCODE &
        1) { /* a query has none, and something in its place: no part is taken for another */
        const bool response = dnstap_has(view, DNSTAP_HAS_RESPONSE_MESSAGE);
        if (response && !rcode_read(view->response_message, &rcode))
            return false;
        put_number(step, response ? (int32_t)rcode : -1);
    }
    if (parts >> PART_ANSWERS & 1 && !put_answers(step, view->response_message))
        return false;
    if (parts >> PART_IDENTITY & 1)
        put_part(step, view->identity);
    if (parts >> PART_CLIENT & 1)
        put_part(step, view->query_address);
    if (parts >> PART_SERVER & 1)
        put_part(step, view->response_address);
    if (parts >> PART_PROTOCOL & 1)
        put_number(step, view->socket_protocol);
    const struct siphash hash = siphash(&step->hash_key, step->key.data, step->key.len);
    *key = (struct dedupe_key){.high = hash.high, .low = hash.low};
    return !step->key.failed;
}

/* What cannot be compared stands for itself. */
static enum verdict dedupe_judge(struct step *step, struct subject *s)
{
    struct dedupe_key key;
    const struct dnstap_view *view = subject_view(s);
    if (!view)
        return VERDICT_MALFORMED;
    if (!dnstap_has(view, DNSTAP_HAS_MESSAGE) || !make_key(step, s, &key))
        return VERDICT_PASS;
    struct dedupe_entry *entry = dedupe_table_find(step->table, key);
    if (entry && entry->until_ms > step->now_ms) {
        entry->repeats = capped_add(entry->repeats, capped_add(1, view->repeats));
        return VERDICT_TAKE_OUT;
    }
    if (entry) /* its window is over, and it is about to go */
        return VERDICT_PASS;
    entry = dedupe_table_add(step->table, key, s->frame);
    if (!entry)
        return VERDICT_PASS;
    entry->until_ms = step->now_ms + step->window_ms;
    entry->repeats = view->repeats;
    entry->ticket = ticket_copy(&s->ticket);
    return VERDICT_HELD;
}

static void dedupe_tick(struct step *step, int64_t now_ms)
{
    step->now_ms = now_ms;
}

static int64_t dedupe_due(const struct step *step)
{
    const struct dedupe_entry *oldest = dedupe_table_oldest(step->table);
    if (!oldest)
        return -1;
    return dedupe_table_is_crowded(step->table) ? 0 : oldest->until_ms;
}

/* A field that comes twice counts by its last, so this one stands behind all that is there. */
static uint32_t put_repeats(uint8_t *at, uint64_t repeats)
{
    uint32_t len = 0;
    at[len++] = 0xc8; /* field 1001, a varint */
    at[len++] = 0x3e;
    for (; repeats >= 0x80; repeats >>= 7)
        at[len++] = (uint8_t)(repeats | 0x80);
    at[len++] = (uint8_t)repeats;
    return len;
}

static bool dedupe_release(struct step *step, int64_t now_ms, struct subject *s)
{
    const struct dedupe_entry *oldest = dedupe_table_oldest(step->table);
    if (!oldest || (oldest->until_ms > now_ms && !dedupe_table_is_crowded(step->table)))
        return false;
    struct dedupe_entry *entry = dedupe_table_take(step->table);
    uint32_t more = entry->repeats ? put_repeats(entry->data + entry->len, entry->repeats) : 0;
    assert(more <= DEDUPE_ROOM);
    subject_init(s, (struct frame){.data = entry->data, .len = entry->len + more}, entry->ticket);
    return true;
}

static uint64_t dedupe_memory(const struct step *step)
{
    return dedupe_table_memory(step->table);
}

static void dedupe_say(const struct options *options, FILE *out)
{
    const char *key = options_string(options, "key");
    fprintf(out, "one message for all that are alike within %s, with their number; alike in ",
            options_string(options, "window"));
    for (const char *at = key ? key : "type, qname, qtype, rcode, answers"; *at; at++)
        fputs(*at == '\n' ? ", " : (const char[]){*at, '\0'}, out);
}

static void dedupe_put_canonical(const struct step *step, struct buffer *out)
{
    canonical_put_number(step->parts, out);
}

const struct step_ops dedupe_step = {
    .name = "dedupe",
    .summary = "one message stands for all that are alike within a time, and says for how many",
    .options = dedupe_options,
    .new = dedupe_new,
    .free = dedupe_free,
    .judge = dedupe_judge,
    .say = dedupe_say,
    .put_canonical = dedupe_put_canonical,
    .memory = dedupe_memory,
    .tick = dedupe_tick,
    .due = dedupe_due,
    .release = dedupe_release,
};
