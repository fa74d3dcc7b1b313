/* format=json,shape=golang: octet for octet what `dnstap -j` prints. */
#include "../json_string.h"
#include "golang.h"
#include "names.h"
#include "put.h"

static void put_key(const char *key, struct buffer *out)
{
    if (out->len > 0 && out->data[out->len - 1] != '{')
        buffer_put_char(out, ',');
    buffer_put_char(out, '"');
    buffer_put_string(out, key);
    buffer_put_string(out, "\":");
}

static void put_text(const char *key, struct octets text, struct buffer *out)
{
    if (text.len == 0)
        return;
    put_key(key, out);
    json_string_put(text, JSON_STRING_GO, out);
}

/* A value of an enum: its name, or its number. */
static void put_enum(const char *key, const char *name, int32_t number, struct buffer *out)
{
    put_key(key, out);
    buffer_put_char(out, '"');
    if (name)
        buffer_put_string(out, name);
    else
        put_signed(number, out);
    buffer_put_char(out, '"');
}

static void put_optional_enum(const char *key, bool has, const char *name, int32_t number,
                              struct buffer *out)
{
    put_enum(key, has ? name : "\\u003cnil\\u003e", number, out);
}

static void put_time(struct golang *golang, const char *key, uint64_t second, uint32_t nanosecond,
                     struct buffer *out)
{
    put_key(key, out);
    buffer_put_char(out, '"');
    moment_put_short(&golang->moment, (int64_t)second, nanosecond, 'T', out);
    buffer_put_string(out, "Z\"");
}

static void put_times(struct golang *golang, const struct dnstap_view *view, struct buffer *out)
{
    if (dnstap_has(view, DNSTAP_HAS_QUERY_TIME_SEC) && dnstap_has(view, DNSTAP_HAS_QUERY_TIME_NSEC))
        put_time(golang, "query_time", view->query_time_sec, view->query_time_nsec, out);
    if (dnstap_has(view, DNSTAP_HAS_RESPONSE_TIME_SEC) &&
        dnstap_has(view, DNSTAP_HAS_RESPONSE_TIME_NSEC))
        put_time(golang, "response_time", view->response_time_sec, view->response_time_nsec, out);
}

static void put_one_address(const char *key, struct octets address, struct buffer *out)
{
    put_key(key, out);
    buffer_put_char(out, '"');
    if (address.len > 0)
        put_address(address, out);
    buffer_put_char(out, '"');
}

static void put_port(const char *key, uint32_t port, struct buffer *out)
{
    if (port == 0)
        return;
    put_key(key, out);
    put_unsigned(port, out);
}

static void put_socket(const struct dnstap_view *view, struct buffer *out)
{
    put_optional_enum("socket_family", dnstap_has(view, DNSTAP_HAS_SOCKET_FAMILY),
                      dnstap_family_name(view->socket_family), view->socket_family, out);
    put_optional_enum("socket_protocol", dnstap_has(view, DNSTAP_HAS_SOCKET_PROTOCOL),
                      golang_protocol_name(view->socket_protocol), view->socket_protocol, out);
    if (dnstap_has(view, DNSTAP_HAS_QUERY_ADDRESS))
        put_one_address("query_address", view->query_address, out);
    if (dnstap_has(view, DNSTAP_HAS_RESPONSE_ADDRESS))
        put_one_address("response_address", view->response_address, out);
    put_port("query_port", view->query_port, out);
    put_port("response_port", view->response_port, out);
}

static void put_dig(struct golang *golang, const char *key, struct buffer *out)
{
    put_text(key, (struct octets){golang->dig.data, (uint32_t)golang->dig.len}, out);
    if (golang->dig.failed)
        out->failed = true;
}

static void put_dns(struct golang *golang, const struct dnstap_view *view, struct buffer *out)
{
    if (dnstap_has(view, DNSTAP_HAS_QUERY_ZONE)) {
        golang_name(golang, view->query_zone);
        put_dig(golang, "query_zone", out);
    }
    if (dnstap_has(view, DNSTAP_HAS_QUERY_MESSAGE)) {
        golang_dig(golang, view->query_message);
        put_dig(golang, "query_message", out);
    }
    if (dnstap_has(view, DNSTAP_HAS_RESPONSE_MESSAGE)) {
        golang_dig(golang, view->response_message);
        put_dig(golang, "response_message", out);
    }
}

void golang_json_put(struct golang *golang, const struct dnstap_view *view, struct buffer *out)
{
    buffer_put_string(out, "{\"type\":\"MESSAGE\"");
    put_text("identity", view->identity, out);
    put_text("version", view->version, out);
    buffer_put_string(out, ",\"message\":{");
    put_enum("type", dnstap_message_name(view->message_type), view->message_type, out);
    put_times(golang, view, out);
    put_socket(view, out);
    put_dns(golang, view, out);
    buffer_put_string(out, "}}\n");
}
