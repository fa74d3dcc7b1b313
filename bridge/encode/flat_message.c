#include "../json_string.h"
#include "flat.h"
#include "names.h"
#include "put.h"

/* Is the message a response? Even types are. */
static bool is_response(const struct dnstap_view *view)
{
    return view->message_type % 2 == 0;
}

static void put_names(const struct dnstap_view *view, struct buffer *out)
{
    if (dnstap_has(view, DNSTAP_HAS_IDENTITY)) {
        FLAT_PUT(out, ",\"identity\":");
        json_string_put(view->identity, JSON_STRING_PLAIN, out);
    }
    if (dnstap_has(view, DNSTAP_HAS_VERSION)) {
        FLAT_PUT(out, ",\"version\":");
        json_string_put(view->version, JSON_STRING_PLAIN, out);
    }
}

void flat_sender_put(const struct dnstap_view *view, struct buffer *out)
{
    put_names(view, out);
    if (dnstap_has(view, DNSTAP_HAS_EXTRA)) {
        FLAT_PUT(out, ",\"extra\":\"");
        put_base64(view->extra, out);
        buffer_put_char(out, '"');
    }
}

/* `time` comes first, so that lines sort: the response's of a response, else the query's, else the
 * other. */
static void put_first_time(struct flat *flat, const struct dnstap_view *view, struct buffer *out)
{
    bool query = dnstap_has(view, DNSTAP_HAS_QUERY_TIME_SEC);
    bool response = dnstap_has(view, DNSTAP_HAS_RESPONSE_TIME_SEC);
    bool put = false;
    if (response && (is_response(view) || !query))
        put = FLAT_TIME(flat, "\"time\":\"", view->response_time_sec, view->response_time_nsec,
                            out);
    else if (query)
        put = FLAT_TIME(flat, "\"time\":\"", view->query_time_sec, view->query_time_nsec, out);
    if (put)
        buffer_put_char(out, ',');
}

static void put_socket(const struct dnstap_view *view, struct buffer *out)
{
    if (dnstap_has(view, DNSTAP_HAS_SOCKET_FAMILY)) {
        FLAT_PUT(out, ",\"family\":");
        flat_enum_put(dnstap_family_name(view->socket_family), view->socket_family, out);
    }
    if (dnstap_has(view, DNSTAP_HAS_SOCKET_PROTOCOL)) {
        FLAT_PUT(out, ",\"protocol\":");
        flat_enum_put(dnstap_protocol_name(view->socket_protocol), view->socket_protocol, out);
    }
    if (dnstap_has(view, DNSTAP_HAS_HTTP_PROTOCOL)) {
        FLAT_PUT(out, ",\"http_protocol\":");
        flat_enum_put(dnstap_http_name(view->http_protocol), view->http_protocol, out);
    }
}

static bool same(struct octets a, const uint8_t *b, uint32_t len)
{
    return a.len == len && (len == 0 || memcmp(a.data, b, len) == 0);
}

static void keep(uint8_t *to, uint32_t *len, struct octets from)
{
    if (from.len > 0)
        memcpy(to, from.data, from.len);
    *len = from.len;
}

/* What a head is made of, and what keeps a line from having one that others have, too. */
enum {
    HEAD_PARTS = DNSTAP_HAS_IDENTITY | DNSTAP_HAS_VERSION | DNSTAP_HAS_SOCKET_FAMILY |
                 DNSTAP_HAS_SOCKET_PROTOCOL,
    HEAD_OWN = DNSTAP_HAS_EXTRA | DNSTAP_HAS_HTTP_PROTOCOL,
};

static bool is_of(const struct flat_head *head, const struct dnstap_view *view)
{
    return head->len > 0 && head->has == (view->has & (HEAD_PARTS | HEAD_OWN)) &&
           head->message_type == view->message_type && head->family == view->socket_family &&
           head->protocol == view->socket_protocol &&
           same(view->identity, head->identity, head->identity_len) &&
           same(view->version, head->version, head->version_len);
}

