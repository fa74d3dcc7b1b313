#include "payload.h"

#include "../clock.h"
#include "../scan/event.h"

static const struct {
    const char *name;
    uint32_t type;
    enum encode_result (*make)(const struct dnstap_view *view, struct buffer *out);
} kinds[] = {
    {"dnstap", NMSG_TYPE_DNSTAP, NULL},
    {"dnsqr", NMSG_TYPE_DNSQR, dnsqr_make},
    {"dnsobs", NMSG_TYPE_DNSOBS, dnsobs_make},
};

void nmsg_maker_init(struct nmsg_maker *maker, const struct options *options)
{
    *maker = (struct nmsg_maker){.type = NMSG_TYPE_DNSTAP};
    if (!options)
        return;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (options_is(options, "type", kinds[i].name)) {
            maker->type = kinds[i].type;
            maker->make = kinds[i].make;
        }
    }
    maker->source = (uint32_t)options_number(options, "source-id");
    maker->operator=(uint32_t) options_number(options, "operator");
    maker->group = (uint32_t)options_number(options, "group");
}

void nmsg_maker_free(struct nmsg_maker *maker)
{
    buffer_free(&maker->made);
}

/* The message's own time: the response's of a response, else the query's, else the other; of a message without a
 * time the present one, for a payload has to have one and 1970 would be wrong. */
static void set_time(const struct dnstap_view *view, struct nmsg_payload *payload)
{
    struct event_view event;
    if (view->type == DNSTAP_TYPE_EVENT && event_scan(view->event, &event)) {
        payload->second = (int64_t)event.number[EVENT_TIME_SEC];
        payload->nanosecond = (uint32_t)event.number[EVENT_TIME_NSEC];
        return;
    }
    bool query = dnstap_has(view, DNSTAP_HAS_QUERY_TIME_SEC);
    bool response = dnstap_has(view, DNSTAP_HAS_RESPONSE_TIME_SEC);
    if (!query && !response) {
        const int64_t now = clock_ms(CLOCK_REALTIME);
        payload->second = now / 1000;
        payload->nanosecond = (uint32_t)(now % 1000) * 1000000;
        return;
    }
    bool use_response = response && (view->message_type % 2 == 0 || !query);
    payload->second = (int64_t)(use_response ? view->response_time_sec : view->query_time_sec);
    payload->nanosecond = use_response ? view->response_time_nsec : view->query_time_nsec;
}

enum encode_result nmsg_make(struct nmsg_maker *maker, struct frame message,
                             struct nmsg_payload *payload)
{
    struct dnstap_view view;
    if (!dnstap_scan(message, &view))
        return ENCODE_MALFORMED;
    if (view.type == DNSTAP_TYPE_MESSAGE && !dnstap_has(&view, DNSTAP_HAS_MESSAGE))
        return ENCODE_MALFORMED;
    *payload = (struct nmsg_payload){
        .vendor = NMSG_VENDOR_BASE,
        .type = maker->type,
        .source = maker->source,
        .operator= maker->operator,
        .group = maker->group,
        .octets = {message.data, message.len},
    };
    set_time(&view, payload);
    if (!maker->make)
        return ENCODE_OK;
    if (view.type != DNSTAP_TYPE_MESSAGE)
        return ENCODE_FILTERED;
    buffer_clear(&maker->made);
    enum encode_result result = maker->make(&view, &maker->made);
    if (maker->made.failed)
        return ENCODE_FAILED;
    payload->octets = (struct octets){maker->made.data, (uint32_t)maker->made.len};
    return result;
}
