/* Batches over nng: nng+tcp:HOST:PORT, nng+tls:HOST:PORT, nng+ipc:PATH, nng+inproc:NAME. Push and pull make a pipeline
 * with back-pressure; pub and sub spread copies to whoever listens. */
#include "nng.h"

#include <string.h>

#include "nng_tls.h"
#include "receipt/options.h"

enum { NAME_LONGEST = 107 /* octets of a path of ipc or a name of inproc: sockaddr_un's */ };

static const char *const schemes[] = {"nng+tcp", "nng+tls", "nng+ipc", "nng+inproc", NULL};

static const struct option_spec source_options[] = {
    {.name = "socket", .type = OPTION_CHOICE, .choices = "pull|sub", .fallback = "pull",
     .meaning = "pull takes its share of what is pushed; sub gets a copy of what is published"},
    {.name = "listen", .type = OPTION_FLAG, .meaning = "bind here (default of pull)"},
    {.name = "dial", .type = OPTION_FLAG, .meaning = "connect to the other end (default of sub)"},
    {.name = "channel", .type = OPTION_STRING, .fallback = "raw",
     .meaning = "the channel to take, * for all; what a puller gets of others is malformed"},
    {.name = "buffer", .type = OPTION_COUNT, .fallback = "128", .min = 1, .max = 8192,
     .meaning = "sub: batches that nng holds for us before it drops (seen as lost)"},
    {.name = "max-connections", .type = OPTION_COUNT, .fallback = "64", .min = 1, .max = 100000,
     .meaning = "peers at once; a further one is turned away"},
    NNG_TLS_OPTIONS,
    RECEIPT_OPTIONS,
    {0},
};

static const struct option_spec sink_options[] = {
    {.name = "socket", .type = OPTION_CHOICE, .choices = "push|pub", .fallback = "push",
     .meaning = "push waits for a taker; pub copies to all who listen and never waits"},
    {.name = "listen", .type = OPTION_FLAG, .meaning = "bind here (default of pub)"},
    {.name = "dial", .type = OPTION_FLAG, .meaning = "connect to the other end (default of push)"},
    {.name = "channel", .type = OPTION_STRING, .fallback = "raw",
     .meaning = "the channel to publish to: the topic is dnstap/CHANNEL"},
    {.name = "buffer", .type = OPTION_COUNT, .fallback = "16", .min = 1, .max = 8192,
     .meaning = "pub: batches that nng holds for a slow subscriber before it drops"},
    {.name = "max-connections", .type = OPTION_COUNT, .fallback = "64", .min = 1, .max = 100000,
     .meaning = "peers at once; a further one is turned away"},
    NNG_TLS_OPTIONS,
    RECEIPT_OPTIONS,
    {0},
};

/* What follows the scheme, with or without the slashes of a URL. */
const char *nng_address_text(const struct place *place)
{
    return place->address + (strncmp(place->address, "//", 2) == 0 ? 2 : 0);
}

bool nng_address(const struct place *place, struct host_port *at, struct error *error)
{
    const char *address = nng_address_text(place);
    return host_port_read(address, strlen(address), at, error);
}

bool nng_is_by_port(const struct place *place)
{
    return nng_is_tls(place) || strcmp(place->scheme, "nng+tcp") == 0;
}

/* A path or a name, as long as libnng takes it, which would cut it. */
static bool check_name(const char *name, struct error *error)
{
    size_t len = strlen(name);
    return (len > 0 && len <= NAME_LONGEST) ||
           error_set(error, "the address has %zu octets, 1 to %d is what libnng takes", len, NAME_LONGEST);
}

static bool check_address(const struct place *place, struct error *error)
{
    struct host_port at;
    return nng_is_by_port(place) ? nng_address(place, &at, error) : check_name(nng_address_text(place), error);
}

/* Does this end listen: as the options say, else as its kind of socket does? */
bool nng_is_listening(const struct options *options, bool listens)
{
    return options_flag(options, "listen") || (listens && !options_flag(options, "dial"));
}

bool nng_check(const struct place *place, bool listens, struct error *error)
{
    if (options_flag(place->options, "listen") && options_flag(place->options, "dial"))
        return error_set(error, "options 'listen' and 'dial' exclude each other");
    return check_address(place, error) && nng_tls_check(place, nng_is_listening(place->options, listens), error);
}

const struct adapter nng_adapter = {
    .schemes = schemes,
    .address = "HOST:PORT for tcp and tls, PATH for ipc, NAME for inproc",
    .source_summary = "takes batches from other hops: socket=pull or sub",
    .sink_summary = "sends batches to other hops: socket=push or pub",
    .source = &nng_source_ops,
    .sink = &nng_sink_ops,
    .source_options = source_options,
    .sink_options = sink_options,
    .loops = place_is_same,
};
