#include "match.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../encode/names.h"
#include "../scan/dns_type.h"
#include "canonical.h"
#include "entries.h"
#include "name_set.h"
#include "network_set.h"
#include "../scan/rcode.h"

enum { TYPES = 65536, RCODES = 4096, EVENT_BIT = 63 };

struct match {
    unsigned asked; /* bits: which of the criteria below */
    enum match_questions questions;
    uint64_t types, protocols;
    uint8_t rcodes[RCODES / 8];
    uint8_t *qtypes; /* TYPES bits */
    struct set *identities;
    struct network_set *clients, *servers;
    struct name_set *qnames, *zones;
};

const struct option_spec match_options[] = {
    {.name = "type",
     .type = OPTION_STRING,
     .repeats = true,
     .meaning = "message types: CLIENT_RESPONSE, ..., or EVENT for a server's events"},
    {.name = "protocol",
     .type = OPTION_STRING,
     .repeats = true,
     .meaning = "socket protocols: UDP, TCP, DOT, DOH, ..."},
    {.name = "identity",
     .type = OPTION_STRING,
     .repeats = true,
     .meaning = "the servers' identities, each as it is sent"},
    {.name = "client",
     .type = OPTION_STRING,
     .repeats = true,
     .meaning = "who asked: ADDRESS or ADDRESS/BITS"},
    {.name = "server",
     .type = OPTION_STRING,
     .repeats = true,
     .meaning = "who was asked: ADDRESS or ADDRESS/BITS"},
    {.name = "qtype",
     .type = OPTION_STRING,
     .repeats = true,
     .meaning = "types asked for: A, AAAA, TYPE65280, ..."},
    {.name = "qname",
     .type = OPTION_STRING,
     .repeats = true,
     .meaning = "names asked for: www.example.org, or *.example.org for all below it"},
    {.name = "rcode",
     .type = OPTION_STRING,
     .repeats = true,
     .meaning = "how it was answered: NOERROR, NXDOMAIN, a number, ...; a query has none"},
    {.name = "bailiwick",
     .type = OPTION_STRING,
     .repeats = true,
     .meaning = "the zone that was asked (query_zone), as qname"},
    {0},
};

static bool has_bit(const uint8_t *bits, unsigned at)
{
    return bits[at / 8] >> at % 8 & 1;
}

static void set_bit(uint8_t *bits, unsigned at)
{
    bits[at / 8] = (uint8_t)(bits[at / 8] | 1u << at % 8);
}

static bool out_of_memory(struct error *error)
{
    return error_set(error, "out of memory");
}

static bool is_named(const char *name, const char *text)
{
    return name && strcasecmp(name, text) == 0;
}

static bool add_type(struct match *m, const char *text, struct error *error)
{
    if (strcasecmp(text, "EVENT") == 0) {
        m->types |= (uint64_t)1 << EVENT_BIT;
        return true;
    }
    for (int i = 1; i < EVENT_BIT; i++) {
        if (is_named(dnstap_message_name(i), text)) {
            m->types |= (uint64_t)1 << i;
            return true;
        }
    }
    return error_set(error, "'%.200s' is not a message type, such as CLIENT_RESPONSE", text);
}

static bool has_type(const struct match *m, struct subject *s)
{
    const struct dnstap_view *view = subject_view(s);
    if (view->type == DNSTAP_TYPE_EVENT)
        return m->types >> EVENT_BIT & 1;
    return view->message_type > 0 && view->message_type < EVENT_BIT &&
           m->types >> view->message_type & 1;
}

static bool add_protocol(struct match *m, const char *text, struct error *error)
{
    for (int i = 1; i < 64; i++) {
        if (is_named(dnstap_protocol_name(i), text)) {
            m->protocols |= (uint64_t)1 << i;
            return true;
        }
    }
    return error_set(error, "'%.200s' is not a socket protocol, such as UDP, TCP or DOT", text);
}

static bool has_protocol(const struct match *m, struct subject *s)
{
    const struct dnstap_view *view = subject_view(s);
    return view->socket_protocol > 0 && view->socket_protocol < 64 &&
           m->protocols >> view->socket_protocol & 1;
}

