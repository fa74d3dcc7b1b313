/* base:dnsqr from a dnstap message: the query and the response as packets over IP and UDP. */
#include "packet.h"
#include "payload.h"
#include "question.h"
#include "../scan/protobuf_put.h"

enum dnsqr_type { UDP_QUERY_RESPONSE = 1, UDP_QUERY_ONLY = 6, UDP_RESPONSE_ONLY = 7 };
enum { PROTO_UDP = 17, CHECKSUM_CORRECT = 3, SOCKET_UDP = 1 };

static const uint8_t zeros[16];

/* Both ends with addresses of one length; one that is not known is all zeros. False: neither is
 * known, or what is there is no address. */
static bool find_ends(const struct dnstap_view *view, struct packet_ends *ends)
{
    ends->from = view->query_address;
    ends->to = view->response_address;
    uint32_t len = ends->from.len > 0 ? ends->from.len : ends->to.len;
    if (len != 4 && len != 16)
        return false;
    if (ends->from.len == 0)
        ends->from = (struct octets){zeros, len};
    if (ends->to.len == 0)
        ends->to = (struct octets){zeros, len};
    ends->from_port = (uint16_t)view->query_port;
    ends->to_port = (uint16_t)view->response_port;
    return ends->from.len == ends->to.len;
}

struct packet_time {
    uint64_t second;
    uint32_t nanosecond;
};

static struct packet_time time_of(const struct dnstap_view *view, bool query)
{
    if (query)
        return (struct packet_time){view->query_time_sec, view->query_time_nsec};
    return (struct packet_time){view->response_time_sec, view->response_time_nsec};
}

static void put_packet(unsigned field, const struct packet_ends *ends, struct octets dns,
                       struct packet_time time, struct buffer *out)
{
    wire_head(field, packet_len(ends, dns), out);
    packet_put(ends, dns, out);
    wire_number(field + 1, time.second, out);
    wire_fixed32(field + 2, time.nanosecond, out);
}

static void put_head(enum dnsqr_type type, const struct packet_ends *ends,
                     const struct dnstap_view *view, bool response, struct buffer *out)
{
    struct nmsg_question question;
    wire_number(1, type, out);
    wire_octets(2, ends->from, out);
    wire_octets(3, ends->to, out);
    wire_number(4, PROTO_UDP, out);
    wire_number(5, ends->from_port, out);
    wire_number(6, ends->to_port, out);
    bool has_question = nmsg_question_read(view->response_message, view->query_message, &question);
    wire_number(7, question.id, out);
    if (!has_question)
        return;
    wire_octets(8, (struct octets){question.name, question.name_len}, out);
    wire_number(9, question.type, out);
    wire_number(10, question.class, out);
    if (response)
        wire_number(11, question.rcode, out);
}

enum encode_result dnsqr_make(const struct dnstap_view *view, struct buffer *out)
{
    struct packet_ends ends;
    bool query = dnstap_has(view, DNSTAP_HAS_QUERY_MESSAGE);
    bool response = dnstap_has(view, DNSTAP_HAS_RESPONSE_MESSAGE);
    enum dnsqr_type type = UDP_QUERY_RESPONSE;

    if (view->socket_protocol != SOCKET_UDP || (!query && !response) || !find_ends(view, &ends))
        return ENCODE_FILTERED;
    if (!(view->has & (DNSTAP_HAS_QUERY_TIME_SEC | DNSTAP_HAS_RESPONSE_TIME_SEC)))
        return ENCODE_FILTERED; /* a packet has to have a time, and 1970 would be wrong */
    if (view->query_message.len > PACKET_DNS_MAX || view->response_message.len > PACKET_DNS_MAX)
        return ENCODE_MALFORMED;
    if (!query || !response)
        type = query ? UDP_QUERY_ONLY : UDP_RESPONSE_ONLY;
    put_head(type, &ends, view, response, out);
    const bool query_timed = dnstap_has(view, DNSTAP_HAS_QUERY_TIME_SEC),
               response_timed = dnstap_has(view, DNSTAP_HAS_RESPONSE_TIME_SEC);
    if (query)
        put_packet(12, &ends, view->query_message, time_of(view, query_timed), out);
    struct packet_ends back = {ends.to, ends.from, ends.to_port, ends.from_port};
    if (response)
        put_packet(15, &back, view->response_message, time_of(view, !response_timed), out);
    wire_number(21, CHECKSUM_CORRECT, out);
    return ENCODE_OK;
}
