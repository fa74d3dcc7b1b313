#include "nng_end.h"

#include <netinet/in.h>
#include <nng/transport/tls/tls.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "apart.h"
#include "log.h"
#include "nng.h"
#include "nng_seek.h"
#include "nng_tls.h"
#include "socket.h"
#include "tls.h"

enum { RECONNECT_FIRST_MS = 100, RECONNECT_LAST_MS = 1000, CLOSE_MS = 5000 };

static bool cannot(const struct nng_end *end, int rv, struct error *error)
{
    return rv == 0 || error_set(error, "cannot %s: %s", end->listens ? "listen" : "dial", nng_strerror(rv));
}

/* --- listening --- */

/* An nng error number. */
static int listen_at(struct nng_end *end, const char *url)
{
    nng_listener listener;
    int rv = nng_listener_create(&listener, end->socket, url);
    if (rv != 0)
        return rv;
    if (end->tls)
        rv = nng_listener_set_ptr(listener, NNG_OPT_TLS_CONFIG, end->tls);
    if (rv == 0)
        rv = nng_listener_start(listener, 0);
    if (rv == 0)
        end->listeners[end->listener_count++] = listener;
    else
        nng_listener_close(listener);
    return rv;
}

/* As Frame Streams' listeners: an IPv6 address that this machine does not have is left out beside others. */
static bool listen_at_all(struct nng_end *end, const struct addresses *found, struct error *error)
{
    for (unsigned i = 0; i < found->count; i++) {
        char url[NNG_URL_ROOM];
        nng_url_of(end, &found->list[i], url);
        int rv = listen_at(end, url);
        if (rv == 0)
            continue;
        error_set(error, "cannot listen at %s: %s", url, nng_strerror(rv));
        if (found->count == 1 || found->list[i].storage.ss_family != AF_INET6 || rv == NNG_EADDRINUSE)
            return false;
        log_line(LOG_WARN, "%s %s: %s", end->peers->what, end->peers->url, error->text);
    }
    return end->listener_count > 0;
}

static bool listen_by_name(struct nng_end *end, struct error *error)
{
    struct addresses found;
    return resolve(&end->at, true, NULL, LISTEN_RESOLVE_MS, &found, error) == RESOLVED && listen_at_all(end, &found, error);
}

/* --- dialing --- */

int nng_dial_at(struct nng_end *end, const char *url)
{
    pthread_mutex_lock(&end->lock);
    int rv = nng_dialer_create(&end->dialer, end->socket, url);
    end->dialing = rv == 0;
    if (rv == 0 && end->tls)
        rv = nng_dialer_set_ptr(end->dialer, NNG_OPT_TLS_CONFIG, end->tls);
    if (rv == 0)
        rv = nng_dialer_start(end->dialer, NNG_FLAG_NONBLOCK);
    pthread_mutex_unlock(&end->lock);
    return rv;
}

void nng_dial_no_more(struct nng_end *end)
{
    pthread_mutex_lock(&end->lock);
    nng_dialer dialer = end->dialer;
    bool dialing = end->dialing;
    end->dialing = false;
    pthread_mutex_unlock(&end->lock);
    if (dialing)
        nng_dialer_close(dialer);
}

void nng_url_of(const struct nng_end *end, const struct address *address, char out[NNG_URL_ROOM])
{
    char text[ADDRESS_TEXT];
    address_print((const struct sockaddr *)&address->storage, text, sizeof text);
    snprintf(out, NNG_URL_ROOM, "%s://%s", end->transport, text);
}

/* --- both --- */

/* A place that is not named but written as it is: one listener or dialer, whose mistakes show at once. */
static bool attach_as_written(struct nng_end *end, const struct place *place, struct error *error)
{
    char url[NNG_URL_ROOM];
    snprintf(url, sizeof url, "%s://%s", end->transport, nng_address_text(place));
    if (strncmp(nng_address_text(place), "*:", 2) == 0) /* all hosts, as `:PORT` */
        snprintf(url, sizeof url, "%s://%s", end->transport, nng_address_text(place) + 1);
    return cannot(end, end->listens ? listen_at(end, url) : nng_dial_at(end, url), error);
}

