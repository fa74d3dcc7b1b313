#include "registered.h"

#include <libpsl.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "../scan/dns_check.h"
#include "../scan/dns_type.h"
#include "../scan/rdata_rewrite.h"

enum {
    HEADER = 12,
    COUNTS = 4,      /* where they stand in it */
    LABELS_SEEN = 8, /* no rule of the list has as many */
    FOUND = 1024,
    MESSAGE_MAX = 65535,
};

/* Names come again and again, in one message and in the next. */
struct found {
    uint16_t name_len; /* 0: free */
    uint16_t at;
    uint8_t name[DNS_NAME_WIRE_MAX];
};

struct registered {
    psl_ctx_t *list;
    struct found found[FOUND];
};

struct registered *registered_new(struct error *error)
{
    struct registered *r = calloc(1, sizeof *r);
    if (!r) {
        error_set(error, "out of memory");
        return NULL;
    }
    r->list = psl_latest(NULL); /* the system's, or the one that the library was built with */
    if (r->list)
        return r;
    error_set(error, "there is no Public Suffix List: install the package publicsuffix");
    free(r);
    return NULL;
}

void registered_free(struct registered *r)
{
    if (!r)
        return;
    psl_free(r->list);
    free(r);
}

/* The last labels as text. What is no letter, digit, hyphen or underline is in no rule of the list:
 * any one stands for it. */
static const char *text_of(const struct question *q, unsigned first, char text[DNS_NAME_WIRE_MAX])
{
    size_t len = 0;
    for (unsigned i = first; i < q->label_count; i++) {
        const uint8_t *label = q->name + q->labels[i];
        for (unsigned k = 1; k <= label[0]; k++) {
            uint8_t c = label[k];
            bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
            text[len++] = plain ? (char)c : '_';
        }
        text[len++] = '.';
    }
    text[len ? len - 1 : 0] = '\0';
    return text;
}

static uint32_t look_up(const struct registered *r, const struct question *q)
{
    char text[DNS_NAME_WIRE_MAX + 1];
    unsigned first = q->label_count > LABELS_SEEN ? q->label_count - LABELS_SEEN : 0;
    if (q->label_count < 2)
        return 0;
    const char *domain = psl_registrable_domain(r->list, text_of(q, first, text));
    if (!domain)
        return 0;
    unsigned labels = 1;
    for (; *domain; domain++)
        labels += *domain == '.';
    return labels < q->label_count ? q->labels[q->label_count - labels] : 0;
}

uint32_t registered_at(struct registered *r, const struct question *q)
{
    struct found *found = &r->found[XXH3_64bits(q->name, q->name_len) % FOUND];
    if (found->name_len == q->name_len && memcmp(found->name, q->name, q->name_len) == 0)
        return found->at;
    found->name_len = (uint16_t)q->name_len;
    found->at = (uint16_t)look_up(r, q);
    memcpy(found->name, q->name, q->name_len);
    return found->at;
}

bool registered_put_name(struct registered *r, struct dns_name name, struct buffer *out)
{
    struct question q;
    if (!question_read_name(name, &q))
        return false;
    uint32_t at = registered_at(r, &q);
    buffer_put(out, q.name + at, q.name_len - at);
    return true;
}

static void put16(struct buffer *out, unsigned value)
{
    const uint8_t octets[2] = {(uint8_t)(value >> 8), (uint8_t)value};
    buffer_put(out, octets, 2);
}

static bool put_cut_name(void *arg, struct dns_name name, struct buffer *out)
{
    return registered_put_name(arg, name, out);
}

/* One record, or nothing. False: the message is broken. */
static bool put_record(struct registered *r, struct octets message, const struct dns_record *record,
                       struct buffer *out, bool *there)
{
    size_t before = out->len;
    *there = false;
    if (record->type != DNS_TYPE_OPT && !dns_rdata_ok(message, record))
        return false;
    if (!registered_put_name(r, record->owner, out))
        return false;
    put16(out, record->type);
    put16(out, record->class);
    put16(out, record->ttl >> 16);
    put16(out, record->ttl & 0xffff);
    put16(out, 0);
    size_t start = out->len;
    bool whole =
        rdata_rewrite(message, record, put_cut_name, r, out) && out->len - start <= UINT16_MAX;
    if (!whole || out->failed) {
        out->len = before;
        return true;
    }
    out->data[start - 2] = (uint8_t)((out->len - start) >> 8);
    out->data[start - 1] = (uint8_t)(out->len - start);
    *there = true;
    return true;
}

static bool cut(struct registered *r, struct octets message, struct buffer *out)
{
    struct dns_walk walk;
    struct dns_question question;
    struct dns_record record;
    uint16_t counts[DNS_SECTIONS] = {0};
    size_t start = out->len;
    if (!dns_walk_begin(&walk, message))
        return false;
    buffer_put(out, message.data, HEADER);
    while (dns_walk_question(&walk, &question)) {
        if (!registered_put_name(r, question.name, out))
            return false;
        put16(out, question.type);
        put16(out, question.class);
        counts[DNS_QUESTION]++;
    }
    while (dns_walk_record(&walk, &record)) {
        bool there;
        if (!put_record(r, message, &record, out, &there))
            return false;
        counts[record.section] = (uint16_t)(counts[record.section] + there);
    }
    if (walk.bad || out->failed || out->len - start > MESSAGE_MAX)
        return false;
    for (int i = 0; i < DNS_SECTIONS; i++) {
        out->data[start + COUNTS + 2 * (size_t)i] = (uint8_t)(counts[i] >> 8);
        out->data[start + COUNTS + 2 * (size_t)i + 1] = (uint8_t)counts[i];
    }
    return true;
}

bool registered_cut(struct registered *r, struct octets message, struct buffer *out)
{
    size_t before = out->len;
    if (cut(r, message, out))
        return true;
    out->len = before;
    return false;
}
