#include "tap_bus.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "frame.h"
#include "log.h"
#include "pledge.h"
#include "route.h"

/* Octets that one write hands on before it waits for them to be settled: enough for a broker's
 * round trip to be worth it, and all that the route's ring ever holds. */
enum { WRITE_LIMIT = 1 << 20 };

struct bus {
    struct tap_output output;
    const struct tap *tap;
    struct endpoint endpoint;
    struct sink_host host;
    char hop[HOP_NAME_MAX + 1];
    struct outlet *outlet;
    struct entrance entrance;
    struct pledge pledge; /* of the write under way */
    struct bell ended;
    bool started;
    int event; /* an eventfd: the pledge was released, or the outlet has ended */
};

static void bus_signal(struct bus *bus)
{
    const uint64_t one = 1;
    if (write(bus->event, &one, sizeof one) < 0)
        return; /* only where it was signalled 2^64 times and never read */
}

static void bus_released(struct pledge *pledge)
{
    bus_signal((struct bus *)(void *)((char *)pledge - offsetof(struct bus, pledge)));
}

static void bus_rouse(void *arg)
{
    bus_signal(arg);
}

/* False: the tap closes, and its time is up. */
static bool bus_await(struct bus *bus, struct tap_wait *wait)
{
    uint64_t seen;
    if (tap_wait(wait, bus->event, POLLIN, -1) != TAP_WAIT_READY)
        return false;
    return read(bus->event, &seen, sizeof seen) == sizeof seen || errno == EAGAIN;
}

/* The account that envelopes carry: the tap as the first hop. */
static void bus_ledger(void *arg, struct tally *tally, uint64_t *lost)
{
    struct tap_counters c = tap_counters(((struct bus *)arg)->tap);
    *tally = (struct tally){
        .received = c.accepted + c.dropped,
        .delivered = c.written,
        .dropped = c.dropped,
        .failed = c.failed,
        .in_flight = c.accepted - c.written - c.failed,
    };
    *lost = 0;
}

static void bus_path(void *arg, struct envelope *envelope)
{
    (void)arg;
    (void)envelope;
}

static void name_hop(struct bus *bus, struct tap_bytes identity)
{
    size_t len = identity.len < HOP_NAME_MAX ? identity.len : HOP_NAME_MAX;
    if (identity.data && len > 0)
        memcpy(bus->hop, identity.data, len);
    else if (gethostname(bus->hop, sizeof bus->hop - 1) != 0)
        strcpy(bus->hop, "tap");
}

static void bus_destroy(struct tap_output *output)
{
    struct bus *bus = (struct bus *)(void *)output;
    outlet_free(bus->outlet);
    endpoint_free(&bus->endpoint);
    if (bus->event >= 0)
        close(bus->event);
    free(bus);
}

static bool put_policy_to_work(struct bus *bus, struct error *error)
{
    struct policy *policy = bus->endpoint.policy;
    bus->endpoint.policy = NULL;
    if (!policy || outlet_change_policy(bus->outlet, policy, bus->endpoint.policy_hash, NULL, 0))
        return true;
    policy_free(policy);
    return error_set(error, "out of memory");
}

/* Opens the adapter's sink, so that a mistake is an error of tap_open; its thread starts in
 * bus_open. */
static bool bus_prepare(struct bus *bus, const char *url, struct error *error)
{
    bus->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (bus->event < 0)
        return error_set(error, "no descriptor left: %s", strerror(errno));
    if (!endpoint_parse(&bus->endpoint, DIRECTION_SINK, url, error))
        return false;
    if (bus->endpoint.policy && plan_rejects(policy_plan(bus->endpoint.policy), 0))
        return error_set(error, "%.100s: a tap has no other sink that rejects: could name", url);
    if (options_number(&bus->endpoint.options, "ring") < 2 * WRITE_LIMIT)
        return error_set(error, "%.100s: ring=%s is too small for a tap; leave it out", url,
                         options_string(&bus->endpoint.options, "ring"));
    bus->host =
        (struct sink_host){.hop = bus->hop, .ledger = bus_ledger, .path = bus_path, .arg = bus};
    bus->outlet = outlet_new(&bus->endpoint, &bus->host, error);
    if (!bus->outlet)
        return false;
    if (!put_policy_to_work(bus, error))
        return false;
    struct route *route = route_new(bus->outlet, (struct named){.url = "tap", .nth = 1}, false, bus);
    return (route && outlet_add_route(bus->outlet, route, &bus->entrance)) || error_set(error, "out of memory for the ring");
}

static struct tap_output *bus_create(const struct tap_output_ops *ops, const struct tap *tap,
                                     const char *address, const struct tap_options *options,
                                     char *error, size_t error_size)
{
    struct error why = {{0}};
    char *url = NULL;
    struct bus *bus = calloc(1, sizeof *bus);
    if (!bus || asprintf(&url, "%s:%s", ops->scheme, address) < 0) {
        snprintf(error, error_size, "out of memory");
        free(bus);
        return NULL;
    }
    bus->output.ops = ops;
    bus->tap = tap;
    bus->event = -1;
    bus->ended = (struct bell){.rouse = bus_rouse, .arg = bus};
    name_hop(bus, options->identity);
    bool ok = bus_prepare(bus, url, &why);
    free(url);
    if (ok)
        return &bus->output;
    snprintf(error, error_size, "%s", why.text);
    bus_destroy(&bus->output);
    return NULL;
}

