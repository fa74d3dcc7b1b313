/* validate: lets through responses that say what their server could say, and can be believed as far
 * as one message tells. What it takes out says why (Dnstap.rejected), where it is sent to another
 * sink. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "../log.h"
#include "../scan/dns_check.h"
#include "../scan/dns_cut.h"
#include "../scan/dns_reason.h"
#include "../scan/dns_type.h"
#include "../scan/rcode.h"
#include "step.h"
#include "validate.h"

enum { FLAG_RESPONSE = 0x8000, CLASS_ANY = 255, CLASS_NONE = 254 };
enum { TYPE_SIG = 24, TYPE_TKEY = 249, TYPE_TSIG = 250, TYPE_IXFR = 251, TYPE_AXFR = 252 };
enum { OPCODE_UPDATE = 5, OPCODE_DSO = 6 };

/* Why a message is taken out. */
enum reason {
    STRAY_OPT,
    BROKEN_RDATA,
    LONG_TTL,
    OTHER_CLASS,
    OUTSIDE,
    NO_HEADER,
    NO_RESPONSE,
    FEW_QUESTIONS,
    BROKEN,
    FEW_RECORDS,
    OCTETS_BEHIND,
    NO_ZONE,
    OTHER_QUESTION,
    BROKEN_QUERY,
    TWO_OPTS,
    BROKEN_OPT,
    BROKEN_DSO,
    REASONS,
};

static const char *const reasons[REASONS] = {
    [STRAY_OPT] = "an OPT record outside of the additional section",
    [BROKEN_RDATA] = "a record whose RDATA is broken",
    [LONG_TTL] = "a TTL that is too long",
    [OTHER_CLASS] = "a record of another class than was asked for",
    [OUTSIDE] = "a record outside of the bailiwick",
    [NO_HEADER] = "no DNS header",
    [NO_RESPONSE] = "a response that is none",
    [FEW_QUESTIONS] = "fewer questions than the header says",
    [BROKEN] = "a message that is broken",
    [FEW_RECORDS] = "fewer records than the header says",
    [OCTETS_BEHIND] = "octets behind the last record",
    [NO_ZONE] = "a query_zone that is no name",
    [OTHER_QUESTION] = "another question than the query's",
    [BROKEN_QUERY] = "a query that is broken",
    [TWO_OPTS] = "more than one OPT record",
    [BROKEN_OPT] = "an OPT record that is broken",
    [BROKEN_DSO] = "a DSO message that is broken",
};

bool is_validate_reason(struct octets text)
{
    for (int i = 0; i < REASONS; i++) {
        if (strlen(reasons[i]) == text.len && memcmp(reasons[i], text.data, text.len) == 0)
            return true;
    }
    return false;
}

struct step {
    uint32_t ttl_max;
    bool bailiwick, bailiwick_answers;
};

static const struct option_spec validate_options[] = {
    {.name = "bailiwick",
     .type = OPTION_CHOICE,
     .choices = "all|answers|no",
     .fallback = "all",
     .meaning = "records that must be inside the zone that was asked (query_zone), where the "
                "message names it"},
    {.name = "ttl-max",
     .type = OPTION_COUNT,
     .fallback = "2147483647",
     .max = UINT32_MAX,
     .meaning = "the longest TTL, in seconds"},
    {0},
};

static struct step *validate_new(const struct options *options, struct error *error)
{
    struct step *step = calloc(1, sizeof *step);
    if (!step) {
        error_set(error, "out of memory");
        return NULL;
    }
    step->ttl_max = (uint32_t)options_number(options, "ttl-max");
    step->bailiwick = !options_is(options, "bailiwick", "no");
    step->bailiwick_answers = options_is(options, "bailiwick", "answers");
    return step;
}

static void validate_free(struct step *step)
{
    free(step);
}

/* RDATA of fixed parts alone may not be empty, nor be shorter than these: the scan lets that pass.
 */
