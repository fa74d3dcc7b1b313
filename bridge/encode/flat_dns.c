#include "../json_string.h"
#include "../scan/dns_check.h"
#include "../scan/dns_cut.h"
#include "../scan/dns_reason.h"
#include "../scan/dns_type.h"
#include "flat.h"
#include "names.h"
#include "put.h"
#include "rdata.h"

enum { TYPE_A = 1, TYPE_NS = 2, TYPE_CNAME = 5, TYPE_AAAA = 28 };

/* Where names of this message were written already: most owners are pointers to one. By where the labels
 * begin; the place in the output stays good while the message is written. */
enum { PLACES = 8 };
struct places {
    uint32_t at[PLACES]; /* in the message; 0: free, and the rest is not set */
    uint32_t len[PLACES]; /* with the quotes */
    size_t from[PLACES]; /* in the output */
};

static uint32_t labels_at(struct dns_name name)
{
    uint32_t at = name.at;
    if (at + 1 < name.limit && name.message[at] >= 0xc0)
        at = (name.message[at] & 0x3fu) << 8 | name.message[at + 1];
    return at;
}

static void put_name(struct places *places, struct dns_name name, struct buffer *out)
{
    uint32_t at = labels_at(name);
    uint32_t slot = at % PLACES;

    if (places->at[slot] == at && at > 0 && buffer_room(out, places->len[slot])) {
        memcpy(out->data + out->len, out->data + places->from[slot], places->len[slot]);
        out->len += places->len[slot];
        return;
    }
    size_t from = out->len;
    flat_name_put(name, out);
    places->at[slot] = at;
    places->from[slot] = from;
    places->len[slot] = (uint32_t)(out->len - from);
}

static void put_flags(uint16_t flags, struct buffer *out)
{
    FLAT_PUT(out, ",\"flags\":[");
    size_t before = out->len;
    for (const struct dns_flag *flag = dns_flags; flag->name; flag++) {
        if (!(flags & flag->bit))
            continue;
        char text[5] = {',', '"', flag->name[0], flag->name[1], '"'};
        size_t comma = out->len == before;
        if (flag->name[1]) {
            buffer_put(out, text + comma, sizeof text - comma);
        } else {
            text[3] = '"';
            buffer_put(out, text + comma, sizeof text - 1 - comma);
        }
    }
    buffer_put_char(out, ']');
}

static void put_opcode(uint16_t flags, struct buffer *out)
{
    unsigned opcode = flags >> 11 & 15;
    const char *name = dns_opcode_name(opcode);

    FLAT_PUT(out, ",\"opcode\":\"");
    buffer_put_string(out, name ? name : "OPCODE");
    if (!name)
        put_unsigned(opcode, out);
    buffer_put_char(out, '"');
}

static void put_header(struct flat *flat, struct dns_header header, struct buffer *out)
{
    uint16_t flags = header.flags & 0xfff0; /* without the rcode */
    struct kept *kept = &flat->flags[(flags >> 4 ^ flags >> 10) % KEPT_SLOTS];

    FLAT_PUT(out, ",\"id\":");
    put_unsigned(header.id, out);
    if (kept_put(kept, flags, out))
        return;
    size_t before = out->len;
    put_opcode(flags, out);
    put_flags(flags, out);
    kept_keep(kept, flags, out, before);
}

static void put_rcode(struct flat *flat, unsigned rcode, struct buffer *out)
{
    const char *name = dns_rcode_name(rcode);
    struct kept *kept = &flat->rcodes[rcode % KEPT_SLOTS];

    if (kept_put(kept, rcode, out))
        return;
    size_t before = out->len;
    FLAT_PUT(out, ",\"rcode\":\"");
    buffer_put_string(out, name ? name : "RCODE");
    if (!name)
        put_unsigned(rcode, out);
    buffer_put_char(out, '"');
    kept_keep(kept, rcode, out, before);
}

static void put_question(struct flat *flat, struct places *places, const struct dns_question *question,
                         struct buffer *out)
{
    uint32_t key;
    struct kept *kept = kept_of(flat->questions, question->class, question->type, &key);

    FLAT_PUT(out, ",\"qname\":");
    put_name(places, question->name, out);
    if (kept_put(kept, key, out))
        return;
    size_t before = out->len;
    FLAT_PUT(out, ",\"qclass\":");
    flat_class_put(question->class, out);
    FLAT_PUT(out, ",\"qtype\":");
    flat_type_put(question->type, out);
    kept_keep(kept, key, out, before);
}

/* From the class to where the TTL stands. */
static void put_kind(struct flat *flat, const struct dns_record *record, struct buffer *out)
{
    uint32_t key;
    struct kept *kept = kept_of(flat->records, record->class, record->type, &key);

    if (kept_put(kept, key, out))
        return;
    size_t before = out->len;
    FLAT_PUT(out, ",\"class\":");
    flat_class_put(record->class, out);
    FLAT_PUT(out, ",\"type\":");
    flat_type_put(record->type, out);
    FLAT_PUT(out, ",\"ttl\":");
    kept_keep(kept, key, out, before);
}

