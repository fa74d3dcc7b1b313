/* Any octets as a DNS message: the check, the reason where it fails, and what is printed where it
 * does not. */
#include "encode/dig.h"
#include "fuzz.h"
#include "scan/dns_check.h"
#include "scan/dns_reason.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct buffer out;
    struct octets message = {data, (uint32_t)size};
    bool ok = dns_message_ok(message);

    buffer_clear(&out);
    must(dig_put(message, &out) == ok);
    must(ok == (out.len > 0));
    if (!ok)
        must(dns_reason(message) != NULL);
    return 0;
}
