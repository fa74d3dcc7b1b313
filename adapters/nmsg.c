/* NMSG over UDP, as nmsgtool speaks it: nmsg+udp:HOST:PORT. */
#include "nmsg.h"

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>

#include "nmsg/payload.h"

static const char *const schemes[] = {"nmsg+udp", NULL};

static const struct option_spec source_options[] = {
    {.name = "fragments",
     .type = OPTION_SIZE,
     .fallback = "4MiB",
     .min = 64 << 10,
     .max = 1 << 30,
     .meaning = "memory for fragments that wait for the rest; the oldest make room"},
    {.name = "fragment-age",
     .type = OPTION_DURATION,
     .fallback = "5s",
     .min = 100,
     .max = 3600000,
     .meaning = "how long they wait"},
    {.name = "receive-buffer",
     .type = OPTION_SIZE,
     .fallback = "4MiB",
     .min = 4096,
     .max = 1 << 30,
     .meaning = "what the kernel is asked to hold for us"},
    {.name = "iface",
     .type = OPTION_STRING,
     .meaning = "the interface on which to join a multicast group"},
    {0},
};

static const struct option_spec sink_options[] = {
    NMSG_PAYLOAD_OPTIONS,
    {.name = "mtu",
     .type = OPTION_COUNT,
     .fallback = "1280",
     .min = NMSG_SIZE_MIN,
     .max = NMSG_SIZE_MAX,
     .meaning = "octets of a datagram at most; 1280 for Ethernet, 8192 for jumbo frames"},
    {.name = "zlib",
     .type = OPTION_FLAG,
     .meaning = "compress containers that become smaller by it"},
    {.name = "flush",
     .type = OPTION_DURATION,
     .fallback = "500ms",
     .max = 3600000,
     .meaning = "how long a container may wait to be filled"},
    {.name = "rate",
     .type = OPTION_RATE,
     .min = 1,
     .max = 100000000,
     .meaning = "datagrams per second at most (unset: no bound)"},
    {.name = "resolve-every",
     .type = OPTION_DURATION,
     .fallback = "5m",
     .min = 1000,
     .max = 24 * 3600 * 1000,
     .meaning = "how often the receiver's name is looked up anew"},
    {.name = "ttl",
     .type = OPTION_COUNT,
     .fallback = "1",
     .min = 1,
     .max = 255,
     .meaning = "how many routers a multicast datagram may pass"},
    {.name = "iface", .type = OPTION_STRING, .meaning = "the interface for multicast"},
    {0},
};

bool nmsg_is_multicast(const struct address *address)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)&address->storage;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&address->storage;
    if (address->storage.ss_family == AF_INET)
        return IN_MULTICAST(ntohl(in->sin_addr.s_addr));
    return IN6_IS_ADDR_MULTICAST(&in6->sin6_addr);
}

bool nmsg_interface(const struct options *options, unsigned *index, struct error *error)
{
    const char *name = options_string(options, "iface");
    *index = name ? if_nametoindex(name) : 0;
    return !name || *index > 0 ||
           error_set(error, "there is no interface '%.32s': %s", name, strerror(errno));
}

const struct adapter nmsg_adapter = {
    .schemes = schemes,
    .address = "HOST:PORT",
    .source_summary = "takes NMSG datagrams with base:dnstap in them",
    .sink_summary = "sends NMSG datagrams of base:dnstap, base:dnsqr or base:dnsobs",
    .source = &nmsg_source_ops,
    .sink = &nmsg_sink_ops,
    .source_options = source_options,
    .sink_options = sink_options,
    .loops = place_is_same,
};