static bool add_identity(struct match *m, const char *text, struct error *error)
{
    if (strlen(text) > UINT16_MAX)
        return error_set(error, "'%.60s...' is longer than 65535 octets", text);
    if (!m->identities)
        m->identities = set_new();
    return (m->identities && set_add(m->identities, text, strlen(text))) || out_of_memory(error);
}

static bool has_identity(const struct match *m, struct subject *s)
{
    const struct dnstap_view *view = subject_view(s);
    return dnstap_has(view, DNSTAP_HAS_IDENTITY) &&
           set_has(m->identities, view->identity.data, view->identity.len);
}

static bool add_network(struct network_set **set, const char *text, struct error *error)
{
    bool memory = false;
    if (!*set)
        *set = network_set_new();
    if (*set && network_set_add(*set, text, &memory))
        return true;
    return memory ? error_set(error, "'%.200s' is not ADDRESS or ADDRESS/BITS", text)
                  : out_of_memory(error);
}

static bool add_client(struct match *m, const char *text, struct error *error)
{
    return add_network(&m->clients, text, error);
}

static bool has_client(const struct match *m, struct subject *s)
{
    return network_set_has(m->clients, subject_view(s)->query_address);
}

static bool add_server(struct match *m, const char *text, struct error *error)
{
    return add_network(&m->servers, text, error);
}

static bool has_server(const struct match *m, struct subject *s)
{
    return network_set_has(m->servers, subject_view(s)->response_address);
}

static bool add_qtype(struct match *m, const char *text, struct error *error)
{
    char *end = "";
    if (!m->qtypes)
        m->qtypes = calloc(1, TYPES / 8);
    if (!m->qtypes)
        return out_of_memory(error);
    unsigned long number =
        strncasecmp(text, "TYPE", 4) == 0 && text[4] ? strtoul(text + 4, &end, 10) : TYPES;
    if (number < TYPES && !*end) {
        set_bit(m->qtypes, (unsigned)number);
        return true;
    }
    for (unsigned i = 0; i < TYPES; i++) {
        if (is_named(dns_type_find((uint16_t)i)->name, text)) {
            set_bit(m->qtypes, i);
            return true;
        }
    }
    return error_set(error, "'%.200s' is not a type of record, such as AAAA or TYPE65280", text);
}

static bool questions_fit(const struct match *m, struct subject *s,
                          bool (*fits)(const struct match *m, const struct question *q))
{
    const struct question *q = subject_question(s);
    const bool enough = m->questions == MATCH_EITHER; /* one that fits */
    if (!q || fits(m, q) == enough)
        return q && enough;
    const struct question *other = subject_other_question(s);
    return other ? fits(m, other) : !enough;
}

static bool qtype_fits(const struct match *m, const struct question *q)
{
    return has_bit(m->qtypes, q->type);
}

static bool has_qtype(const struct match *m, struct subject *s)
{
    return questions_fit(m, s, qtype_fits);
}

static bool add_name(struct name_set **set, const char *text, struct error *error)
{
    if (!*set)
        *set = name_set_new();
    return *set ? name_set_add(*set, text, error) : out_of_memory(error);
}

static bool add_qname(struct match *m, const char *text, struct error *error)
{
    return add_name(&m->qnames, text, error);
}

static bool qname_fits(const struct match *m, const struct question *q)
{
    return name_set_has(m->qnames, q);
}

static bool has_qname(const struct match *m, struct subject *s)
{
    return questions_fit(m, s, qname_fits);
}

static bool add_rcode(struct match *m, const char *text, struct error *error)
{
    char *end;
    unsigned long number = strtoul(text, &end, 10);
    if (*text >= '0' && *text <= '9' && !*end && number < RCODES) {
        set_bit(m->rcodes, (unsigned)number);
        return true;
    }
    for (unsigned i = 0; i < RCODES; i++) {
        if (is_named(dns_rcode_name(i), text)) {
            set_bit(m->rcodes, i);
            return true;
        }
    }
    return error_set(error, "'%.200s' is not an rcode, such as NXDOMAIN or 3", text);
}