static bool bus_open(struct tap_output *output, struct tap_wait *wait, char *error,
                     size_t error_size)
{
    struct error why = {{0}};
    struct bus *bus = (struct bus *)(void *)output;
    (void)wait;
    bus->started = bus->started || outlet_start(bus->outlet, &bus->ended, &why);
    if (bus->started)
        return true;
    snprintf(error, error_size, "%s", why.text);
    return false;
}

/* The frames from `data` that make one batch, and their number. */
static size_t slice(const uint8_t *data, size_t len, uint32_t *count)
{
    size_t end = 0;
    *count = 0;
    while (end < len) {
        size_t frame = FRAME_HEADER + load_be32(data + end);
        if (end > 0 && end + frame > BATCH_LIMIT)
            break;
        end += frame;
        ++*count;
    }
    return end;
}

static bool offer_slice(struct bus *bus, const uint8_t *data, size_t len, uint32_t count)
{
    struct batch *batch = batch_alloc((uint32_t)len);
    if (!batch)
        return false;
    memcpy(batch + 1, data, len);
    batch->count = count;
    batch->pledge = pledge_ref(&bus->pledge);
    account_received(bus->entrance.account, count);
    if (ring_offer(bus->entrance.ring, batch))
        return true;
    /* never: the ring is empty before each write, and larger than one */
    account_dropped(bus->entrance.account, count);
    batch_unref(batch);
    return false;
}

/* Offers a run, slice by slice. Returns the octets offered: fewer only when memory is short. */
static size_t offer_run(struct bus *bus, const struct tap_run *run, uint64_t *messages)
{
    size_t done = 0;
    uint32_t count;
    while (done < run->len) {
        size_t len = slice(run->data + done, run->len - done, &count);
        if (!offer_slice(bus, run->data + done, len, count))
            break;
        done += len;
        *messages += count;
    }
    return done;
}

static ssize_t bus_write(struct tap_output *output, const struct tap_run *runs, unsigned count,
                         uint32_t *failed, struct tap_wait *wait)
{
    struct bus *bus = (struct bus *)(void *)output;
    const uint64_t many = UINT64_MAX / 2; /* until it is known how many, the pledge stays open */
    uint64_t messages = 0;
    size_t taken = 0;
    pledge_init(&bus->pledge, bus_released);
    pledge_promise(&bus->pledge, many);
    for (unsigned i = 0; i < count && taken + runs[i].len <= WRITE_LIMIT; i++) {
        size_t done = offer_run(bus, &runs[i], &messages);
        taken += done;
        if (done < runs[i].len)
            break;
    }
    pledge_settle(&bus->pledge, many - messages);
    pledge_unref(&bus->pledge);
    if (!bus_await(bus, wait))
        return 0;
    if (taken == 0) {
        errno = ENOMEM;
        return -1;
    }
    *failed = (uint32_t)atomic_load(&bus->pledge.open);
    return (ssize_t)taken;
}

static int bus_descriptor(const struct tap_output *output)
{
    (void)output;
    return -1; /* the adapter looks after its connections itself */
}

/* Says goodbye as the bus knows it; the outlet may be used again only after TAP_END_LOST. */
static void bus_close(struct tap_output *output, enum tap_end end, size_t torn,
                      struct tap_wait *wait)
{
    struct bus *bus = (struct bus *)(void *)output;
    bool in_time = true;
    (void)torn; /* always 0: runs are taken whole */
    if (end == TAP_END_LOST)
        return;
    outlet_close(bus->outlet);
    while (in_time && !outlet_ended(bus->outlet)) {
        uint32_t seen = bell_listen(&bus->ended);
        if (bell_doze(&bus->ended, seen) && !outlet_ended(bus->outlet))
            in_time = bus_await(bus, wait);
        bell_up(&bus->ended);
    }
    if (!in_time)
        outlet_interrupt(bus->outlet);
}

/* The same functions under each scheme that is a bus. */
#define TAP_BUS_OUTPUT(name)                                                        \
    {                                                                               \
        .scheme = name, .create = bus_create, .open = bus_open, .write = bus_write, \
        .descriptor = bus_descriptor, .close = bus_close, .destroy = bus_destroy,   \
    }

static const struct tap_output_ops outputs[] = {
    TAP_BUS_OUTPUT("nng+tcp"),    TAP_BUS_OUTPUT("nng+tls"), TAP_BUS_OUTPUT("nng+ipc"),
    TAP_BUS_OUTPUT("nng+inproc"), TAP_BUS_OUTPUT("kafka"),
};

const struct tap_output_ops *const tap_bus_outputs[] = {&outputs[0], &outputs[1], &outputs[2],
                                                        &outputs[3], &outputs[4], NULL};

void tap_bus_log(void (*line)(void *arg, const char *line), void *arg)
{
    log_redirect(line, arg);
}
