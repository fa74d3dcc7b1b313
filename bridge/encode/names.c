#include "names.h"

#include <stddef.h>

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

static const char *name_of(const char *const *names, size_t count, int64_t number)
{
    return number >= 0 && (uint64_t)number < count ? names[number] : NULL;
}

const char *dnstap_message_name(int32_t type)
{
    static const char *const names[] = {
        NULL,
        "AUTH_QUERY",
        "AUTH_RESPONSE",
        "RESOLVER_QUERY",
        "RESOLVER_RESPONSE",
        "CLIENT_QUERY",
        "CLIENT_RESPONSE",
        "FORWARDER_QUERY",
        "FORWARDER_RESPONSE",
        "STUB_QUERY",
        "STUB_RESPONSE",
        "TOOL_QUERY",
        "TOOL_RESPONSE",
        "UPDATE_QUERY",
        "UPDATE_RESPONSE",
    };
    return name_of(names, COUNT(names), type);
}

const char *dnstap_family_name(int32_t family)
{
    static const char *const names[] = {NULL, "INET", "INET6"};
    return name_of(names, COUNT(names), family);
}

const char *dnstap_protocol_name(int32_t protocol)
{
    static const char *const names[] = {NULL,  "UDP",         "TCP",         "DOT",
                                        "DOH", "DNSCryptUDP", "DNSCryptTCP", "DOQ"};
    return name_of(names, COUNT(names), protocol);
}

const char *dnstap_http_name(int32_t protocol)
{
    static const char *const names[] = {NULL, "HTTP1", "HTTP2", "HTTP3"};
    return name_of(names, COUNT(names), protocol);
}

const char *dnstap_action_name(int32_t action)
{
    static const char *const names[] = {NULL,   "NXDOMAIN", "NODATA",    "PASS",
                                        "DROP", "TRUNCATE", "LOCAL_DATA"};
    return name_of(names, COUNT(names), action);
}

const char *dnstap_match_name(int32_t match)
{
    static const char *const names[] = {NULL,          "QNAME",   "CLIENT_IP",
                                        "RESPONSE_IP", "NS_NAME", "NS_IP"};
    return name_of(names, COUNT(names), match);
}

const char *dns_opcode_name(unsigned opcode)
{
    static const char *const names[] = {"QUERY",  "IQUERY", "STATUS", NULL,
                                        "NOTIFY", "UPDATE", "DSO"};
    return name_of(names, COUNT(names), opcode);
}

const char *dns_rcode_name(unsigned rcode)
{
    static const char *const names[] = {
        "NOERROR",  "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP",   "REFUSED",
        "YXDOMAIN", "YXRRSET", "NXRRSET",  "NOTAUTH",  "NOTZONE",  "DSOTYPENI",
        NULL,       NULL,      NULL,       NULL,       "BADVERS",  "BADKEY",
        "BADTIME",  "BADMODE", "BADNAME",  "BADALG",   "BADTRUNC", "BADCOOKIE",
    };
    return name_of(names, COUNT(names), rcode);
}

const char *dns_option_name(uint16_t code)
{
    static const char *const names[] = {
        NULL,
        "LLQ",
        "UL",
        "NSID",
        NULL,
        "DAU",
        "DHU",
        "N3U",
        "ECS",
        "EXPIRE",
        "COOKIE",
        "KEEPALIVE",
        "PADDING",
        "CHAIN",
        "KEY-TAG",
        "EDE",
        "CLIENT-TAG",
        "SERVER-TAG",
        "REPORT-CHANNEL",
        "ZONEVERSION",
    };
    return name_of(names, COUNT(names), code);
}

const char *dns_error_name(uint16_t code)
{
    static const char *const names[] = {
        "Other",
        "Unsupported DNSKEY Algorithm",
        "Unsupported DS Digest Type",
        "Stale Answer",
        "Forged Answer",
        "DNSSEC Indeterminate",
        "DNSSEC Bogus",
        "Signature Expired",
        "Signature Not Yet Valid",
        "DNSKEY Missing",
        "RRSIGs Missing",
        "No Zone Key Bit Set",
        "NSEC Missing",
        "Cached Error",
        "Not Ready",
        "Blocked",
        "Censored",
        "Filtered",
        "Prohibited",
        "Stale NXDOMAIN Answer",
        "Not Authoritative",
        "Not Supported",
        "No Reachable Authority",
        "Network Error",
        "Invalid Data",
        "Signature Expired before Valid",
        "Too Early",
        "Unsupported NSEC3 Iterations Value",
        "Unable to conform to policy",
        "Synthesized",
    };
    return name_of(names, COUNT(names), code);
}

const struct dns_flag dns_flags[] = {
    {0x8000, "qr"}, {0x0400, "aa"}, {0x0200, "tc"}, {0x0100, "rd"}, {0x0080, "ra"},
    {0x0040, "z"},  {0x0020, "ad"}, {0x0010, "cd"}, {0, NULL},
};
