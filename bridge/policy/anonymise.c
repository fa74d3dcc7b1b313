/* anonymise: takes out of messages what says who asked. What is left is a valid dnstap message, and
 * a valid DNS message in it; a DNS message that cannot be read, and so not be judged, is left out,
 * and fields that the schema does not know are, too. */
#include <stdlib.h>
#include <string.h>

#include "address_rule.h"
#include "edns.h"
#include "own_name.h"
#include "rebuild.h"
#include "registered.h"
#include "step.h"
#include "validate.h"

enum { MATCH_CLIENT_IP = 2, WHOLE_IPV4 = 32, WHOLE_IPV6 = 128, OPCODE_UPDATE = 5 };

/* What is being made: DNS messages, names, the event, and the whole. */
enum { QUERY, RESPONSE, BETWEEN, ZONE, NAME, EVENT, MESSAGE, BUFFERS };

struct step {
    struct address_rule client, server;
    struct edns_rule edns;
    struct registered *names; /* NULL: they stay whole */
    bool drop_ports, drop_identity, drop_version, drop_extra, drop_updates;
    struct buffer made[BUFFERS];
};

#define KEEP_OR_REMOVE .type = OPTION_CHOICE, .choices = "keep|remove"

static const struct option_spec anonymise_options[] = {
    {.name = "client",
     .type = OPTION_CHOICE,
     .choices = ADDRESS_MODES,
     .fallback = "keep",
     .meaning = "who asked: cut to a prefix; keyed, with prefixes kept (Crypto-PAn) or without; or "
                "left out"},
    {.name = "server",
     .type = OPTION_CHOICE,
     .choices = ADDRESS_MODES,
     .fallback = "keep",
     .meaning = "who was asked: likewise"},
    {.name = "ipv4",
     .type = OPTION_COUNT,
     .fallback = "24",
     .max = WHOLE_IPV4,
     .meaning = "bits that prefix keeps of an IPv4 address"},
    {.name = "ipv6",
     .type = OPTION_COUNT,
     .fallback = "48",
     .max = WHOLE_IPV6,
     .meaning = "and of an IPv6 address"},
    {.name = "key",
     .type = OPTION_STRING,
     .secret = true,
     .meaning = "for crypto-pan and pseudonym: file:PATH or env:NAME of 64 hexadecimal digits"},
    {.name = "ports", KEEP_OR_REMOVE, .fallback = "keep", .meaning = "of both"},
    {.name = "identity", KEEP_OR_REMOVE, .fallback = "keep", .meaning = "the server's name"},
    {.name = "version", KEEP_OR_REMOVE, .fallback = "keep", .meaning = "the server's software"},
    {.name = "extra",
     KEEP_OR_REMOVE,
     .meaning = "what the operator let travel along (default: as client)"},
    {.name = "subnet",
     .type = OPTION_CHOICE,
     .choices = "keep|prefix|remove",
     .meaning = "EDNS client subnet: prefix cuts it by ipv4 and ipv6 (default: remove, where "
                "client is not kept)"},
    {.name = "cookies", KEEP_OR_REMOVE, .meaning = "EDNS cookies (default: as client)"},
    {.name = "padding",
     KEEP_OR_REMOVE,
     .meaning = "EDNS padding, which can hold anything (default: as client)"},
    {.name = "options",
     KEEP_OR_REMOVE,
     .meaning = "other EDNS options that may say who asked: all but NSID, errors and the like "
                "(default: as client)"},
    {.name = "signatures",
     KEEP_OR_REMOVE,
     .meaning = "TSIG and SIG(0) records, whose key names tell who signed; remove also leaves out "
                "messages of a TKEY exchange (default: as client)"},
    {.name = "updates",
     KEEP_OR_REMOVE,
     .meaning = "DNS UPDATE messages, in which clients give their own names and addresses "
                "(default: as client)"},
    {.name = "qname",
     .type = OPTION_CHOICE,
     .choices = "keep|registered",
     .fallback = "keep",
     .meaning =
         "registered cuts every name to its registered domain: www.example.co.uk to example.co.uk"},
    {0},
};

