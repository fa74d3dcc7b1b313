#include "status.h"

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "adapters/socket.h"
#include "clock.h"
#include "log.h"
#include "metrics.h"
#include "status_bounds.h"
#include "status_css.h"
#include "status_host.h"
#include "status_html.h"
#include "status_js.h"

/* Nothing of the page comes from elsewhere, and it talks to nobody else. */
#define CONTENT_POLICY                                                                             \
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "                \
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

enum {
    CLIENT_IDLE_S = 30,     /* a connection on which nothing moves is closed */
    ANSWER_LEAST_MS = 10000, /* that one may take, however many wait */
    HEARTBEAT_MS = 10000,   /* that the main thread may take to turn */
};

struct answer {
    unsigned code;
    struct buffer body;
};

struct resource {
    const char *path;
    const char *type;
    const char *text; /* NULL: it is written anew each time */
    size_t text_len;
    void (*write)(struct status *status, struct answer *answer);
    bool any_host; /* it tells nothing that a foreign page might read */
};

/* A connection, from MHD's notice that it began to that of its end. The door's thread alone. */
struct client {
    int fd; /* -1: free */
    int64_t since_ms;
    bool asked;     /* a whole request has come */
    bool answering; /* with one of the STATUS_ANSWERS */
};

/* One address that is listened on, and its server with a thread of its own. */
struct door {
    struct status *status;
    struct MHD_Daemon *daemon;
    struct client clients[STATUS_CLIENTS];
    unsigned client_count;
};

struct status {
    struct door doors[ADDRESSES_MAX];
    unsigned door_count;
    struct bell *main_bell;
    struct status_hosts *hosts;
    uint64_t process_started; /* microseconds since 1970 */
    _Atomic unsigned answers;
    _Atomic bool ready;
    pthread_mutex_t lock; /* the hop does not go while it is being copied */
    struct hop *hop;      /* NULL: closed */
    _Atomic uint32_t asked, answered; /* heartbeats of the main thread */
    _Atomic int64_t asked_ms;
};

/* The main thread has to turn to answer: asked by ringing its bell, so that it may sleep while nobody asks. */
static bool main_thread_turns(struct status *status)
{
    int64_t now = clock_ms(CLOCK_MONOTONIC);
    if (atomic_load(&status->asked) != atomic_load(&status->answered))
        return now - atomic_load(&status->asked_ms) < HEARTBEAT_MS;
    atomic_store(&status->asked_ms, now);
    atomic_fetch_add(&status->asked, 1);
    bell_ring(status->main_bell);
    return true;
}

static void write_health(struct status *status, struct answer *answer)
{
    bool turns = main_thread_turns(status);
    answer->code = turns ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE;
    buffer_put_string(&answer->body, turns ? "ok\n" : "the main thread does not turn\n");
}

static void write_ready(struct status *status, struct answer *answer)
{
    bool ready = atomic_load(&status->ready);
    answer->code = ready ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE;
    buffer_put_string(&answer->body, ready ? "ready\n" : "not ready\n");
}

/* False: the hop is gone. */
static bool copy_ledger(struct status *status, struct ledger_copy *ledger)
{
    pthread_mutex_lock(&status->lock);
    bool open = status->hop != NULL;
    if (open)
        hop_copy(status->hop, ledger);
    pthread_mutex_unlock(&status->lock);
    return open;
}

static void write_ledger(struct status *status, struct answer *answer)
{
    struct ledger_copy ledger;
    if (copy_ledger(status, &ledger)) {
        ledger_write_json(&ledger, &answer->body);
        buffer_put_char(&answer->body, '\n');
        ledger_copy_free(&ledger);
    }
}

static void write_metrics(struct status *status, struct answer *answer)
{
    struct ledger_copy ledger;
    if (copy_ledger(status, &ledger)) {
        metrics_write(&ledger, status->process_started, &answer->body);
        ledger_copy_free(&ledger);
    }
}

#define TEXT_OF(array) .text = array, .text_len = sizeof array - 1

static const struct resource resources[] = {
    {"/", "text/html; charset=utf-8", TEXT_OF(status_html)},
    {"/status.js", "text/javascript; charset=utf-8", TEXT_OF(status_js)},
    {"/status.css", "text/css; charset=utf-8", TEXT_OF(status_css)},
    {"/healthz", "text/plain; charset=utf-8", .write = write_health, .any_host = true},
    {"/readyz", "text/plain; charset=utf-8", .write = write_ready, .any_host = true},
    {"/ledger", "application/json", .write = write_ledger},
    {"/metrics", METRICS_CONTENT_TYPE, .write = write_metrics},
};