static bool set_up_tls(struct nng_end *end, const struct place *place, struct error *error)
{
    if (!nng_is_tls(place))
        return true;
    nng_tls_register();
    end->tls = nng_tls_config_for(place, end->listens, error);
    return end->tls != NULL;
}

bool nng_attach(struct nng_end *end, nng_socket socket, const struct place *place, bool listens, struct nng_peers *peers,
                struct error *error)
{
    *end = (struct nng_end){
        .listens = nng_is_listening(place->options, listens),
        .socket = socket,
        .peers = peers,
        .by_tls = nng_is_tls(place),
        .transport = nng_is_tls(place) ? "tls+tcp" : strchr(place->scheme, '+') + 1,
        .waker.fd = -1,
    };
    pthread_mutex_init(&end->lock, NULL);
    if (!waker_init(&end->waker))
        return error_set(error, "no descriptor left");
    if (nng_is_by_port(place) && !nng_address(place, &end->at, error))
        return false;
    end->by_name = nng_is_by_port(place) && !end->at.is_address && end->at.host[0];
    if (!set_up_tls(end, place, error))
        return false;
    nng_socket_set_ms(socket, NNG_OPT_RECONNMINT, RECONNECT_FIRST_MS);
    nng_socket_set_ms(socket, NNG_OPT_RECONNMAXT, RECONNECT_LAST_MS);
    bool ok = !end->by_name  ? attach_as_written(end, place, error)
              : end->listens ? listen_by_name(end, error)
                             : true;
    return ok && nng_seek_start(end, error);
}

void nng_detach(struct nng_end *end)
{
    if (!end->peers)
        return;
    if (end->started) {
        waker_wake(&end->waker);
        pthread_join(end->thread, NULL);
    }
    if (end->tls)
        nng_tls_config_free(end->tls);
    waker_close(&end->waker);
    pthread_mutex_destroy(&end->lock);
    end->peers = NULL;
}

void nng_close_apart(void (*close_it)(void *arg), void *arg, const char *url)
{
    if (!run_apart(close_it, arg, CLOSE_MS))
        log_line(LOG_WARN,
                 "%s: libnng does not close its socket in %d s: it is left behind, and its memory and "
                 "connections with it",
                 url, CLOSE_MS / 1000);
}

/* --- certificates --- */

/* An nng error number. */
static int use_tls(struct nng_end *end, nng_tls_config *tls)
{
    int rv = 0;
    pthread_mutex_lock(&end->lock);
    for (unsigned i = 0; rv == 0 && i < end->listener_count; i++)
        rv = nng_listener_set_ptr(end->listeners[i], NNG_OPT_TLS_CONFIG, tls);
    if (rv == 0 && end->dialing)
        rv = nng_dialer_set_ptr(end->dialer, NNG_OPT_TLS_CONFIG, tls);
    if (rv == 0) {
        nng_tls_config_free(end->tls);
        end->tls = tls;
    }
    pthread_mutex_unlock(&end->lock);
    return rv;
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

void nng_reload(struct nng_end *end, const struct place *place, const char *what)
{
    struct error error;
    if (!nng_is_tls(place))
        return;
    nng_tls_config *tls = nng_tls_config_for(place, end->listens, &error);
    int rv = tls ? use_tls(end, tls) : 0;
    if (rv != 0) {
        error_set(&error, "libnng does not take them: %s", nng_strerror(rv));
        nng_tls_config_free(tls);
    }
    bool ok = tls && rv == 0;
    tls_log_reload(what, place->url, ok ? NULL : error.text);
    for (unsigned i = 0; ok && i < end->listener_count; i++)
        use_up_session(end->listeners[i]);
}
