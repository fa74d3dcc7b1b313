#include "kafka_record.h"

#include <string.h>

#include "scan/dnstap.h"
#include "scan/protobuf.h"

enum { REGISTRY_MAGIC = 0, REGISTRY_ID = 4, INDEX_DEPTH = 16 };

enum record_key record_key_of(const char *option)
{
    static const char *const names[] = {"none", "identity", "client", "qname"};
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i], option) == 0)
            return (enum record_key)i;
    }
    return RECORD_KEY_NONE;
}

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

/* The first question's name, uncompressed, lower-cased, with the root's octet. False: there is none. */
static bool key_by_qname(struct octets dns, struct record_facts *facts)
{
    struct dns_walk walk;
    struct dns_question question;
    struct octets label;
    size_t len = 0;
    if (!dns_walk_begin(&walk, dns) || !dns_walk_question(&walk, &question))
        return false;
    struct dns_labels labels = dns_labels_of(question.name);
    while (dns_labels_next(&labels, &label)) {
        facts->name[len++] = (uint8_t)label.len;
        for (uint32_t i = 0; i < label.len; i++)
            facts->name[len++] = lower(label.data[i]);
    }
    if (!labels.done)
        return false;
    facts->name[len++] = 0;
    facts->key = facts->name;
    facts->key_len = len;
    return true;
}

static void key_by(enum record_key kind, const struct dnstap_view *view, struct record_facts *facts)
{
    switch (kind) {
    case RECORD_KEY_NONE:
        break;
    case RECORD_KEY_IDENTITY:
        facts->key = view->identity.data;
        facts->key_len = view->identity.len;
        break;
    case RECORD_KEY_CLIENT:
        facts->key = view->query_address.data;
        facts->key_len = view->query_address.len;
        break;
    case RECORD_KEY_QNAME:
        if (!key_by_qname(view->response_message, facts)) /* an error may leave its question out */
            key_by_qname(view->query_message, facts);
        break;
    }
}

static int64_t milliseconds(uint64_t sec, uint32_t nsec)
{
    /* what does not fit is no time that a broker would take */
    return sec < INT64_MAX / 1000 - 1 ? (int64_t)(sec * 1000 + nsec / 1000000) : 0;
}

bool record_facts(struct frame message, enum record_key kind, struct record_facts *facts)
{
    struct dnstap_view view;
    facts->time_ms = 0;
    facts->key = NULL;
    facts->key_len = 0;
    if (!dnstap_scan(message, &view))
        return false;
    if (dnstap_has(&view, DNSTAP_HAS_RESPONSE_TIME_SEC))
        facts->time_ms = milliseconds(view.response_time_sec, view.response_time_nsec);
    else if (dnstap_has(&view, DNSTAP_HAS_QUERY_TIME_SEC))
        facts->time_ms = milliseconds(view.query_time_sec, view.query_time_nsec);
    key_by(kind, &view, facts);
    return true;
}

bool record_unframe(struct frame *value)
{
    if (value->len == 0 || value->data[0] != REGISTRY_MAGIC)
        return true;
    struct reader r = reader_over(value->data, value->len);
    reader_take(&r, 1 + REGISTRY_ID);
    /* the index is a list of zigzag numbers behind their count; the list [0] is the one octet 0 */
    uint64_t depth = protobuf_varint(&r) / 2;
    for (uint64_t i = 0; i < depth && depth <= INDEX_DEPTH; i++)
        protobuf_varint(&r);
    if (r.bad || depth > INDEX_DEPTH)
        return false;
    value->len = (uint32_t)reader_left(&r);
    value->data = r.at;
    return true;
}
