/* validate: lets through responses that say what their server could say, and can be believed as far
 * as one message tells. What it takes out says why (Dnstap.rejected), where it is sent to another
 * sink. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "../log.h"
#include "../scan/dns_check.h"
#include "../scan/dns_reason.h"
#include "../scan/dns_type.h"
#include "step.h"

enum { FLAG_RESPONSE = 0x8000, CLASS_ANY = 255, CLASS_NONE = 254 };

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

/* What is wrong with one record; NULL: nothing. */
static const char *judge_record(const struct step *step, struct octets dns,
                                const struct dns_record *record, const struct question *zone,
                                uint16_t class)
{
    if (record->type == DNS_TYPE_OPT)
        return record->section == DNS_ADDITIONAL
                   ? NULL
                   : "an OPT record outside of the additional section";
    if (!dns_rdata_ok(dns, record) || !is_whole(record))
        return "a record whose RDATA is broken";
    if (record->ttl > step->ttl_max)
        return "a TTL that is too long";
    if (class && record->class != class && class != CLASS_ANY && record->class != CLASS_ANY &&
        record->class != CLASS_NONE)
        return "a record of another class than was asked for";
    if (zone && (!step->bailiwick_answers || record->section == DNS_ANSWER) &&
        !is_inside(record->owner, zone))
        return "a record outside of the bailiwick";
    return NULL;
}

static const char *judge_records(const struct step *step, struct octets dns,
                                 const struct question *zone, uint16_t class)
{
    struct dns_walk walk;
    struct dns_record record;
    if (!dns_walk_begin(&walk, dns))
        return "no DNS header";
    if (!(walk.header.flags & FLAG_RESPONSE))
        return "a response that is none";
    if (walk.header.count[DNS_QUESTION] > 0 && dns.len == walk.at)
        return "fewer questions than the header says";
    while (dns_walk_record(&walk, &record)) {
        const char *reason = judge_record(step, dns, &record, zone, class);
        if (reason)
            return reason;
    }
    if (walk.bad)
        return "a message that is broken";
    if (walk.left > 0 || walk.section != DNS_ADDITIONAL)
        return "fewer records than the header says";
    return walk.at < dns.len ? "octets behind the last record" : NULL;
}

static bool same_question(struct octets a, struct octets b)
{
    struct dns_walk x, y;
    struct dns_question p, q;
    struct question m, n;
    if (!dns_walk_begin(&x, a) || !dns_walk_begin(&y, b) || x.header.id != y.header.id)
        return false;
    if (y.header.count[DNS_QUESTION] == 0) /* an error may leave it out */
        return (y.header.flags & 15) != 0;
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
        return "a query_zone that is no name";
    if (dnstap_has(view, DNSTAP_HAS_QUERY_MESSAGE) &&
        !same_question(view->query_message, view->response_message))
        return "another question than the query's";
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
        s->reason = "a query that is broken";
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
