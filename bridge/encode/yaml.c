/* format=yaml: octet for octet what `dnstap -y` prints of a message. */
#include <stdlib.h>

#include "../json_string.h"
#include "golang.h"
#include "names.h"
#include "put.h"

struct encoder {
    struct golang golang;
};

static struct encoder *yaml_new(const struct options *options, struct error *error)
{
    (void)options;
    struct encoder *encoder = calloc(1, sizeof *encoder);
    if (!encoder)
        error_set(error, "out of memory for the encoder");
    return encoder;
}

static void yaml_free(struct encoder *encoder)
{
    golang_free(&encoder->golang);
    free(encoder);
}

static void put_escape(const char *prefix, uint32_t code, unsigned digits, struct buffer *out)
{
    buffer_put_string(out, prefix);
    while (digits-- > 0)
        buffer_put_char(out, "0123456789abcdef"[code >> (4 * digits) & 15]);
}

static void put_quoted_ascii(uint8_t octet, struct buffer *out)
{
    static const char letters[128] = {
        ['\a'] = 'a', ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r',
        ['\t'] = 't', ['\v'] = 'v', ['"'] = '"',  ['\\'] = '\\'};
    if (letters[octet]) {
        buffer_put_char(out, '\\');
        buffer_put_char(out, letters[octet]);
    } else if (octet < ' ' || octet == 0x7f) {
        put_escape("\\x", octet, 2, out);
    } else {
        buffer_put_char(out, (char)octet);
    }
}

/* As Go's strconv.Quote, but for characters beyond Latin-1 that do not print: they stay as they
 * are. */
static void put_quoted(struct octets text, struct buffer *out)
{
    buffer_put_char(out, '"');
    for (uint32_t at = 0; at < text.len;) {
        uint32_t code;
        uint32_t len = utf8_take((struct octets){text.data + at, text.len - at}, &code);
        if (len == 0)
            put_escape("\\x", text.data[at], 2, out);
        else if (len == 1)
            put_quoted_ascii(text.data[at], out);
        else if (code <= 0xa0 || code == 0xad || code == 0x2028 || code == 0x2029 || code == 0xfeff)
            put_escape("\\u", code, 4, out);
        else
            buffer_put(out, text.data + at, len);
        at += len ? len : 1;
    }
    buffer_put_char(out, '"');
}

static void put_bytes(const char *key, bool has, struct octets text, struct buffer *out)
{
    if (!has)
        return;
    buffer_put_string(out, key);
    put_quoted(text, out);
    buffer_put_char(out, '\n');
}

static void put_enum(const char *key, bool has, const char *name, int32_t number,
                     struct buffer *out)
{
    if (!has)
        return;
    buffer_put_string(out, key);
    if (name)
        buffer_put_string(out, name);
    else
        put_signed(number, out);
    buffer_put_char(out, '\n');
}

static void put_time(struct golang *golang, const char *key, bool has, uint64_t second,
                     uint32_t nanosecond, struct buffer *out)
{
    if (!has)
        return;
    buffer_put_string(out, key);
    moment_put_short(&golang->moment, (int64_t)second, nanosecond, ' ', out);
    buffer_put_char(out, '\n');
}

static void put_one_address(const char *key, bool has, struct octets address, struct buffer *out)
{
    if (!has)
        return;
    buffer_put_string(out, key);
    put_address(address, out);
    buffer_put_char(out, '\n');
}

static void put_port(const char *key, bool has, uint32_t port, struct buffer *out)
{
    if (!has)
        return;
    buffer_put_string(out, key);
    put_unsigned(port, out);
    buffer_put_char(out, '\n');
}

/* What Go's strings.TrimSpace takes from an end. */
static size_t trimmed(const struct buffer *text)
{
    size_t len = text->len;
    while (len > 0) {
        uint8_t last = text->data[len - 1];
        bool wide = len > 1 && text->data[len - 2] == 0xc2 && (last == 0x85 || last == 0xa0);
        if (!wide && last != ' ' && (last < '\t' || last > '\r'))
            break;
        len -= wide ? 2 : 1;
    }
    return len;
}

