#include "messages.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "dnstap.pb-c.h"
#include "frame.h"

uint32_t message_name(const char *text, uint8_t wire[256])
{
    uint32_t len = 0;
    while (*text) {
        size_t label = strcspn(text, ".");
        wire[len++] = (uint8_t)label;
        memcpy(wire + len, text, label);
        len += (uint32_t)label;
        text += label + (text[label] == '.');
    }
    wire[len++] = 0;
    return len;
}

static uint32_t put16(uint8_t *out, unsigned value)
{
    out[0] = (uint8_t)(value >> 8);
    out[1] = (uint8_t)value;
    return 2;
}

static uint32_t make_dns(const struct recipe *r, uint8_t out[600])
{
    bool response = r->type % 2 == 0;
    uint32_t len = put16(out, r->id);
    len += put16(out + len, (response ? 0x8180u : 0x0100u) | (r->rcode & 15));
    len += put16(out + len, 1);
    len += put16(out + len, 0);
    len += put16(out + len, 0);
    len += put16(out + len, r->rcode > 15);
    len += message_name(r->qname, out + len);
    len += put16(out + len, r->qtype);
    len += put16(out + len, 1);
    if (r->rcode > 15) {
        out[len++] = 0;
        len += put16(out + len, 41);
        len += put16(out + len, 1232);
        out[len++] = (uint8_t)(r->rcode >> 4);
        out[len++] = 0;
        len += put16(out + len, 0);
        len += put16(out + len, 0);
    }
    return len;
}

static void set_address(const char *text, ProtobufCBinaryData *field, protobuf_c_boolean *has,
                        uint8_t octets[16], Dnstap__Message *m)
{
    if (!text)
        return;
    *has = true;
    field->data = octets;
    bool six = strchr(text, ':') != NULL;
    field->len = six ? 16 : 4;
    inet_pton(six ? AF_INET6 : AF_INET, text, octets);
    m->has_socket_family = true;
    m->socket_family = six ? DNSTAP__SOCKET_FAMILY__INET6 : DNSTAP__SOCKET_FAMILY__INET;
}

static void set_text(const char *text, ProtobufCBinaryData *field, protobuf_c_boolean *has)
{
    *has = text != NULL;
    if (text)
        *field = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)text, .len = strlen(text)};
}

struct message message_new(const struct recipe *r)
{
    uint8_t client[16], server[16], dns[600], zone[256];
    Dnstap__Message m = DNSTAP__MESSAGE__INIT;
    Dnstap__Dnstap d = DNSTAP__DNSTAP__INIT;
    d.type = DNSTAP__DNSTAP__TYPE__MESSAGE;
    d.message = &m;
    m.type = (Dnstap__Message__Type)r->type;
    m.has_socket_protocol = true;
    m.socket_protocol = DNSTAP__SOCKET_PROTOCOL__UDP;
    set_text(r->identity, &d.identity, &d.has_identity);
    set_text(r->version, &d.version, &d.has_version);
    set_text(r->extra, &d.extra, &d.has_extra);
    set_address(r->client, &m.query_address, &m.has_query_address, client, &m);
    set_address(r->server, &m.response_address, &m.has_response_address, server, &m);
    if (r->zone) {
        m.has_query_zone = true;
        m.query_zone = (ProtobufCBinaryData){.data = zone, .len = message_name(r->zone, zone)};
    }
    m.has_response_time_sec = r->second > 0 && r->type % 2 == 0;
    m.has_query_time_sec = r->second > 0 && r->type % 2 != 0;
    m.response_time_sec = m.query_time_sec = r->second;
    ProtobufCBinaryData wire = {.data = dns};
    if (r->dns)
        wire = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)r->dns, .len = r->dns_len};
    else if (r->qname)
        wire.len = make_dns(r, dns);
    if (wire.len > 0 && r->type % 2 == 0) {
        m.has_response_message = true;
        m.response_message = wire;
    } else if (wire.len > 0) {
        m.has_query_message = true;
        m.query_message = wire;
    }
    if (r->query) {
        m.has_query_message = true;
        m.query_message = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)r->query, .len = r->query_len};
    }
    struct message message = {.len = (uint32_t)dnstap__dnstap__get_packed_size(&d)};
    message.data = malloc(message.len);
    if (message.data)
        dnstap__dnstap__pack(&d, message.data);
    return message;
}

struct message message_of(const void *data, uint32_t len)
{
    struct message message = {.data = malloc(len), .len = len};
    if (message.data)
        memcpy(message.data, data, len);
    return message;
}

void message_free(struct message *message)
{
    free(message->data);
    message->data = NULL;
}

struct batch *messages_batch(const struct message *messages, unsigned count)
{
    uint32_t len = 0;
    for (unsigned i = 0; i < count; i++)
        len += FRAME_HEADER + messages[i].len;
    struct batch *batch = batch_alloc(len);
    if (!batch)
        return NULL;
    batch->count = count;
    uint8_t *at = (uint8_t *)(batch + 1);
    for (unsigned i = 0; i < count; i++) {
        store_be32(at, messages[i].len);
        memcpy(at + FRAME_HEADER, messages[i].data, messages[i].len);
        at += FRAME_HEADER + messages[i].len;
    }
    return batch;
}