/* Is it to be kept? What nobody decided goes where the client goes. */
static bool keeps(const struct step *step, const struct options *options, const char *name)
{
    const char *text = options_string(options, name);
    return text ? strcmp(text, "keep") == 0 : step->client.mode == ADDRESS_KEEP;
}

static void read_rules(struct step *step, const struct options *options)
{
    step->edns = (struct edns_rule){
        .all = keeps(step, options, "options"),
        .cookies = keeps(step, options, "cookies"),
        .padding = keeps(step, options, "padding"),
        .signatures = keeps(step, options, "signatures"),
        .subnet = options_is(options, "subnet", "prefix") ? SUBNET_PREFIX
                  : keeps(step, options, "subnet")        ? SUBNET_KEEP
                                                          : SUBNET_REMOVE,
        .ipv4 = (unsigned)options_number(options, "ipv4"),
        .ipv6 = (unsigned)options_number(options, "ipv6"),
    };
    step->drop_ports = !keeps(step, options, "ports");
    step->drop_identity = !keeps(step, options, "identity");
    step->drop_version = !keeps(step, options, "version");
    step->drop_extra = !keeps(step, options, "extra");
    step->drop_updates = !keeps(step, options, "updates");
}

static void anonymise_free(struct step *step)
{
    address_rule_free(&step->client);
    address_rule_free(&step->server);
    registered_free(step->names);
    for (size_t i = 0; i < BUFFERS; i++)
        buffer_free(&step->made[i]);
    free(step);
}

static bool does_something(const struct step *step)
{
    return step->client.mode != ADDRESS_KEEP || step->server.mode != ADDRESS_KEEP ||
           !edns_rule_is_idle(&step->edns) || step->names || step->drop_ports ||
           step->drop_identity || step->drop_version || step->drop_extra || step->drop_updates;
}

static struct step *anonymise_new(const struct options *options, struct error *error)
{
    struct step *step = calloc(1, sizeof *step);
    if (!step) {
        error_set(error, "out of memory");
        return NULL;
    }
    bool ok = address_rule_init(&step->client, options, "client", error) &&
              address_rule_init(&step->server, options, "server", error);
    read_rules(step, options);
    if (ok && options_is(options, "qname", "registered"))
        ok = (step->names = registered_new(error)) != NULL;
    if (ok && !does_something(step))
        ok =
            error_set(error, "keeps everything; give it client: prefix, or another of its options");
    if (ok)
        return step;
    anonymise_free(step);
    return NULL;
}

static bool is_update(struct octets dns)
{
    return dns.len > 2 && (dns.data[2] >> 3 & 15) == OPCODE_UPDATE;
}

/* What becomes of a DNS message: it stands in `out`. False: it is left out. */
static bool change_dns(struct step *step, struct octets *dns, bool query, struct buffer *out)
{
    struct octets in = *dns;
    buffer_clear(out);
    if (step->drop_updates && is_update(in))
        return false;
    if (step->names) {
        struct buffer *cut = edns_rule_is_idle(&step->edns) ? out : &step->made[BETWEEN];
        buffer_clear(cut);
        if (!registered_cut(step->names, in, cut) || cut->failed)
            return false;
        in = (struct octets){.data = cut->data, .len = (uint32_t)cut->len};
    }
    if (!edns_rule_is_idle(&step->edns)) {
        if (!edns_redact(&step->edns, in, query, out) || out->failed)
            return false;
        in = (struct octets){.data = out->data, .len = (uint32_t)out->len};
    }
    *dns = in;
    return true;
}

static void forget(struct dnstap_view *view, enum dnstap_field field)
{
    view->has &= ~(uint32_t)field;
}

/* Does a rule name the client? Not every server says by what it matched; the name of the rule does
 * (RPZ's rpz-client-ip), in whatever form. */
static bool tells_client(const struct dnstap_view *view)
{
    static const char label[] = "rpz-client-ip";
    const struct octets rule = view->policy_rule;
    if (!dnstap_has(view, DNSTAP_HAS_POLICY_MATCH) || view->policy_match == MATCH_CLIENT_IP)
        return true;
    for (uint32_t i = 0; i + sizeof label - 1 <= rule.len; i++) {
        if (strncasecmp((const char *)rule.data + i, label, sizeof label - 1) == 0)
            return true;
    }
    return false;
}