static const struct resource *find_resource(const char *path)
{
    for (size_t i = 0; i < sizeof resources / sizeof *resources; i++) {
        if (strcmp(resources[i].path, path) == 0)
            return &resources[i];
    }
    return NULL;
}

static enum MHD_Result respond(struct MHD_Connection *connection, unsigned code, const char *type,
                               struct MHD_Response *response)
{
    const char *headers[][2] = {
        {"Content-Type", type},
        {"Content-Security-Policy", CONTENT_POLICY},
        {"X-Content-Type-Options", "nosniff"},
        {"Referrer-Policy", "no-referrer"},
        {"Cache-Control", "no-store"},
    };
    if (!response)
        return MHD_NO;
    bool ok = true;
    for (size_t i = 0; ok && i < sizeof headers / sizeof *headers; i++)
        ok = MHD_add_response_header(response, headers[i][0], headers[i][1]) == MHD_YES;
    if (ok && code == MHD_HTTP_METHOD_NOT_ALLOWED)
        ok = MHD_add_response_header(response, "Allow", "GET, HEAD") == MHD_YES;
    if (ok && code == MHD_HTTP_SERVICE_UNAVAILABLE)
        ok = MHD_add_response_header(response, "Retry-After", "1") == MHD_YES;
    enum MHD_Result result = ok ? MHD_queue_response(connection, code, response) : MHD_NO;
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result respond_static(struct MHD_Connection *connection, unsigned code, const char *type, const char *text,
                                      size_t len)
{
    return respond(connection, code, type,
                   MHD_create_response_from_buffer(len, (void *)(uintptr_t)text, MHD_RESPMEM_PERSISTENT));
}

static enum MHD_Result respond_error(struct MHD_Connection *connection, unsigned code, const char *text)
{
    return respond_static(connection, code, "text/plain; charset=utf-8", text, strlen(text));
}

/* MHD lets go of an answer's text. */
struct held_answer {
    struct status *status;
    uint8_t *data;
};

static void release_answer(void *arg)
{
    struct held_answer *held = arg;
    atomic_fetch_sub(&held->status->answers, 1);
    free(held->data);
    free(held);
}

static enum MHD_Result respond_written(struct status *status, struct MHD_Connection *connection,
                                       const struct resource *resource)
{
    struct answer answer = {.code = MHD_HTTP_OK};
    struct held_answer *held = malloc(sizeof *held);
    if (held)
        resource->write(status, &answer);
    if (!held || answer.body.failed || answer.body.len == 0) {
        free(held);
        buffer_free(&answer.body);
        return respond_error(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory, or stopping\n");
    }
    *held = (struct held_answer){.status = status, .data = answer.body.data};
    atomic_fetch_add(&status->answers, 1);
    struct MHD_Response *response =
        MHD_create_response_from_buffer_with_free_callback_cls(answer.body.len, answer.body.data, release_answer, held);
    if (!response)
        release_answer(held);
    return respond(connection, answer.code, resource->type, response);
}

/* The client that has been here longest, of those that match; NULL: there is none. */
static struct client *oldest_client(struct door *door, bool asked, bool answering)
{
    struct client *oldest = NULL;
    for (unsigned i = 0; i < STATUS_CLIENTS; i++) {
        struct client *c = &door->clients[i];
        if (c->fd >= 0 && c->asked == asked && c->answering == answering && (!oldest || c->since_ms < oldest->since_ms))
            oldest = c;
    }
    return oldest;
}

/* MHD finds the end of the connection, and closes it. */
static void send_away(struct client *client)
{
    if (client)
        shutdown(client->fd, SHUT_RDWR);
}

/* May one more answer be made? Whoever reads one too slowly makes room for the next. */
static bool has_room_for_answer(struct door *door)
{
    if (atomic_load(&door->status->answers) < STATUS_ANSWERS)
        return true;
    struct client *slowest = oldest_client(door, true, true);
    if (slowest && clock_ms(CLOCK_MONOTONIC) - slowest->since_ms > ANSWER_LEAST_MS)
        send_away(slowest);
    return false;
}

static struct client *client_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

static enum MHD_Result handle(void *arg, struct MHD_Connection *connection, const char *url, const char *method,
                              const char *version, const char *upload, size_t *upload_size, void **request)
{
    struct door *door = arg;
    struct status *status = door->status;
    struct client *client = client_of(connection);
    const struct resource *resource = find_resource(url);
    (void)version;
    (void)upload;
    (void)upload_size;
    (void)request;
    if (client) {
        client->asked = true;
        client->since_ms = clock_ms(CLOCK_MONOTONIC);
    }
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        return respond_error(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "GET and HEAD are answered\n");
    if (!resource)
        return respond_error(connection, MHD_HTTP_NOT_FOUND, "not found\n");
    const char *host = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Host");
    if (!resource->any_host && !status_hosts_allow(status->hosts, host))
        return respond_error(connection, MHD_HTTP_MISDIRECTED_REQUEST,
                             "this hop is not known by that name: use its address, or name it with --status-host\n");
    if (resource->text)
        return respond_static(connection, MHD_HTTP_OK, resource->type, resource->text, resource->text_len);
    if (!has_room_for_answer(door))
        return respond_error(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "too many ask at once\n");
    if (client)
        client->answering = true;
    return respond_written(status, connection, resource);
}

static void request_completed(void *arg, struct MHD_Connection *connection, void **request,
                              enum MHD_RequestTerminationCode how)
{
    struct client *client = client_of(connection);
    (void)arg;
    (void)request;
    (void)how;
    if (client) {
        client->asked = client->answering = false;
        client->since_ms = clock_ms(CLOCK_MONOTONIC);
    }
}

static void client_begins(struct door *door, struct MHD_Connection *connection, void **context)
{
    if (door->client_count >= STATUS_CLIENTS_CROWDED) /* one with half a request, else one that was answered */
        send_away(oldest_client(door, false, false));
    unsigned i = 0;
    while (i < STATUS_CLIENTS && door->clients[i].fd >= 0)
        i++;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (i == STATUS_CLIENTS || !info)
        return;
    door->clients[i] = (struct client){.fd = info->connect_fd, .since_ms = clock_ms(CLOCK_MONOTONIC)};
    door->client_count++;
    *context = &door->clients[i];
}

static void connection_changes(void *arg, struct MHD_Connection *connection, void **context,
                               enum MHD_ConnectionNotificationCode what)
{
    struct door *door = arg;
    struct client *client = *context;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        client_begins(door, connection, context);
    } else if (client) {
        client->fd = -1;
        door->client_count--;
        *context = NULL;
    }
}

/* Takes over the descriptor. */
static bool open_door(struct status *status, int fd, struct error *error)
{
    struct door *door = &status->doors[status->door_count];
    door->status = status;
    for (unsigned i = 0; i < STATUS_CLIENTS; i++)
        door->clients[i].fd = -1;
    door->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC, 0, NULL, NULL, handle, door, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)STATUS_CLIENTS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)STATUS_CLIENT_MEMORY, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)CLIENT_IDLE_S, MHD_OPTION_NOTIFY_CONNECTION,
        connection_changes, door, MHD_OPTION_NOTIFY_COMPLETED, request_completed, door, MHD_OPTION_END);
    if (door->daemon) {
        status->door_count++;
        return true;
    }
    close(fd);
    return error_set(error, "cannot start its server");
}

