/* Any octets as an NMSG datagram: alone, and as one of the fragments that came before. */
#include "fuzz.h"
#include "nmsg/assembly.h"
#include "nmsg/container.h"

static void read_all(uint8_t flags, struct octets body)
{
    static struct buffer scratch;
    struct octets nmsg;
    struct nmsg_container container;
    struct nmsg_cursor cursor = {0};
    struct nmsg_payload payload;
    uint32_t count = 0;
    if (!nmsg_unpack(flags, body, &scratch, &nmsg) || !nmsg_container_read(nmsg, &container))
        return;
    while (nmsg_payload_next(&container, &cursor, &payload) != NMSG_END) {
        count++;
        must(payload.octets.len == 0 ||
             (payload.octets.data >= nmsg.data && payload.octets.data + payload.octets.len <= nmsg.data + nmsg.len));
    }
    must(count == container.count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct nmsg_assembly *assembly;
    static uint64_t now;
    struct nmsg_datagram datagram;
    struct nmsg_fragment fragment;
    struct octets whole;
    if (!assembly)
        assembly = nmsg_assembly_new(64 * 1024, 100);
    if (!nmsg_datagram_read((struct octets){data, (uint32_t)size}, &datagram))
        return 0;
    if (!(datagram.flags & NMSG_FLAG_FRAGMENT))
        read_all(datagram.flags, datagram.body);
    else if (nmsg_fragment_read(datagram.body, &fragment) &&
             nmsg_assembly_put(assembly, 0, now++, &fragment, &datagram.flags, &whole) == ASSEMBLED_WHOLE)
        read_all(datagram.flags, whole);
    return 0;
}