/* What is written anew has IPv4 addresses in four octets, and says so. */
static void change_family(struct dnstap_view *view)
{
    enum { INET = 1, INET6 = 2 };
    bool four = view->query_address.len == 4 || view->response_address.len == 4;
    bool six = view->query_address.len == 16 || view->response_address.len == 16;
    if (view->socket_family == INET6 && four && !six)
        view->socket_family = INET;
}

static void change_addresses(struct step *step, struct dnstap_view *view)
{
    change_family(view);
    if (dnstap_has(view, DNSTAP_HAS_QUERY_ADDRESS) &&
        !address_rule_apply(&step->client, &view->query_address))
        forget(view, DNSTAP_HAS_QUERY_ADDRESS);
    if (dnstap_has(view, DNSTAP_HAS_RESPONSE_ADDRESS) &&
        !address_rule_apply(&step->server, &view->response_address))
        forget(view, DNSTAP_HAS_RESPONSE_ADDRESS);
    if (step->drop_ports) {
        forget(view, DNSTAP_HAS_QUERY_PORT);
        forget(view, DNSTAP_HAS_RESPONSE_PORT);
    }
    /* a rule about the client holds its address */
    if (step->client.mode != ADDRESS_KEEP && tells_client(view)) {
        forget(view, DNSTAP_HAS_POLICY_RULE);
        forget(view, DNSTAP_HAS_POLICY_VALUE);
    }
}

/* A field that is a name, and nothing but a name; perhaps cut. False: it is to be left out. */
static bool change_name(struct step *step, struct octets *field, struct buffer *out)
{
    uint32_t end = 0;
    if (!dns_name_pass(field->data, field->len, &end) || end != field->len)
        return false;
    if (!step->names)
        return true;
    buffer_clear(out);
    if (!registered_put_name(step->names, (struct dns_name){field->data, 0, field->len}, out))
        return false;
    *field = (struct octets){.data = out->data, .len = (uint32_t)out->len};
    return true;
}

static void change_names(struct step *step, struct dnstap_view *view)
{
    if (dnstap_has(view, DNSTAP_HAS_QUERY_ZONE) &&
        !change_name(step, &view->query_zone, &step->made[ZONE]))
        forget(view, DNSTAP_HAS_QUERY_ZONE);
    if (!step->names)
        return;
    forget(view, DNSTAP_HAS_POLICY_RULE); /* names, too, or texts with names in them */
    forget(view, DNSTAP_HAS_POLICY_VALUE);
}

/* A server's event: its peer is a client. False: it is broken. */
static bool change_event(struct step *step, struct dnstap_view *view)
{
    struct event_view event;
    if (!event_scan(view->event, &event))
        return false;
    if (event_has(&event, EVENT_PEER_ADDRESS) &&
        !address_rule_apply(&step->client, &event.peer_address))
        event.has &= ~(1u << EVENT_PEER_ADDRESS);
    if (step->drop_ports)
        event.has &= ~(1u << EVENT_PEER_PORT);
    if (event_has(&event, EVENT_NAME) && !change_name(step, &event.name, &step->made[NAME]))
        event.has &= ~(1u << EVENT_NAME);
    struct buffer *out = &step->made[EVENT];
    event_rebuild(&event, out);
    view->event = (struct octets){.data = out->data, .len = (uint32_t)out->len};
    return true;
}

static void change_origin(const struct step *step, struct dnstap_view *view)
{
    /* a text from a hop before this one, and nobody knows what it says, but for ours */
    if (step->client.mode != ADDRESS_KEEP && !is_validate_reason(view->rejected))
        forget(view, DNSTAP_HAS_REJECTED);
    if (step->drop_identity)
        forget(view, DNSTAP_HAS_IDENTITY);
    if (step->drop_version)
        forget(view, DNSTAP_HAS_VERSION);
    if (step->drop_extra)
        forget(view, DNSTAP_HAS_EXTRA);
}

