/* Batches over nng: nng+tcp:HOST:PORT, nng+tls:HOST:PORT, nng+ipc:PATH, nng+inproc:NAME. Push and pull make a pipeline
 * with back-pressure; pub and sub spread copies to whoever listens. */
#include "nng.h"

#include <nng/transport/tls/tls.h>

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "nng_tls.h"
#include "receipt/options.h"
#include "socket.h"
#include "tls.h"

enum {
    RECONNECT_FIRST_MS = 100,
    RECONNECT_LAST_MS = 1000,
    NAME_LONGEST = 107, /* octets of a path of ipc or a name of inproc: sockaddr_un's */
    URL_ROOM = HOST_ROOM + 32,
};

static const char *const schemes[] = {"nng+tcp", "nng+tls", "nng+ipc", "nng+inproc", NULL};

static const struct option_spec source_options[] = {
    {.name = "socket", .type = OPTION_CHOICE, .choices = "pull|sub", .fallback = "pull",
     .meaning = "pull takes its share of what is pushed; sub gets a copy of what is published"},
    {.name = "listen", .type = OPTION_FLAG, .meaning = "bind here (default of pull)"},
    {.name = "dial", .type = OPTION_FLAG, .meaning = "connect to the other end (default of sub)"},
    {.name = "channel", .type = OPTION_STRING, .fallback = "raw",
     .meaning = "the channel to take, * for all; others are counted as malformed"},
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

static void peer_name(nng_pipe pipe, char *out, size_t room)
{
    nng_sockaddr addr;
    snprintf(out, room, "peer %d", nng_pipe_id(pipe));
    if (nng_pipe_get_addr(pipe, NNG_OPT_REMADDR, &addr) != 0)
        return;
    const uint8_t *ip = (const uint8_t *)&addr.s_in.sa_addr;
    const uint8_t *port = (const uint8_t *)&addr.s_in.sa_port;
    if (addr.s_family == NNG_AF_INET)
        snprintf(out, room, "%u.%u.%u.%u:%u", ip[0], ip[1], ip[2], ip[3], port[0] << 8 | port[1]);
}

static void on_pipe_event(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    static struct log_limit limit;
    struct nng_peers *peers = arg;
    char name[64];
    peer_name(pipe, name, sizeof name);
    if (event == NNG_PIPE_EV_ADD_PRE) {
        if (atomic_fetch_add(&peers->count, 1) < peers->max)
            return;
        atomic_fetch_add(&peers->turned_away, 1);
        log_limited(&limit, LOG_WARN, "%s %s: %s turned away: max-connections=%d", peers->what,
                    peers->url, name, peers->max);
        nng_pipe_close(pipe);
    } else if (event == NNG_PIPE_EV_ADD_POST) {
        log_limited(&limit, LOG_INFO, "%s %s: %s connected", peers->what, peers->url, name);
    } else {
        atomic_fetch_sub(&peers->count, 1);
        atomic_store(&peers->left, true);
        log_limited(&limit, LOG_INFO, "%s %s: %s gone", peers->what, peers->url, name);
    }
}

bool nng_watch_peers(nng_socket socket, struct nng_peers *peers, struct error *error)
{
    static const nng_pipe_ev events[] = {NNG_PIPE_EV_ADD_PRE, NNG_PIPE_EV_ADD_POST,
                                         NNG_PIPE_EV_REM_POST};
    for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
        int rv = nng_pipe_notify(socket, events[i], on_pipe_event, peers);
        if (rv != 0)
            return error_set(error, "cannot watch peers: %s", nng_strerror(rv));
    }
    return true;
}

/* What follows the scheme, with or without the slashes of a URL. */
static const char *address_of(const struct place *place)
{
    return place->address + (strncmp(place->address, "//", 2) == 0 ? 2 : 0);
}

bool nng_address(const struct place *place, struct host_port *at, struct error *error)
{
    const char *address = address_of(place);
    return host_port_read(address, strlen(address), at, error);
}

static bool is_by_port(const struct place *place)
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
    return is_by_port(place) ? nng_address(place, &at, error) : check_name(address_of(place), error);
}

