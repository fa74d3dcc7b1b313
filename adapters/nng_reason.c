#include "nng_reason.h"

#include <string.h>

/* The names of libnng's counts, and what they mean to one who dials and to one who listens. */
static const struct {
    const char *stat, *dialing, *listening;
} kinds[NNG_REASONS] = {
    {"refused", "the connection was refused", "a connection was refused"},
    {"auth", "TLS: the certificate of one end is refused by the other (authority, name or date), or missing",
     "TLS: a peer showed no certificate of ours to trust, or refused our own"},
    {"proto", "the other end is no nng socket that fits (socket= of both ends)",
     "a peer is no nng socket that fits (socket= of both ends), or speaks no TLS"},
    {"timeout", "no answer", "a peer did not finish its handshake"},
    {"disconnect", "the other end closed the connection, which it does where it refuses TLS",
     "a peer closed the connection before it began, which it does where it refuses TLS"},
    {"other", "the connection failed: the address cannot be reached, or the other end refuses our TLS certificate",
     "a connection failed, as it does where TLS is refused"},
    {"oom", "out of memory", "out of memory"},
};

static void add(struct nng_troubles *sum, const nng_stat *scope, uint64_t socket)
{
    struct nng_troubles one = {{0}};
    bool ours = false;
    for (nng_stat *stat = nng_stat_child((nng_stat *)(uintptr_t)scope); stat; stat = nng_stat_next(stat)) {
        const char *name = nng_stat_name(stat);
        ours = ours || (strcmp(name, "socket") == 0 && nng_stat_value(stat) == socket);
        for (int i = 0; i < NNG_REASONS; i++) {
            if (strcmp(name, kinds[i].stat) == 0)
                one.counts[i] = nng_stat_value(stat);
        }
    }
    for (int i = 0; ours && i < NNG_REASONS; i++)
        sum->counts[i] += one.counts[i];
}

struct nng_troubles nng_troubles_of(nng_socket socket, bool listens)
{
    struct nng_troubles sum = {{0}};
    nng_stat *root;
    if (nng_stats_get(&root) != 0)
        return sum;
    for (nng_stat *scope = nng_stat_child(root); scope; scope = nng_stat_next(scope)) {
        if (strcmp(nng_stat_name(scope), listens ? "listener" : "dialer") == 0)
            add(&sum, scope, (uint64_t)nng_socket_id(socket));
    }
    nng_stats_free(root);
    return sum;
}

const char *nng_reason(const struct nng_troubles *now, const struct nng_troubles *before, bool listens, uint64_t *times)
{
    int most = -1;
    *times = 0;
    for (int i = 0; i < NNG_REASONS; i++) {
        uint64_t more = now->counts[i] > before->counts[i] ? now->counts[i] - before->counts[i] : 0;
        if (more > *times) {
            *times = more;
            most = i;
        }
    }
    if (most < 0)
        return NULL;
    return listens ? kinds[most].listening : kinds[most].dialing;
}