static bool is_whole(const struct dns_record *record)
{
    uint32_t len = 0;
    const char *shape = dns_type_find(record->type)->shape;
    for (; shape && *shape; shape++) {
        switch (*shape) {
        case '1':
        case '2':
        case '4':
        case '6':
        case '8':
            len += (uint32_t)(*shape - '0');
            break;
        case 'a':
            len += 4;
            break;
        case 'q':
            len += 16;
            break;
        case 'n':
        case 's':
            len += 1;
            break;
        default:
            break;
        }
    }
    return record->rdata_len >= len;
}

static bool is_inside(struct dns_name owner, const struct question *zone)
{
    struct question q;
    if (!question_read_name(owner, &q) || q.label_count < zone->label_count)
        return false;
    uint32_t at = q.name_len - zone->name_len;
    bool at_a_label = zone->label_count == 0 || at == q.labels[q.label_count - zone->label_count];
    return at_a_label && memcmp(q.name + at, zone->name, zone->name_len) == 0;
}

/* The pseudo-record of EDNS: its owner is the root, and it is made of whole options. */
static const char *judge_opt(struct octets dns, const struct dns_record *record)
{
    struct reader r = dns_rdata_reader(dns, record);
    struct octets value;
    uint16_t code;
    if (record->section != DNS_ADDITIONAL)
        return reasons[STRAY_OPT];
    while (dns_coded_next(&r, &code, &value))
        ;
    return r.bad || record->owner.message[record->owner.at] != 0 ? reasons[BROKEN_OPT] : NULL;
}

/* In an UPDATE, prerequisites and deletions of whole RRsets have no RDATA. */
static bool may_be_empty(const struct dns_record *record, bool update)
{
    return update && record->rdata_len == 0 &&
           (record->class == CLASS_ANY || record->class == CLASS_NONE);
}

/* ANY and NONE are classes of what is no data: of updates, and of signatures over the message. */
static bool is_of_class(const struct dns_record *record, uint16_t class, bool update)
{
    bool no_data = update || record->type == TYPE_TSIG || record->type == TYPE_TKEY ||
                   record->type == TYPE_SIG;
    return !class || record->class == class || class == CLASS_ANY ||
           (no_data && (record->class == CLASS_ANY || record->class == CLASS_NONE));
}

/* What is wrong with one record; NULL: nothing. */
static const char *judge_record(const struct step *step, struct octets dns,
                                const struct dns_record *record, const struct question *zone,
                                uint16_t class, bool update)
{
    if (record->type == DNS_TYPE_OPT)
        return judge_opt(dns, record);
    if (!dns_rdata_ok(dns, record) || !(is_whole(record) || may_be_empty(record, update)))
        return reasons[BROKEN_RDATA];
    if (record->ttl > step->ttl_max)
        return reasons[LONG_TTL];
    if (!is_of_class(record, class, update))
        return reasons[OTHER_CLASS];
    if (zone && (!step->bailiwick_answers || record->section == DNS_ANSWER) &&
        !is_inside(record->owner, zone))
        return reasons[OUTSIDE];
    return NULL;
}

/* RFC 8490: no records, and TLVs behind the header. */
static const char *judge_dso(struct octets dns, const struct dns_walk *walk)
{
    struct reader r = reader_over(dns.data + walk->at, dns.len - walk->at);
    struct octets value;
    uint16_t type;
    for (int i = 0; i < DNS_SECTIONS; i++) {
        if (walk->header.count[i] > 0)
            return reasons[BROKEN_DSO];
    }
    while (dns_coded_next(&r, &type, &value))
        ;
    return r.bad ? reasons[BROKEN_DSO] : NULL;
}

