/* base:dnsobs from a dnstap message: what a response said, without who asked. */
#include "payload.h"
#include "question.h"
#include "../scan/protobuf_put.h"

enum encode_result dnsobs_make(const struct dnstap_view *view, struct buffer *out)
{
    struct nmsg_question question;

    if (!dnstap_has(view, DNSTAP_HAS_RESPONSE_MESSAGE) || view->response_address.len == 0 ||
        !dnstap_has(view, DNSTAP_HAS_RESPONSE_TIME_SEC))
        return ENCODE_FILTERED;
    if (!nmsg_question_read(view->response_message, view->query_message, &question))
        return ENCODE_MALFORMED;
    wire_number(1, view->response_time_sec, out);
    wire_octets(2, view->response_address, out);
    wire_octets(3, (struct octets){question.name, question.name_len}, out);
    wire_number(4, question.type, out);
    wire_number(5, question.class, out);
    wire_number(6, question.rcode, out);
    wire_octets(7, view->response_message, out);
    if (dnstap_has(view, DNSTAP_HAS_QUERY_ZONE))
        wire_octets(8, view->query_zone, out);
    return ENCODE_OK;
}
