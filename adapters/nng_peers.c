#include "nng_peers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "log.h"

struct nng_named {
    int pipe;
    bool ended; /* its stream ended as it should, or it was never let in */
    char name[NNG_PEER_NAME];
};

bool nng_peers_init(struct nng_peers *peers, const char *what, const struct place *place, struct error *error)
{
    *peers = (struct nng_peers){
        .url = strdup(place->url),
        .what = what,
        .max = (int)options_number(place->options, "max-connections"),
        .changed = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
    };
    pthread_mutex_init(&peers->lock, NULL);
    if (peers->changed < 0)
        return error_set(error, "no descriptor left: %s", strerror(errno));
    return peers->url || error_set(error, "out of memory");
}

void nng_peers_free(struct nng_peers *peers)
{
    if (!peers->what)
        return;
    if (peers->changed >= 0)
        close(peers->changed);
    pthread_mutex_destroy(&peers->lock);
    free(peers->named);
    free(peers->url);
    *peers = (struct nng_peers){0};
}

static void print_address(nng_pipe pipe, char *out, size_t room)
{
    nng_sockaddr addr;
    char text[INET6_ADDRSTRLEN];
    snprintf(out, room, "peer %d", nng_pipe_id(pipe));
    if (nng_pipe_get_addr(pipe, NNG_OPT_REMADDR, &addr) != 0)
        return;
    if (addr.s_family == NNG_AF_INET && inet_ntop(AF_INET, &addr.s_in.sa_addr, text, sizeof text))
        snprintf(out, room, "%s:%u", text, ntohs(addr.s_in.sa_port));
    else if (addr.s_family == NNG_AF_INET6 && inet_ntop(AF_INET6, addr.s_in6.sa_addr, text, sizeof text))
        snprintf(out, room, "[%s]:%u", text, ntohs(addr.s_in6.sa_port));
}

/* Where no memory is left, it goes without a name. */
static void keep_name(struct nng_peers *peers, int pipe, const char *name, bool let_in)
{
    pthread_mutex_lock(&peers->lock);
    if (peers->named_count == peers->named_room) {
        unsigned room = peers->named_room ? 2 * peers->named_room : 8;
        struct nng_named *grown = realloc(peers->named, room * sizeof *grown);
        if (grown) {
            peers->named = grown;
            peers->named_room = room;
        }
    }
    if (peers->named_count < peers->named_room) {
        struct nng_named *named = &peers->named[peers->named_count++];
        named->pipe = pipe;
        named->ended = !let_in;
        snprintf(named->name, sizeof named->name, "%s", name);
    }
    pthread_mutex_unlock(&peers->lock);
}

void nng_peers_note_end(struct nng_peers *peers, int pipe)
{
    pthread_mutex_lock(&peers->lock);
    for (unsigned i = 0; i < peers->named_count; i++) {
        if (peers->named[i].pipe == pipe)
            peers->named[i].ended = true;
    }
    pthread_mutex_unlock(&peers->lock);
}

/* False: its stream did not end before it went. */
static bool take_name(struct nng_peers *peers, int pipe, char out[NNG_PEER_NAME])
{
    bool ended = true;
    snprintf(out, NNG_PEER_NAME, "peer %d", pipe);
    pthread_mutex_lock(&peers->lock);
    for (unsigned i = 0; i < peers->named_count; i++) {
        if (peers->named[i].pipe != pipe)
            continue;
        memcpy(out, peers->named[i].name, NNG_PEER_NAME);
        ended = peers->named[i].ended;
        peers->named[i] = peers->named[--peers->named_count];
        break;
    }
    pthread_mutex_unlock(&peers->lock);
    return ended;
}

static void tell(const struct nng_peers *peers)
{
    const uint64_t one = 1;
    while (write(peers->changed, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

/* False: it is turned away. */
static bool let_in(struct nng_peers *peers, nng_pipe pipe)
{
    static struct log_limit limit;
    char name[NNG_PEER_NAME];
    print_address(pipe, name, sizeof name);
    bool has_room = atomic_fetch_add(&peers->count, 1) < peers->max;
    keep_name(peers, nng_pipe_id(pipe), name, has_room);
    if (has_room)
        return true;
    atomic_fetch_add(&peers->turned_away, 1);
    log_limited(&limit, LOG_WARN, "%s %s: %s turned away: max-connections=%d", peers->what, peers->url, name, peers->max);
    return false;
}

/* libnng does not tell a message over the limit from a peer that closes the connection: both are named. */
static void say_gone(const struct nng_peers *peers, const char *name, bool ended)
{
    static struct log_limit limit, cut;
    if (ended || peers->message_max == 0 || atomic_load(&peers->ending))
        log_limited(&limit, LOG_INFO, "%s %s: %s gone", peers->what, peers->url, name);
    else
        log_limited(&cut, LOG_WARN,
                    "%s %s: %s gone before it ended its stream: the connection broke, or it sent a message of more than %zu octets, "
                    "for which libnng closes it (a larger max-frame= takes longer ones)",
                    peers->what, peers->url, name, peers->message_max);
}

static void on_pipe_event(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    static struct log_limit limit;
    struct nng_peers *peers = arg;
    char name[NNG_PEER_NAME];
    if (event == NNG_PIPE_EV_ADD_PRE) {
        if (!let_in(peers, pipe))
            nng_pipe_close(pipe);
        return;
    }
    if (event == NNG_PIPE_EV_ADD_POST) {
        print_address(pipe, name, sizeof name);
        log_limited(&limit, LOG_INFO, "%s %s: %s connected", peers->what, peers->url, name);
    } else {
        bool ended = take_name(peers, nng_pipe_id(pipe), name);
        atomic_fetch_sub(&peers->count, 1);
        atomic_store(&peers->left, true);
        say_gone(peers, name, ended);
    }
    tell(peers);
}

bool nng_peers_watch(nng_socket socket, struct nng_peers *peers, struct error *error)
{
    static const nng_pipe_ev events[] = {NNG_PIPE_EV_ADD_PRE, NNG_PIPE_EV_ADD_POST, NNG_PIPE_EV_REM_POST};
    for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
        int rv = nng_pipe_notify(socket, events[i], on_pipe_event, peers);
        if (rv != 0)
            return error_set(error, "cannot watch peers: %s", nng_strerror(rv));
    }
    return true;
}

uint64_t nng_peers_memory(uint64_t max)
{
    return 2 * max * sizeof(struct nng_named);
}
