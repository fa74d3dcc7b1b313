#include "dig.h"

#include "../scan/dns_check.h"
#include "../scan/dns_type.h"
#include "dig_edns.h"
#include "names.h"
#include "put.h"
#include "rdata.h"

enum { TYPE_NULL = 10, TYPE_TKEY = 249, TYPE_TSIG = 250 };

/* What the message really holds; the counts of the header are upper limits. */
struct census {
    unsigned count[DNS_SECTIONS];
    bool edns;
    struct dns_record opt; /* the last one in the additional section */
};

static bool take_census(struct octets message, struct census *census)
{
    struct dns_walk walk;
    struct dns_question question;
    struct dns_record record;

    *census = (struct census){0};
    if (!dns_walk_begin(&walk, message))
        return false;
    while (dns_walk_question(&walk, &question))
        census->count[DNS_QUESTION]++;
    while (dns_walk_record(&walk, &record)) {
        if (!dns_rdata_ok(message, &record))
            return false;
        census->count[record.section]++;
        if (record.section == DNS_ADDITIONAL && record.type == DNS_TYPE_OPT) {
            census->edns = true;
            census->opt = record;
        }
    }
    return !walk.bad;
}

static void put_header(struct dns_header header, const struct census *census, struct buffer *out)
{
    static const char *const counts[] = {
        " QUERY: ", ", ANSWER: ", ", AUTHORITY: ", ", ADDITIONAL: "};
    unsigned rcode = header.flags & 15u;
    if (census->edns)
        rcode |= census->opt.ttl >> 24 << 4;
    const char *opcode = dns_opcode_name(header.flags >> 11 & 15);
    const char *status = rcode == 16 ? "BADSIG" : dns_rcode_name(rcode);

    buffer_put_string(out, ";; opcode: ");
    buffer_put_string(out, opcode && (header.flags >> 11 & 15) < 6 ? opcode : "");
    buffer_put_string(out, ", status: ");
    buffer_put_string(out, status && rcode < 24 && rcode != 11 ? status : "");
    buffer_put_string(out, ", id: ");
    put_unsigned(header.id, out);
    buffer_put_string(out, "\n;; flags:");
    for (const struct dns_flag *flag = dns_flags; flag->name; flag++) {
        if (header.flags & flag->bit) {
            buffer_put_char(out, ' ');
            buffer_put_string(out, flag->name);
        }
    }
    buffer_put_char(out, ';');
    for (int i = 0; i < DNS_SECTIONS; i++) {
        buffer_put_string(out, counts[i]);
        put_unsigned(census->count[i], out);
    }
    buffer_put_char(out, '\n');
}

static void put_questions(struct dns_walk *walk, struct buffer *out)
{
    struct dns_question question;
    while (dns_walk_question(walk, &question)) {
        buffer_put_char(out, ';');
        dns_name_put(question.name, out);
        buffer_put_char(out, '\t');
        dns_class_put(question.class, out);
        buffer_put_string(out, "\t ");
        dns_type_put(question.type, out);
        buffer_put_char(out, '\n');
    }
}

static const char *comment_of(uint16_t type)
{
    if (type == TYPE_TSIG)
        return "\n;; TSIG PSEUDOSECTION:\n; ";
    return type == TYPE_NULL || type == TYPE_TKEY || type == DNS_TYPE_OPT ? ";" : "";
}

static void put_record(struct octets message, const struct dns_record *record, struct buffer *out)
{
    bool known = rdata_known(record->type);
    buffer_put_string(out, comment_of(record->type));
    dns_name_put(record->owner, out);
    buffer_put_char(out, '\t');
    put_unsigned(record->ttl, out);
    buffer_put_char(out, '\t');
    if (known) {
        dns_class_put(record->class, out);
        buffer_put_char(out, '\t');
        dns_type_put(record->type, out);
    } else {
        buffer_put_string(out, "CLASS");
        put_unsigned(record->class, out);
        buffer_put_string(out, "\tTYPE");
        put_unsigned(record->type, out);
    }
    buffer_put_char(out, '\t');
    if (record->type == TYPE_TSIG || record->type == TYPE_TKEY)
        buffer_put_char(out, ' ');
    rdata_put(message, record, RDATA_GO, out);
    buffer_put_char(out, '\n');
}

static void put_title(enum dns_section section, const struct census *census, struct buffer *out)
{
    static const char *const titles[] = {"QUESTION", "ANSWER", "AUTHORITY", "ADDITIONAL"};
    unsigned hidden = section == DNS_ADDITIONAL && census->edns ? 1 : 0;
    if (census->count[section] <= hidden)
        return;
    buffer_put_string(out, "\n;; ");
    buffer_put_string(out, titles[section]);
    buffer_put_string(out, " SECTION:\n");
}

static void put_records(struct dns_walk *walk, const struct census *census, struct buffer *out)
{
    struct dns_record record;
    enum dns_section begun = DNS_QUESTION;

    while (dns_walk_record(walk, &record)) {
        while (begun < record.section)
            put_title(++begun, census, out);
        if (record.section == DNS_ADDITIONAL && record.type == DNS_TYPE_OPT)
            continue;
        if (record.type == DNS_TYPE_OPT)
            dig_edns_put(walk->message, &record, out);
        else
            put_record(walk->message, &record, out);
    }
}

bool dig_put(struct octets message, struct buffer *out)
{
    struct census census;
    struct dns_walk walk;

    if (!take_census(message, &census) || !dns_walk_begin(&walk, message))
        return false;
    put_header(walk.header, &census, out);
    if (census.edns)
        dig_edns_put(message, &census.opt, out);
    put_title(DNS_QUESTION, &census, out);
    put_questions(&walk, out);
    put_records(&walk, &census, out);
    return true;
}