/* A client that asks for its own address's name tells the address, beside its pseudonym even. Not where
 * names are cut to the registered domain: of a reverse name, that is one octet. */
static bool tells_own_address(const struct step *step, const struct dnstap_view *view)
{
    return step->client.mode != ADDRESS_KEEP && !step->names &&
           (own_name_asked(view->query_message, view->query_address) ||
            own_name_asked(view->response_message, view->query_address));
}

static void change_messages(struct step *step, const struct dnstap_view *found,
                            struct dnstap_view *view)
{
    const bool whole = !tells_own_address(step, found);
    if (dnstap_has(view, DNSTAP_HAS_QUERY_MESSAGE) &&
        (!whole || !change_dns(step, &view->query_message, true, &step->made[QUERY])))
        forget(view, DNSTAP_HAS_QUERY_MESSAGE);
    if (dnstap_has(view, DNSTAP_HAS_RESPONSE_MESSAGE) &&
        (!whole || !change_dns(step, &view->response_message, false, &step->made[RESPONSE])))
        forget(view, DNSTAP_HAS_RESPONSE_MESSAGE);
}

static enum verdict anonymise_judge(struct step *step, struct subject *subject)
{
    const struct dnstap_view *found = subject_view(subject);
    if (!found)
        return VERDICT_MALFORMED;
    struct dnstap_view view = *found;
    for (size_t i = 0; i < BUFFERS; i++)
        buffer_clear(&step->made[i]);
    change_origin(step, &view);
    change_addresses(step, &view);
    if (dnstap_has(&view, DNSTAP_HAS_MESSAGE)) {
        change_names(step, &view);
        change_messages(step, found, &view);
    }
    if (dnstap_has(&view, DNSTAP_HAS_EVENT) && !change_event(step, &view))
        return VERDICT_MALFORMED;
    struct buffer *whole = &step->made[MESSAGE];
    dnstap_rebuild(&view, whole);
    for (size_t i = 0; i < BUFFERS; i++) {
        if (step->made[i].failed)
            return VERDICT_FAILED; /* a part is missing that should be there */
    }
    subject_replace(subject, (struct frame){.data = whole->data, .len = (uint32_t)whole->len});
    return VERDICT_PASS;
}

static void say_address(const struct options *options, const char *name, FILE *out)
{
    if (options_is(options, name, "keep"))
        return;
    if (options_is(options, name, "prefix"))
        fprintf(out, ", %s addresses cut to /%s and /%s", name, options_string(options, "ipv4"),
                options_string(options, "ipv6"));
    else if (options_is(options, name, "remove"))
        fprintf(out, ", no %s addresses", name);
    else
        fprintf(out, ", %s addresses by a keyed %s", name,
                options_is(options, name, "crypto-pan") ? "Crypto-PAn" : "pseudonym");
}

static void anonymise_say(const struct options *options, FILE *out)
{
    static const char *const things[] = {"ports",   "identity", "version", "extra",      "subnet",
                                         "cookies", "padding",  "options", "signatures", "updates"};
    struct step decided = {.client.mode = options_is(options, "client", "keep") ? ADDRESS_KEEP
                                                                                : ADDRESS_REMOVE};
    fputs("anonymised", out);
    say_address(options, "client", out);
    say_address(options, "server", out);
    for (size_t i = 0; i < sizeof things / sizeof things[0]; i++) {
        bool prefix = options_is(options, things[i], "prefix");
        if (prefix || !keeps(&decided, options, things[i]))
            fprintf(out, prefix ? ", %s cut likewise" : ", no %s", things[i]);
    }
    if (options_is(options, "qname", "registered"))
        fputs(", names cut to the registered domain", out);
}

const struct step_ops anonymise_step = {
    .name = "anonymise",
    .summary = "takes out who asked: addresses, ports, what EDNS says of them, names below the "
               "registered domain",
    .options = anonymise_options,
    .new = anonymise_new,
    .free = anonymise_free,
    .judge = anonymise_judge,
    .say = anonymise_say,
};
