/* Frame Streams over stream sockets, as DNS servers and fstrm's tools speak it: unix:PATH,
 * tcp:HOST:PORT, and tls:HOST:PORT, the same with TLS below it. */
#include "access.h"
#include "framestream.h"
#include "tls.h"

static const char *const schemes[] = {"unix", "tcp", "tls", NULL};

static const struct option_spec source_options[] = {
    {.name = "handshake-timeout", .type = OPTION_DURATION, .fallback = "10s", .min = 1, .max = 3600 * 1000,
     .meaning = "close a sender that has not begun after this time"},
    {.name = "max-connections", .type = OPTION_COUNT, .fallback = "4096", .min = 1, .max = 1000000,
     .meaning = "senders at once; a further one is turned away"},
    {.name = "partial", .type = OPTION_SIZE, .fallback = "64MiB", .min = 4096, .max = (uint64_t)1 << 40,
     .meaning = "memory for unfinished frames of all senders; one that needs more is closed"},
    ACCESS_OPTIONS,
    {.name = "max-handshakes", .type = OPTION_COUNT, .fallback = "128", .min = 1, .max = 100000,
     .meaning = "tls: handshakes at once; further senders wait, and after a second the oldest makes room"},
    TLS_OPTIONS,
    {0},
};

static const struct option_spec sink_options[] = {
    {.name = "handshake-timeout", .type = OPTION_DURATION, .fallback = "10s", .min = 1, .max = 3600 * 1000,
     .meaning = "give up on a connection that is not accepted after this time"},
    {.name = "reconnect", .type = OPTION_DURATION, .fallback = "5s", .min = 10, .max = 24 * 3600 * 1000,
     .meaning = "the longest wait between two tries to connect; each tries all addresses of the name"},
    TLS_OPTIONS,
    SERVER_NAME_OPTION("tls: "),
    {0},
};

const struct adapter framestream_adapter = {
    .schemes = schemes,
    .address = "PATH for unix, HOST:PORT for tcp and tls",
    .source_summary = "listens for Frame Streams senders: DNS servers, other collectors",
    .sink_summary = "sends Frame Streams to another collector, and reconnects",
    .source = &framestream_source_ops,
    .sink = &framestream_sink_ops,
    .source_options = source_options,
    .sink_options = sink_options,
    .loops = place_is_same,
};