static const char *judge_records(const struct step *step, struct octets dns,
                                 const struct question *zone, uint16_t class)
{
    struct dns_walk walk;
    struct dns_record record;
    unsigned opts = 0;
    if (!dns_walk_begin(&walk, dns))
        return reasons[NO_HEADER];
    const unsigned opcode = walk.header.flags >> 11 & 15;
    if (opcode == OPCODE_DSO) /* a server may begin, too */
        return judge_dso(dns, &walk);
    if (!(walk.header.flags & FLAG_RESPONSE))
        return reasons[NO_RESPONSE];
    if (walk.header.count[DNS_QUESTION] > 0 && dns.len == walk.at)
        return reasons[FEW_QUESTIONS];
    const bool update = opcode == OPCODE_UPDATE;
    while (dns_walk_record(&walk, &record)) {
        const char *reason = judge_record(step, dns, &record, zone, class, update);
        if (reason)
            return reason;
        if (record.type == DNS_TYPE_OPT && opts++ > 0)
            return reasons[TWO_OPTS];
    }
    if (walk.bad)
        return reasons[BROKEN];
    if (walk.left > 0 || walk.section != DNS_ADDITIONAL)
        return reasons[FEW_RECORDS];
    return walk.at < dns.len ? reasons[OCTETS_BEHIND] : NULL;
}

/* May this query be answered without its question? An error may leave it out, and so do all messages of a
 * transfer but the first; a query for a cookie alone has none. */
static bool may_leave_question_out(struct octets query, struct octets response)
{
    struct dns_walk walk;
    struct dns_question question;
    unsigned rcode;
    if (!dns_walk_begin(&walk, query) || !dns_walk_question(&walk, &question))
        return !walk.bad;
    return question.type == TYPE_AXFR || question.type == TYPE_IXFR ||
           (rcode_read(response, &rcode) && rcode != 0);
}

static bool same_question(struct octets a, struct octets b)
{
    struct dns_walk x, y;
    struct dns_question p, q;
    struct question m, n;
    if (!dns_walk_begin(&x, a) || !dns_walk_begin(&y, b) || x.header.id != y.header.id)
        return false;
    if (y.header.count[DNS_QUESTION] == 0)
        return may_leave_question_out(a, b);
    return dns_walk_question(&x, &p) && dns_walk_question(&y, &q) && p.type == q.type &&
           p.class == q.class && question_read_name(p.name, &m) && question_read_name(q.name, &n) &&
           m.name_len == n.name_len && memcmp(m.name, n.name, m.name_len) == 0;
}

static const char *judge_response(const struct step *step, struct subject *s,
                                  const struct dnstap_view *view)
{
    struct question zone;
    bool has_zone = step->bailiwick && view->query_zone.len > 0;
    const struct dns_name name = {view->query_zone.data, 0, view->query_zone.len};
    if (has_zone && !question_read_name(name, &zone))
        return reasons[NO_ZONE];
    if (dnstap_has(view, DNSTAP_HAS_QUERY_MESSAGE) &&
        !same_question(view->query_message, view->response_message))
        return reasons[OTHER_QUESTION];
    const struct question *q = subject_question(s);
    return judge_records(step, view->response_message, has_zone ? &zone : NULL, q ? q->class : 0);
}

/* A query has to be whole; of what is no DNS message there is nothing to say. */
static enum verdict validate_judge(struct step *step, struct subject *s)
{
    static struct log_limit limit;
    const struct dnstap_view *view = subject_view(s);
    if (!view)
        return VERDICT_MALFORMED;
    if (dnstap_has(view, DNSTAP_HAS_RESPONSE_MESSAGE))
        s->reason = judge_response(step, s, view);
    else if (dnstap_has(view, DNSTAP_HAS_QUERY_MESSAGE) && !dns_message_ok(view->query_message))
        s->reason = reasons[BROKEN_QUERY];
    if (!s->reason)
        return VERDICT_PASS;
    log_limited(&limit, LOG_WARN, "validate took out %s", s->reason);
    return VERDICT_TAKE_OUT;
}

static void validate_say(const struct options *options, FILE *out)
{
    fputs("no messages that are broken, answer another question, or have TTLs that are too long",
          out);
    if (options_is(options, "bailiwick", "all"))
        fputs(", or records outside of the bailiwick", out);
    if (options_is(options, "bailiwick", "answers"))
        fputs(", or answers outside of the bailiwick", out);
}

const struct step_ops validate_step = {
    .name = "validate",
    .summary = "takes out responses that are broken, answer another question, or tell what their "
               "server could not know",
    .options = validate_options,
    .new = validate_new,
    .free = validate_free,
    .judge = validate_judge,
    .say = validate_say,
};