static void keep_head(struct flat_head *head, const struct dnstap_view *view, const struct buffer *out,
                      size_t from)
{
    size_t len = out->len - from;
    head->len = 0;
    if (out->failed || len > sizeof head->text || view->identity.len > sizeof head->identity ||
        view->version.len > sizeof head->version || (view->has & HEAD_OWN))
        return;
    head->has = view->has & HEAD_PARTS;
    head->message_type = view->message_type;
    head->family = view->socket_family;
    head->protocol = view->socket_protocol;
    keep(head->identity, &head->identity_len, view->identity);
    keep(head->version, &head->version_len, view->version);
    memcpy(head->text, out->data + from, len);
    head->len = (uint32_t)len;
}

static void put_head(struct flat *flat, const struct dnstap_view *view, struct buffer *out)
{
    uint32_t slot = (uint32_t)view->message_type ^ (uint32_t)view->socket_protocol << 2 ^
                    (uint32_t)view->socket_family << 3;
    struct flat_head *head = &flat->heads[slot % FLAT_HEADS];
    if (is_of(head, view)) {
        buffer_put(out, head->text, head->len);
        return;
    }
    size_t before = out->len;
    FLAT_PUT(out, "\"type\":");
    flat_enum_put(dnstap_message_name(view->message_type), view->message_type, out);
    flat_sender_put(view, out);
    put_socket(view, out);
    keep_head(head, view, out, before);
}

/* What policies before this hop wrote on it. */
static void put_marks(const struct dnstap_view *view, struct buffer *out)
{
    if (dnstap_has(view, DNSTAP_HAS_REPEATS)) {
        FLAT_PUT(out, ",\"repeats\":");
        put_unsigned(view->repeats, out);
    }
    if (dnstap_has(view, DNSTAP_HAS_REJECTED)) {
        FLAT_PUT(out, ",\"rejected\":");
        json_string_put(view->rejected, JSON_STRING_PLAIN, out);
    }
}

static void put_addresses(const struct dnstap_view *view, struct buffer *out)
{
    if (view->has & (DNSTAP_HAS_REPEATS | DNSTAP_HAS_REJECTED))
        put_marks(view, out);
    if (dnstap_has(view, DNSTAP_HAS_QUERY_ADDRESS)) {
        FLAT_PUT(out, ",\"query_address\":");
        flat_address_put(view->query_address, out);
    }
    if (dnstap_has(view, DNSTAP_HAS_QUERY_PORT)) {
        FLAT_PUT(out, ",\"query_port\":");
        put_unsigned(view->query_port, out);
    }
    if (dnstap_has(view, DNSTAP_HAS_RESPONSE_ADDRESS)) {
        FLAT_PUT(out, ",\"response_address\":");
        flat_address_put(view->response_address, out);
    }
    if (dnstap_has(view, DNSTAP_HAS_RESPONSE_PORT)) {
        FLAT_PUT(out, ",\"response_port\":");
        put_unsigned(view->response_port, out);
    }
}

static void put_latency(const struct dnstap_view *view, struct buffer *out)
{
    int64_t seconds = (int64_t)view->response_time_sec - (int64_t)view->query_time_sec;
    int64_t nanoseconds = (int64_t)view->response_time_nsec - (int64_t)view->query_time_nsec;
    int64_t whole = seconds * 1000000000 + nanoseconds;

    FLAT_PUT(out, ",\"latency_us\":");
    put_signed(whole / 1000, out);
}

/* 100 years; so far apart that nanoseconds fit 64 bits, and no further. */
static bool near_each_other(uint64_t a, uint64_t b)
{
    const uint64_t most = 3155760000;
    return (a > b ? a - b : b - a) <= most && a <= (uint64_t)MOMENT_LAST &&
           b <= (uint64_t)MOMENT_LAST;
}

