#include "golang.h"

#include "../scan/dns_reason.h"
#include "dig.h"
#include "names.h"

void golang_free(struct golang *golang)
{
    buffer_free(&golang->dig);
}

static bool address_ok(struct octets address)
{
    return address.len == 0 || address.len == 4 || address.len == 16;
}

enum encode_result golang_scan(struct frame message, bool json, struct dnstap_view *view)
{
    if (!dnstap_scan(message, view))
        return ENCODE_MALFORMED;
    if (view->type != DNSTAP_TYPE_MESSAGE)
        return ENCODE_FILTERED;
    if (!dnstap_has(view, DNSTAP_HAS_MESSAGE))
        return ENCODE_MALFORMED;
    bool shown = address_ok(view->query_address) && address_ok(view->response_address);
    return shown || !json ? ENCODE_OK : ENCODE_MALFORMED;
}

static bool put_failure(struct golang *golang, const char *reason)
{
    buffer_put_string(&golang->dig, "parse failed: dns: ");
    buffer_put_string(&golang->dig, reason);
    return false;
}

const char *golang_protocol_name(int32_t protocol)
{
    enum { DOH = 4 };
    return protocol <= DOH ? dnstap_protocol_name(protocol) : NULL;
}

bool golang_dig(struct golang *golang, struct octets dns)
{
    buffer_clear(&golang->dig);
    return dig_put(dns, &golang->dig) || put_failure(golang, dns_reason(dns));
}

bool golang_name(struct golang *golang, struct octets wire)
{
    buffer_clear(&golang->dig);
    if (dns_name_put((struct dns_name){wire.data, 0, wire.len}, &golang->dig))
        return true;
    return put_failure(golang, dns_name_reason(wire));
}