static void write_url(const struct place *place, char *out, size_t room)
{
    const char *transport = nng_is_tls(place) ? "tls+tcp" : strchr(place->scheme, '+') + 1;
    snprintf(out, room, "%s://%s", transport, address_of(place));
}

/* Does this end listen: as the options say, else as its kind of socket does? */
static bool is_listening(const struct options *options, bool listens)
{
    return options_flag(options, "listen") || (listens && !options_flag(options, "dial"));
}

bool nng_check(const struct place *place, bool listens, struct error *error)
{
    if (options_flag(place->options, "listen") && options_flag(place->options, "dial"))
        return error_set(error, "options 'listen' and 'dial' exclude each other");
    return check_address(place, error) && nng_tls_check(place, is_listening(place->options, listens), error);
}

/* An nng error number. */
static int set_tls(const struct nng_end *end, nng_tls_config *tls)
{
    return end->listens ? nng_listener_set_ptr(end->listener, NNG_OPT_TLS_CONFIG, tls)
                        : nng_dialer_set_ptr(end->dialer, NNG_OPT_TLS_CONFIG, tls);
}

/* An nng error number. */
static int start(nng_socket socket, const char *url, struct nng_end *end, nng_tls_config *tls)
{
    int rv = end->listens ? nng_listener_create(&end->listener, socket, url)
                          : nng_dialer_create(&end->dialer, socket, url);
    if (rv == 0 && tls)
        rv = set_tls(end, tls);
    if (rv != 0)
        return rv;
    return end->listens ? nng_listener_start(end->listener, 0)
                        : nng_dialer_start(end->dialer, NNG_FLAG_NONBLOCK);
}

bool nng_attach(nng_socket socket, const struct place *place, bool listens, struct nng_end *end,
                struct error *error)
{
    nng_tls_config *tls = NULL;
    char url[URL_ROOM];
    end->listens = is_listening(place->options, listens);
    write_url(place, url, sizeof url);
    if (nng_is_tls(place)) {
        nng_tls_register();
        tls = nng_tls_config_for(place, end->listens, error);
        if (!tls)
            return false;
    }
    nng_socket_set_ms(socket, NNG_OPT_RECONNMINT, RECONNECT_FIRST_MS);
    nng_socket_set_ms(socket, NNG_OPT_RECONNMAXT, RECONNECT_LAST_MS);
    int rv = start(socket, url, end, tls);
    if (tls)
        nng_tls_config_free(tls); /* nng holds its own */
    return rv == 0 || error_set(error, "cannot %s: %s", end->listens ? "listen" : "dial", nng_strerror(rv));
}

/* A listener of libnng has the session for its next peer ready, with the certificates that it had when it began
 * to wait: a connection of our own that says nothing takes it. */
static void use_up_session(nng_listener listener)
{
    nng_sockaddr local;
    struct address address = {0};
    if (nng_listener_get_addr(listener, NNG_OPT_LOCADDR, &local) != 0)
        return;
    if (local.s_family == NNG_AF_INET) {
        struct sockaddr_in *in = (struct sockaddr_in *)&address.storage;
        *in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = local.s_in.sa_port};
        memcpy(&in->sin_addr, &local.s_in.sa_addr, sizeof in->sin_addr);
        address.len = sizeof *in;
    } else if (local.s_family == NNG_AF_INET6) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&address.storage;
        *in6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = local.s_in6.sa_port};
        memcpy(&in6->sin6_addr, &local.s_in6.sa_addr, sizeof in6->sin6_addr);
        address.len = sizeof *in6;
    }
    int fd = address.len > 0 ? socket_connect(&address) : -1;
    if (fd >= 0)
        close(fd);
}

void nng_reload(const struct nng_end *end, const struct place *place, const char *what)
{
    struct error error;
    if (!nng_is_tls(place))
        return;
    nng_tls_config *tls = nng_tls_config_for(place, end->listens, &error);
    int rv = tls ? set_tls(end, tls) : 0;
    if (rv != 0)
        error_set(&error, "libnng does not take them: %s", nng_strerror(rv));
    if (tls)
        nng_tls_config_free(tls);
    bool ok = tls && rv == 0;
    tls_log_reload(what, place->url, ok ? NULL : error.text);
    if (ok && end->listens)
        use_up_session(end->listener);
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
};