static void put_times(struct flat *flat, const struct dnstap_view *view, struct buffer *out)
{
    bool query = dnstap_has(view, DNSTAP_HAS_QUERY_TIME_SEC);
    bool response = dnstap_has(view, DNSTAP_HAS_RESPONSE_TIME_SEC);
    if (query)
        FLAT_TIME(flat, ",\"query_time\":\"", view->query_time_sec, view->query_time_nsec, out);
    if (response)
        FLAT_TIME(flat, ",\"response_time\":\"", view->response_time_sec,
                      view->response_time_nsec, out);
    if (query && response && near_each_other(view->query_time_sec, view->response_time_sec))
        put_latency(view, out);
}

static void put_wire_name(struct octets wire, struct buffer *out)
{
    flat_name_put((struct dns_name){wire.data, 0, wire.len}, out);
}

static void put_policy(const struct dnstap_view *view, struct buffer *out)
{
    size_t before = out->len + 11; /* behind the brace */
    FLAT_PUT(out, ",\"policy\":{");
    if (dnstap_has(view, DNSTAP_HAS_POLICY_TYPE)) {
        FLAT_PUT(out, "\"type\":");
        json_string_put(view->policy_type, JSON_STRING_PLAIN, out);
    }
    if (dnstap_has(view, DNSTAP_HAS_POLICY_RULE)) {
        FLAT_PUT(out, ",\"rule\":");
        put_wire_name(view->policy_rule, out);
    }
    if (dnstap_has(view, DNSTAP_HAS_POLICY_ACTION)) {
        FLAT_PUT(out, ",\"action\":");
        flat_enum_put(dnstap_action_name(view->policy_action), view->policy_action, out);
    }
    if (dnstap_has(view, DNSTAP_HAS_POLICY_MATCH)) {
        FLAT_PUT(out, ",\"match\":");
        flat_enum_put(dnstap_match_name(view->policy_match), view->policy_match, out);
    }
    if (dnstap_has(view, DNSTAP_HAS_POLICY_VALUE)) {
        FLAT_PUT(out, ",\"value\":\"");
        put_base64(view->policy_value, out);
        buffer_put_char(out, '"');
    }
    if (!out->failed && out->len > before && out->data[before] == ',') {
        memmove(out->data + before, out->data + before + 1, out->len - before - 1);
        out->len--;
    }
    buffer_put_char(out, '}');
}

static void put_raw(const struct dnstap_view *view, struct buffer *out)
{
    if (dnstap_has(view, DNSTAP_HAS_QUERY_MESSAGE)) {
        FLAT_PUT(out, ",\"query_message\":\"");
        put_base64(view->query_message, out);
        buffer_put_char(out, '"');
    }
    if (dnstap_has(view, DNSTAP_HAS_RESPONSE_MESSAGE)) {
        FLAT_PUT(out, ",\"response_message\":\"");
        put_base64(view->response_message, out);
        buffer_put_char(out, '"');
    }
}

/* The DNS message shown is the response of a response, the query of a query, or else the other. */
static void put_dns(struct flat *flat, const struct dnstap_view *view, struct buffer *out)
{
    bool query = dnstap_has(view, DNSTAP_HAS_QUERY_MESSAGE);
    bool response = dnstap_has(view, DNSTAP_HAS_RESPONSE_MESSAGE);
    if (response && (is_response(view) || !query))
        flat_dns_put(flat, view->response_message, out);
    else if (query)
        flat_dns_put(flat, view->query_message, out);
}

void flat_message_put(struct flat *flat, const struct dnstap_view *view, struct buffer *out)
{
    buffer_put_char(out, '{');
    put_first_time(flat, view, out);
    put_head(flat, view, out);
    put_addresses(view, out);
    put_times(flat, view, out);
    if (dnstap_has(view, DNSTAP_HAS_QUERY_ZONE)) {
        size_t before = out->len;
        FLAT_PUT(out, ",\"query_zone\":");
        if (!flat_name_put((struct dns_name){view->query_zone.data, 0, view->query_zone.len}, out))
            out->len = before;
    }
    if (dnstap_has(view, DNSTAP_HAS_POLICY))
        put_policy(view, out);
    put_dns(flat, view, out);
    if (flat->raw)
        put_raw(view, out);
    FLAT_PUT(out, "}\n");
}