static void put_dns(struct golang *golang, const char *key, bool has, struct octets dns,
                    struct buffer *out)
{
    if (!has)
        return;
    bool sound = golang_dig(golang, dns);
    buffer_put_string(out, sound ? "  " : "  # ");
    buffer_put_string(out, key);
    buffer_put_string(out, sound ? ": |\n    " : ": ");
    const uint8_t *text = golang->dig.data;
    size_t end = sound ? trimmed(&golang->dig) : golang->dig.len;
    for (size_t at = 0; at < end;) {
        const uint8_t *line_end = memchr(text + at, '\n', end - at);
        size_t next = line_end ? (size_t)(line_end - text) + 1 : end;
        buffer_put(out, text + at, next - at);
        if (line_end)
            buffer_put_string(out, "    ");
        at = next;
    }
    buffer_put_char(out, '\n');
    out->failed = out->failed || golang->dig.failed;
}

static void put_zone(struct golang *golang, const struct dnstap_view *view, struct buffer *out)
{
    if (!dnstap_has(view, DNSTAP_HAS_QUERY_ZONE))
        return;
    bool sound = golang_name(golang, view->query_zone);
    struct octets text = {golang->dig.data, (uint32_t)golang->dig.len};
    buffer_put_string(out, sound ? "  query_zone: " : "  # query_zone: ");
    if (sound)
        put_quoted(text, out);
    else
        buffer_put(out, text.data, text.len);
    buffer_put_char(out, '\n');
}

static void put_times(struct golang *golang, const struct dnstap_view *view, struct buffer *out)
{
    const uint32_t query = DNSTAP_HAS_QUERY_TIME_SEC | DNSTAP_HAS_QUERY_TIME_NSEC;
    const uint32_t response = DNSTAP_HAS_RESPONSE_TIME_SEC | DNSTAP_HAS_RESPONSE_TIME_NSEC;
    put_time(golang, "  query_time: !!timestamp ", (view->has & query) == query,
             view->query_time_sec, view->query_time_nsec, out);
    put_time(golang, "  response_time: !!timestamp ", (view->has & response) == response,
             view->response_time_sec, view->response_time_nsec, out);
}

static void put_message(struct golang *golang, const struct dnstap_view *view, struct buffer *out)
{
    put_enum("  type: ", true, dnstap_message_name(view->message_type), view->message_type, out);
    put_times(golang, view, out);
    put_enum("  socket_family: ", dnstap_has(view, DNSTAP_HAS_SOCKET_FAMILY),
             dnstap_family_name(view->socket_family), view->socket_family, out);
    put_enum("  socket_protocol: ", dnstap_has(view, DNSTAP_HAS_SOCKET_PROTOCOL),
             golang_protocol_name(view->socket_protocol), view->socket_protocol, out);
    put_one_address("  query_address: ", dnstap_has(view, DNSTAP_HAS_QUERY_ADDRESS),
                    view->query_address, out);
    put_one_address("  response_address: ", dnstap_has(view, DNSTAP_HAS_RESPONSE_ADDRESS),
                    view->response_address, out);
    put_port("  query_port: ", dnstap_has(view, DNSTAP_HAS_QUERY_PORT), view->query_port, out);
    put_port("  response_port: ", dnstap_has(view, DNSTAP_HAS_RESPONSE_PORT), view->response_port,
             out);
    put_zone(golang, view, out);
    put_dns(golang, "query_message", dnstap_has(view, DNSTAP_HAS_QUERY_MESSAGE),
            view->query_message, out);
    put_dns(golang, "response_message", dnstap_has(view, DNSTAP_HAS_RESPONSE_MESSAGE),
            view->response_message, out);
}

static enum encode_result yaml_message(struct encoder *encoder, struct frame message,
                                       struct buffer *out)
{
    struct dnstap_view view;
    size_t before = out->len;
    enum encode_result result = golang_scan(message, false, &view);

    if (result != ENCODE_OK)
        return result;
    buffer_put_string(out, "type: MESSAGE\n");
    put_bytes("identity: ", dnstap_has(&view, DNSTAP_HAS_IDENTITY), view.identity, out);
    put_bytes("version: ", dnstap_has(&view, DNSTAP_HAS_VERSION), view.version, out);
    buffer_put_string(out, "message:\n");
    put_message(&encoder->golang, &view, out);
    buffer_put_string(out, "---\n");
    if (!out->failed)
        return ENCODE_OK;
    out->len = before;
    return ENCODE_FAILED;
}

const struct encoder_ops yaml_encoder = {
    .name = "yaml",
    .summary = "one document per message, as `dnstap -y` prints it; events are filtered",
    .new = yaml_new,
    .message = yaml_message,
    .free = yaml_free,
};
