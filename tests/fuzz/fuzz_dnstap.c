/* Any octets as a Dnstap, and the event in it. What the scan accepts is read to its last octet. */
#include "fuzz.h"
#include "scan/dnstap.h"
#include "scan/event.h"

static void touch(struct octets octets)
{
    volatile uint8_t sum = 0;
    for (uint32_t i = 0; i < octets.len; i++)
        sum = (uint8_t)(sum + octets.data[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dnstap_view view;
    struct event_view event;
    if (size > UINT32_MAX || !dnstap_scan((struct frame){data, (uint32_t)size}, &view))
        return 0;
    const struct octets all[] = {view.identity,      view.version,          view.extra,
                                 view.event,         view.query_address,    view.response_address,
                                 view.query_message, view.response_message, view.query_zone,
                                 view.policy_type,   view.policy_rule,      view.policy_value};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        touch(all[i]);
    if (event_scan(view.event, &event)) {
        touch(event.name);
        touch(event.peer_address);
    }
    return 0;
}