static bool has_rcode(const struct match *m, struct subject *s)
{
    const struct dnstap_view *view = subject_view(s);
    unsigned rcode;
    return dnstap_has(view, DNSTAP_HAS_RESPONSE_MESSAGE) &&
           rcode_read(view->response_message, &rcode) && has_bit(m->rcodes, rcode);
}

static bool add_zone(struct match *m, const char *text, struct error *error)
{
    return add_name(&m->zones, text, error);
}

static bool has_zone(const struct match *m, struct subject *s)
{
    struct octets zone = subject_view(s)->query_zone;
    struct question q;
    return zone.len > 0 && question_read_name((struct dns_name){zone.data, 0, zone.len}, &q) &&
           name_set_has(m->zones, &q);
}

/* In the order of what a look costs. */
static const struct {
    const char *name;
    bool (*add)(struct match *match, const char *text, struct error *error);
    bool (*has)(const struct match *match, struct subject *subject);
} criteria[] = {
    {"type", add_type, has_type},
    {"protocol", add_protocol, has_protocol},
    {"identity", add_identity, has_identity},
    {"client", add_client, has_client},
    {"server", add_server, has_server},
    {"qtype", add_qtype, has_qtype},
    {"qname", add_qname, has_qname},
    {"rcode", add_rcode, has_rcode},
    {"bailiwick", add_zone, has_zone},
};

enum { CRITERIA = sizeof criteria / sizeof criteria[0] };

struct filling {
    struct match *match;
    unsigned criterion;
};

static bool add_entry(void *arg, const char *text, struct error *error)
{
    const struct filling *filling = arg;
    return criteria[filling->criterion].add(filling->match, text, error);
}

struct match *match_new(const struct options *options, enum match_questions questions,
                        struct error *error)
{
    struct match *match = calloc(1, sizeof *match);
    if (!match) {
        out_of_memory(error);
        return NULL;
    }
    match->questions = questions;
    bool ok = true;
    for (unsigned i = 0; ok && i < CRITERIA; i++) {
        const char *text = options_string(options, criteria[i].name);
        if (!text)
            continue;
        struct filling filling = {match, i};
        match->asked |= 1u << i;
        const struct entry_list list = {
            .name = criteria[i].name,
            .of_names = criteria[i].add == add_qname || criteria[i].add == add_zone,
            .add = add_entry,
            .arg = &filling,
        };
        ok = entries_read(&list, text, error);
    }
    if (ok && !match->asked)
        ok = error_set(error, "asks for nothing; give it type:, qname: or another list");
    if (ok)
        return match;
    match_free(match);
    return NULL;
}

void match_free(struct match *m)
{
    if (!m)
        return;
    free(m->qtypes);
    set_free(m->identities);
    network_set_free(m->clients);
    network_set_free(m->servers);
    name_set_free(m->qnames);
    name_set_free(m->zones);
    free(m);
}

bool match_fits(const struct match *match, struct subject *subject)
{
    for (unsigned i = 0; i < CRITERIA; i++) {
        if (match->asked >> i & 1 && !criteria[i].has(match, subject))
            return false;
    }
    return true;
}

uint64_t match_memory(const struct match *m)
{
    return sizeof *m + (m->qtypes ? TYPES / 8 : 0) +
           (m->identities ? set_memory(m->identities) : 0) +
           (m->clients ? network_set_memory(m->clients) : 0) +
           (m->servers ? network_set_memory(m->servers) : 0) +
           (m->qnames ? name_set_memory(m->qnames) : 0) +
           (m->zones ? name_set_memory(m->zones) : 0);
}

void match_put_canonical(const struct match *m, struct buffer *out)
{
    const uint64_t fixed[] = {m->asked, m->types, m->protocols};
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
        canonical_put_number(fixed[i], out);
    buffer_put(out, m->rcodes, sizeof m->rcodes);
    if (m->qtypes)
        buffer_put(out, m->qtypes, TYPES / 8);
    if (m->identities)
        set_put_sorted(m->identities, out);
    const struct network_set *const networks[] = {m->clients, m->servers};
    const struct name_set *const names[] = {m->qnames, m->zones};
    for (int i = 0; i < 2; i++) {
        if (networks[i])
            network_set_put_sorted(networks[i], out);
        if (names[i])
            name_set_put_sorted(names[i], out);
    }
}