/* The types that most records are of go without a look at the table. */
static void put_data(struct octets message, const struct dns_record *record, struct places *places,
                     struct buffer *out)
{
    struct octets rdata = {message.data + record->rdata, record->rdata_len};
    bool plain = rdata.len > 0 && record->class <= 4;

    if (plain && (record->type == TYPE_NS || record->type == TYPE_CNAME)) {
        put_name(places, (struct dns_name){message.data, record->rdata, record->rdata + rdata.len}, out);
        return;
    }
    if (plain && (record->type == TYPE_A || record->type == TYPE_AAAA)) {
        flat_address_put(rdata, out);
        return;
    }
    buffer_put_char(out, '"');
    size_t from = out->len;
    if (plain)
        rdata_put(message, record, RDATA_PLAIN, out);
    else
        rdata_put_unknown(rdata, out);
    json_string_seal(out, from);
}

/* RDATA that breaks the rules of its type, as RFC 3597 writes what is unknown. */
static void put_broken_data(struct octets rdata, struct buffer *out)
{
    buffer_put_char(out, '"');
    size_t from = out->len;
    rdata_put_unknown(rdata, out);
    json_string_seal(out, from);
}

static void put_record(struct flat *flat, struct octets message, const struct dns_record *record,
                       bool sound, struct places *places, struct buffer *out)
{
    FLAT_PUT(out, "{\"name\":");
    put_name(places, record->owner, out);
    put_kind(flat, record, out);
    put_unsigned(record->ttl, out);
    FLAT_PUT(out, ",\"data\":");
    if (sound)
        put_data(message, record, places, out);
    else
        put_broken_data((struct octets){message.data + record->rdata, record->rdata_len}, out);
    buffer_put_char(out, '}');
}

/* One list after the other; a list that would be empty is left out. */
struct lists {
    enum dns_section open; /* DNS_QUESTION: none */
    bool edns, edns_sound;
    struct dns_record opt;
    struct places places;
};

static void put_in_list(struct flat *flat, struct octets message, const struct dns_record *record,
                        bool sound, struct lists *lists, struct buffer *out)
{
    static const char *const keys[] = {"", ",\"answers\":[", ",\"authorities\":[",
                                       ",\"additionals\":["};
    if (lists->open == record->section) {
        buffer_put_char(out, ',');
    } else {
        if (lists->open != DNS_QUESTION)
            buffer_put_char(out, ']');
        buffer_put_string(out, keys[record->section]);
        lists->open = record->section;
    }
    put_record(flat, message, record, sound, &lists->places, out);
}

/* False: something is broken; the rest is there all the same, as far as the message can be walked. */
static bool put_records(struct flat *flat, struct dns_walk *walk, struct lists *lists,
                        struct buffer *out)
{
    struct dns_record record;
    bool all_sound = true;

    while (dns_walk_record(walk, &record)) {
        const bool sound = dns_rdata_ok(walk->message, &record);
        all_sound = all_sound && sound;
        if (record.section == DNS_ADDITIONAL && record.type == DNS_TYPE_OPT) {
            lists->edns = true;
            lists->edns_sound = sound;
            lists->opt = record;
        } else if (!flat->question_only) {
            put_in_list(flat, walk->message, &record, sound, lists, out);
        }
    }
    if (lists->open != DNS_QUESTION)
        buffer_put_char(out, ']');
    return all_sound && !walk->bad;
}

/* What can be read of it. False: not all of it. */
static bool put_message(struct flat *flat, struct octets dns, struct buffer *out)
{
    struct dns_walk walk;
    struct dns_question question;
    struct lists lists;

    if (!dns_walk_begin(&walk, dns))
        return false;
    lists.open = DNS_QUESTION;
    lists.edns = false;
    memset(lists.places.at, 0, sizeof lists.places.at);
    put_header(flat, walk.header, out);
    if (dns_walk_question(&walk, &question))
        put_question(flat, &lists.places, &question, out);
    const bool sound = put_records(flat, &walk, &lists, out);
    put_rcode(flat, (walk.header.flags & 15u) | (lists.edns ? lists.opt.ttl >> 24 << 4 : 0), out);
    if (lists.edns)
        flat_edns_put(dns, &lists.opt, lists.edns_sound, out);
    return sound;
}

void flat_dns_put(struct flat *flat, struct octets dns, struct buffer *out)
{
    if (!put_message(flat, dns, out)) {
        FLAT_PUT(out, ",\"parse_error\":\"");
        buffer_put_string(out, dns_reason(dns));
        buffer_put_char(out, '"');
    }
    FLAT_PUT(out, ",\"size\":");
    put_unsigned(dns.len, out);
}
