#include "nng_seek.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "nng_reason.h"

enum {
    PATIENCE_MS = 5000,    /* without a peer, until that is said, */
    SAY_AGAIN_MS = 60000,  /* and said again */
    TRY_MS = 3000,         /* for one address of a name */
    TRY_LOOK_MS = 100,     /* how often libnng is asked meanwhile what went wrong */
    STAY_MS = 3000,        /* for a peer that is gone to come back to the address where it was */
    ROUND_MS = 1000,       /* between two rounds over all addresses */
};

/* A time without a peer. */
struct search {
    int64_t since; /* ms; 0: there is one */
    int64_t say;
    struct nng_troubles before;
    struct error trouble; /* of the last round over a name's addresses; "": none yet */
};

static bool has_peer(const struct nng_end *end)
{
    return atomic_load(&end->peers->count) > 0;
}

/* Sleeps until a peer comes or goes, or for so long. False: this is the end. */
static bool sleep_until_change(const struct nng_end *end, int64_t timeout)
{
    uint64_t count;
    bool on = waker_wait(&end->waker, end->peers->changed, POLLIN, (int)timeout) != WAIT_WOKEN;
    while (on && read(end->peers->changed, &count, sizeof count) > 0)
        ;
    return on;
}

/* A listener that nobody looks for is no trouble, a dialer always is. */
static void say_alone(const struct nng_end *end, struct search *s, int64_t now)
{
    uint64_t times = 0;
    struct nng_troubles all = nng_troubles_of(end->socket, end->listens);
    const char *reason = s->trouble.text[0] ? s->trouble.text : nng_reason(&all, &s->before, end->listens, &times);
    char more[40] = "";
    s->say = now + SAY_AGAIN_MS;
    if (end->listens && !reason)
        return;
    if (times > 1)
        snprintf(more, sizeof more, " (%" PRIu64 " times)", times);
    log_line(LOG_WARN, "%s %s: no peer yet after %lld s: %s%s", end->peers->what, end->peers->url,
             (long long)(now - s->since + 500) / 1000, reason ? reason : "libnng does not say why", more);
    s->before = all;
}

/* Keeps the time without a peer, and says it when it is long. The milliseconds until it is said again. */
static int64_t note_alone(const struct nng_end *end, struct search *s)
{
    int64_t now = clock_ms(CLOCK_MONOTONIC);
    if (s->since == 0) {
        s->since = now;
        s->say = now + PATIENCE_MS;
        s->trouble.text[0] = '\0';
    }
    if (now >= s->say)
        say_alone(end, s, now);
    return s->say - now;
}

/* One line for peers that TLS keeps out while others are there. */
static void say_kept_out(const struct nng_end *end, struct search *s)
{
    static struct log_limit limit;
    uint64_t times;
    struct nng_troubles all = nng_troubles_of(end->socket, end->listens);
    const char *reason = nng_reason(&all, &s->before, end->listens, &times);
    if (reason)
        log_limited(&limit, LOG_WARN, "%s %s: %s (%" PRIu64 " times)", end->peers->what, end->peers->url, reason, times);
    s->before = all;
}

/* While libnng itself listens or dials. Until there has been no peer for `patience` (-1: never). False: this is the end. */
static bool watch(const struct nng_end *end, struct search *s, int64_t patience)
{
    for (;;) {
        int64_t timeout = -1;
        if (!has_peer(end)) {
            timeout = note_alone(end, s);
            if (patience >= 0 && clock_ms(CLOCK_MONOTONIC) - s->since >= patience)
                return true;
            timeout = patience >= 0 && patience < timeout ? patience : timeout;
        } else {
            s->since = 0;
            if (end->listens && end->by_tls) {
                say_kept_out(end, s);
                timeout = SAY_AGAIN_MS;
            }
        }
        if (!sleep_until_change(end, timeout))
            return false;
    }
}

/* --- a name --- */

static void note_trouble(struct error *all, const char *url, const char *why)
{
    const char *at = strstr(url, "://");
    error_add(all, "%s: %s", at ? at + 3 : url, why);
}

enum tried { TRIED_IN_VAIN, TRIED_WELL, TRIED_TO_THE_END };

/* One address: until there is a peer, something went wrong, or its time is over. */
static enum tried try_address(struct nng_end *end, const char *url, struct error *trouble)
{
    uint64_t times;
    const struct nng_troubles before = nng_troubles_of(end->socket, false);
    int rv = nng_dial_at(end, url);
    const char *why = rv ? nng_strerror(rv) : NULL;
    for (int64_t limit = clock_ms(CLOCK_MONOTONIC) + TRY_MS; !why && clock_ms(CLOCK_MONOTONIC) < limit;) {
        if (!sleep_until_change(end, TRY_LOOK_MS))
            return TRIED_TO_THE_END;
        if (has_peer(end))
            return TRIED_WELL;
        const struct nng_troubles now = nng_troubles_of(end->socket, false);
        why = nng_reason(&now, &before, false, &times);
    }
    nng_dial_no_more(end);
    note_trouble(trouble, url, why ? why : "no answer");
    return TRIED_IN_VAIN;
}

/* All addresses that the name has now, in order. */
static enum tried try_all(struct nng_end *end, struct error *trouble)
{
    struct addresses found;
    enum tried tried = TRIED_IN_VAIN;
    switch (resolve(&end->at, false, &end->waker, -1, &found, trouble)) {
    case RESOLVE_WOKEN:
        return TRIED_TO_THE_END;
    case RESOLVE_FAILED:
        return TRIED_IN_VAIN;
    case RESOLVED:
        break;
    }
    trouble->text[0] = '\0';
    for (unsigned i = 0; tried == TRIED_IN_VAIN && i < found.count; i++) {
        char url[NNG_URL_ROOM];
        nng_url_of(end, &found.list[i], url);
        tried = try_address(end, url, trouble);
    }
    return tried;
}

static void seek_by_name(struct nng_end *end, struct search *s)
{
    for (;;) {
        struct error trouble = {{0}};
        note_alone(end, s);
        switch (try_all(end, &trouble)) {
        case TRIED_TO_THE_END:
            return;
        case TRIED_WELL:
            s->since = 0;
            if (!watch(end, s, STAY_MS))
                return;
            nng_dial_no_more(end);
            break;
        case TRIED_IN_VAIN:
            s->trouble = trouble;
            note_alone(end, s);
            if (!sleep_until_change(end, ROUND_MS))
                return;
            break;
        }
    }
}

static void *seek(void *arg)
{
    struct nng_end *end = arg;
    struct search s = {0};
    if (end->by_name && !end->listens)
        seek_by_name(end, &s);
    else
        watch(end, &s, -1);
    return NULL;
}

bool nng_seek_start(struct nng_end *end, struct error *error)
{
    end->started = pthread_create(&end->thread, NULL, seek, end) == 0;
    return end->started || error_set(error, "cannot start a thread");
}