static bool start_server(struct status *status, const char *address, struct error *error)
{
    const struct place place = {.url = address, .scheme = "tcp", .address = address};
    struct listeners listeners = {.count = 0};
    bool ok = listeners_open(&listeners, &place, error);
    for (unsigned i = 0; ok && i < listeners.count; i++) {
        int fd = listeners.fds[i];
        listeners.fds[i] = -1;
        ok = open_door(status, fd, error);
    }
    for (unsigned i = 0; !ok && i < listeners.count; i++) {
        if (listeners.fds[i] >= 0)
            close(listeners.fds[i]);
    }
    return ok;
}

static uint64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

struct status *status_open(const struct config *config, struct hop *hop, struct bell *main_bell, struct error *error)
{
    struct status *status = calloc(1, sizeof *status);
    if (!status) {
        error_set(error, "out of memory");
        return NULL;
    }
    pthread_mutex_init(&status->lock, NULL);
    status->main_bell = main_bell;
    status->hop = hop;
    status->process_started = now_us();
    status->hosts = status_hosts_new(config);
    if (!status->hosts)
        error_set(error, "out of memory");
    else if (start_server(status, config->status, error)) {
        log_line(LOG_INFO, "status: http://%s/", config->status);
        return status;
    }
    char prefix[512];
    snprintf(prefix, sizeof prefix, "status %s", config->status);
    error_prefix(error, prefix);
    status_close(status);
    return NULL;
}

void status_set_ready(struct status *status, bool ready)
{
    if (status)
        atomic_store(&status->ready, ready);
}

void status_heartbeat(struct status *status)
{
    if (status)
        atomic_store(&status->answered, atomic_load(&status->asked));
}

void status_close(struct status *status)
{
    if (!status)
        return;
    pthread_mutex_lock(&status->lock);
    status->hop = NULL;
    pthread_mutex_unlock(&status->lock);
    for (unsigned i = 0; i < status->door_count; i++)
        MHD_stop_daemon(status->doors[i].daemon);
    status_hosts_free(status->hosts);
    pthread_mutex_destroy(&status->lock);
    free(status);
}
