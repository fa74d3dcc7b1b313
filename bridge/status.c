#include "status.h"

#include <nng/nng.h>
#include <nng/supplemental/http/http.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "log.h"
#include "metrics.h"
#include "status_css.h"
#include "status_html.h"
#include "status_js.h"

/* Nothing of the page comes from elsewhere, and it talks to nobody else. */
#define CONTENT_POLICY                                                                             \
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "                \
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

struct answer {
    uint16_t code;
    struct buffer body;
};

struct resource {
    const char *path;
    const char *type;
    /* Under the lock, the hop is there. */
    void (*write)(const struct status *status, struct answer *answer);
};

enum { RESOURCES = 7 };

struct desk { /* what a handler knows */
    struct status *status;
    const struct resource *resource;
};

struct status {
    nng_http_server *server;
    struct desk desks[RESOURCES];
    _Atomic unsigned users; /* handlers that nng still holds, and the owner */
    const char *hop_name;
    uint64_t process_started; /* microseconds since 1970 */
    pthread_mutex_t lock;     /* answers are made one at a time, and not after the close */
    struct hop *hop;          /* NULL: closed */
    bool ready;
};

static void put_static(struct answer *answer, const char *text, size_t size)
{
    buffer_put(&answer->body, text, size - 1);
}

static void write_page(const struct status *status, struct answer *answer)
{
    (void)status;
    put_static(answer, status_html, sizeof status_html);
}

static void write_script(const struct status *status, struct answer *answer)
{
    (void)status;
    put_static(answer, status_js, sizeof status_js);
}

static void write_style(const struct status *status, struct answer *answer)
{
    (void)status;
    put_static(answer, status_css, sizeof status_css);
}

static void write_health(const struct status *status, struct answer *answer)
{
    (void)status;
    buffer_put_string(&answer->body, "ok\n");
}

static void write_ready(const struct status *status, struct answer *answer)
{
    answer->code = status->ready ? NNG_HTTP_STATUS_OK : NNG_HTTP_STATUS_SERVICE_UNAVAILABLE;
    buffer_put_string(&answer->body, status->ready ? "ready\n" : "not ready\n");
}

static void write_ledger(const struct status *status, struct answer *answer)
{
    hop_json_ledger(status->hop, &answer->body);
}

static void write_metrics(const struct status *status, struct answer *answer)
{
    metrics_write(status->hop, status->hop_name, status->process_started, &answer->body);
}

static const struct resource resources[RESOURCES] = {
    {"/", "text/html; charset=utf-8", write_page},
    {"/status.js", "text/javascript; charset=utf-8", write_script},
    {"/status.css", "text/css; charset=utf-8", write_style},
    {"/healthz", "text/plain; charset=utf-8", write_health},
    {"/readyz", "text/plain; charset=utf-8", write_ready},
    {"/ledger", "application/json", write_ledger},
    {"/metrics", METRICS_CONTENT_TYPE, write_metrics},
};

/* Only who drops the last reference frees: nng may let go of a handler after the server was released. */
static void status_unref(struct status *status)
{
    if (atomic_fetch_sub(&status->users, 1) > 1)
        return;
    pthread_mutex_destroy(&status->lock);
    free(status);
}

static void release_desk(void *arg)
{
    struct desk *desk = arg;
    status_unref(desk->status);
}

/* Everything of the answer, or an error of nng. */
static int fill_response(nng_http_res *response, const struct resource *resource,
                         const struct answer *answer)
{
    const char *headers[][2] = {
        {"Content-Type", resource->type},
        {"Content-Security-Policy", CONTENT_POLICY},
        {"X-Content-Type-Options", "nosniff"},
        {"Referrer-Policy", "no-referrer"},
        {"Cache-Control", "no-store"},
    };
    int rv = nng_http_res_set_status(response, answer->code);
    for (size_t i = 0; rv == 0 && i < sizeof headers / sizeof headers[0]; i++)
        rv = nng_http_res_set_header(response, headers[i][0], headers[i][1]);
    if (rv == 0)
        rv = nng_http_res_copy_data(response, answer->body.data, answer->body.len);
    return rv;
}

static int respond(const struct desk *desk, nng_http_res **response)
{
    struct status *status = desk->status;
    struct answer answer = {.code = NNG_HTTP_STATUS_OK};
    pthread_mutex_lock(&status->lock);
    bool open = status->hop != NULL;
    if (open)
        desk->resource->write(status, &answer);
    pthread_mutex_unlock(&status->lock);
    int rv = !open ? NNG_ECLOSED : answer.body.failed ? NNG_ENOMEM : nng_http_res_alloc(response);
    if (rv == 0 && (rv = fill_response(*response, desk->resource, &answer)) != 0)
        nng_http_res_free(*response);
    buffer_free(&answer.body);
    return rv;
}

static void handle(nng_aio *aio)
{
    nng_http_handler *handler = nng_aio_get_input(aio, 1);
    nng_http_res *response = NULL;
    int rv = respond(nng_http_handler_get_data(handler), &response);
    if (rv == 0)
        nng_aio_set_output(aio, 0, response);
    nng_aio_finish(aio, rv);
}

static int add_handler(struct status *status, unsigned i)
{
    nng_http_handler *handler;
    int rv = nng_http_handler_alloc(&handler, resources[i].path, handle);
    if (rv != 0)
        return rv;
    status->desks[i] = (struct desk){.status = status, .resource = &resources[i]};
    atomic_fetch_add(&status->users, 1);
    rv = nng_http_handler_set_data(handler, &status->desks[i], release_desk);
    if (rv != 0)
        atomic_fetch_sub(&status->users, 1);
    else if ((rv = nng_http_handler_collect_body(handler, true, 0)) == 0)
        rv = nng_http_server_add_handler(status->server, handler);
    if (rv != 0)
        nng_http_handler_free(handler);
    return rv;
}

static int start_server(struct status *status, const char *address)
{
    char text[512];
    nng_url *url;
    snprintf(text, sizeof text, "http://%s/", address);
    int rv = nng_url_parse(&url, text);
    if (rv != 0)
        return rv;
    rv = nng_http_server_hold(&status->server, url);
    nng_url_free(url);
    for (unsigned i = 0; rv == 0 && i < RESOURCES; i++)
        rv = add_handler(status, i);
    return rv == 0 ? nng_http_server_start(status->server) : rv;
}

static uint64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

struct status *status_open(const char *address, const char *hop_name, struct hop *hop,
                           struct error *error)
{
    struct status *status = calloc(1, sizeof *status);
    if (!status) {
        error_set(error, "out of memory");
        return NULL;
    }
    pthread_mutex_init(&status->lock, NULL);
    atomic_init(&status->users, 1);
    status->hop_name = hop_name;
    status->hop = hop;
    status->process_started = now_us();
    int rv = start_server(status, address);
    if (rv == 0) {
        log_line(LOG_INFO, "status: http://%s/", address);
        return status;
    }
    error_set(error, "status %s: cannot listen there: %s", address, nng_strerror(rv));
    status_close(status);
    return NULL;
}

void status_set_ready(struct status *status, bool ready)
{
    if (!status)
        return;
    pthread_mutex_lock(&status->lock);
    status->ready = ready;
    pthread_mutex_unlock(&status->lock);
}

void status_close(struct status *status)
{
    if (!status)
        return;
    pthread_mutex_lock(&status->lock);
    status->hop = NULL;
    pthread_mutex_unlock(&status->lock);
    if (status->server) {
        nng_http_server_stop(status->server);
        nng_http_server_release(status->server);
    }
    status_unref(status);
}
