/* Apache Kafka, by librdkafka: kafka://BROKER[,BROKER]/TOPIC. */
#include "kafka.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "apart.h"
#include "host_port.h"
#include "log.h"
#include "receipt/options.h"
#include "secret.h"

/* librdkafka's levels are those of syslog.h, whose names log.h has for its own. */
enum { KAFKA_SAYS_ERROR = 3, KAFKA_SAYS_WARNING = 4 };
enum { SCRAM_MENDED = 0x02060100 };

#define PROPERTY                                                                             \
    {                                                                                        \
        .name = "PROPERTY", .type = OPTION_STRING, .repeats = true, .any_name = true,        \
        .meaning =                                                                           \
            "every property of librdkafka by its own name; secrets as file:PATH or env:NAME" \
    }

static const char *const schemes[] = {"kafka", NULL};

static const struct option_spec source_options[] = {
    {.name = "group",
     .type = OPTION_STRING,
     .fallback = "dnstap-bridge",
     .meaning = "the consumer group: its members share the partitions"},
    {.name = "from",
     .type = OPTION_CHOICE,
     .choices = "stored|earliest|latest",
     .fallback = "stored",
     .meaning = "where to begin: where the group left off (or else the earliest), or anew"},
    {.name = "until",
     .type = OPTION_CHOICE,
     .choices = "end",
     .meaning = "stop at what was the end when we came (unset: never)"},
    {.name = "on-failure",
     .type = OPTION_CHOICE,
     .choices = "hold|skip",
     .fallback = "hold",
     .meaning = "a message that a sink failed or dropped: hold the offsets, so that a restart "
                "repeats it, or go on"},
    {.name = "dead-letter",
     .type = OPTION_STRING,
     .meaning = "the topic for records that do not decode (unset: they are counted only)"},
    RECEIPT_OPTIONS,
    PROPERTY,
    {0},
};

static const struct option_spec sink_options[] = {
    {.name = "key",
     .type = OPTION_CHOICE,
     .choices = "none|identity|client|qname",
     .fallback = "none",
     .meaning = "what records are keyed by: messages with one key stay in one partition"},
    {.name = "partition",
     .type = OPTION_STRING,
     .meaning = "a number, or any: by key, or spread (default: any; with format=frames 0, which "
                "keeps all in order)"},
    {.name = "schema-registry",
     .type = OPTION_STRING,
     .meaning = "URL of a schema registry: register dnstap.proto, and frame records as its clients "
                "expect"},
    {.name = "registry-auth",
     .type = OPTION_STRING,
     .secret = true,
     .meaning = "USER:PASSWORD for it: file:PATH, env:NAME, or itself"},
    RECEIPT_OPTIONS,
    PROPERTY,
    {0},
};

static bool kafka_loops(const struct place *source, const struct place *sink);

const struct adapter kafka_adapter = {
    .schemes = schemes,
    .address = "//BROKER[,BROKER]/TOPIC",
    .source_summary =
        "consumes as a member of a group; offsets move when every sink has settled the messages",
    .sink_summary = "produces, and waits for the brokers' acknowledgements",
    .source = &kafka_source_ops,
    .sink = &kafka_sink_ops,
    .source_options = source_options,
    .sink_options = sink_options,
    .loops = kafka_loops,
};

/* HOST[:PORT], of a list of `len` octets separated by commas; librdkafka takes PROTOCOL://HOST as well, whose slashes an
 * address cannot hold. */
static bool check_brokers(const char *list, size_t len, struct error *error)
{
    struct host_port at;
    for (const char *end = list + len; list <= end;) {
        const char *comma = memchr(list, ',', (size_t)(end - list));
        size_t one = (size_t)((comma ? comma : end) - list);
        if (!host_port_read_optional(list, one, &at, error))
            return false;
        if (!at.host[0])
            return error_set(error, "a broker has no host: kafka://BROKER[,BROKER]/TOPIC, where BROKER is HOST or HOST:PORT");
        list += one + 1;
    }
    return true;
}

const char *kafka_topic(const struct place *place, struct error *error)
{
    const char *slash =
        strncmp(place->address, "//", 2) == 0 ? strchr(place->address + 2, '/') : NULL;
    if (!slash || slash == place->address + 2) {
        error_set(error, "names no broker and topic: kafka://BROKER[,BROKER]/TOPIC");
        return NULL;
    }
    if (!check_brokers(place->address + 2, (size_t)(slash - place->address - 2), error))
        return NULL;
    return kafka_topic_legal(slash + 1, error) ? slash + 1 : NULL;
}

enum { PORT_DEFAULT = 9092 };

/* Takes the next of the brokers of an address that is sound. False: there is no further one. */
static bool next_broker(const char **at, struct host_port *broker)
{
    struct error error;
    size_t len = strcspn(*at, ",/");
    if (len == 0 || !host_port_read_optional(*at, len, broker, &error))
        return false;
    broker->port = broker->port ? broker->port : PORT_DEFAULT;
    *at += len + ((*at)[len] == ',');
    return true;
}

/* One broker that both name: the same cluster. */
static bool share_a_broker(const struct place *a, const struct place *b)
{
    struct host_port ours, theirs;
    for (const char *i = a->address + 2; next_broker(&i, &ours);) {
        for (const char *k = b->address + 2; next_broker(&k, &theirs);) {
            if (ours.port == theirs.port && strcasecmp(ours.host, theirs.host) == 0)
                return true;
        }
    }
    return false;
}

static bool kafka_loops(const struct place *source, const struct place *sink)
{
    struct error error;
    const char *from = kafka_topic(source, &error), *to = kafka_topic(sink, &error);
    return from && to && strcmp(from, to) == 0 && share_a_broker(source, sink);
}

bool kafka_topic_legal(const char *topic, struct error *error)
{
    static const char legal[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t len = strlen(topic);
    if (len > 0 && len <= KAFKA_TOPIC_MAX && strspn(topic, legal) == len)
        return true;
    return error_set(error, "'%.260s' is no topic: 1 to %d of a-z A-Z 0-9 . _ -", topic,
                     KAFKA_TOPIC_MAX);
}

static bool set(rd_kafka_conf_t *conf, const char *name, const char *value, struct error *error)
{
    char why[KAFKA_REASON];
    return rd_kafka_conf_set(conf, name, value, why, sizeof why) == RD_KAFKA_CONF_OK ||
           error_set(error, "%s", why);
}

static bool set_brokers(rd_kafka_conf_t *conf, const struct place *place, struct error *error)
{
    char *brokers = strdup(place->address + 2);
    if (!brokers)
        return error_set(error, "out of memory");
    *strchr(brokers, '/') = '\0';
    bool ok = set(conf, "bootstrap.servers", brokers, error);
    free(brokers);
    return ok;
}

static bool is_fixed(const struct kafka_property *ours, const char *name)
{
    for (; ours->name; ours++) {
        if (ours->fixed && strcmp(ours->name, name) == 0)
            return true;
    }
    return strcmp(name, "bootstrap.servers") == 0 || strcmp(name, "metadata.broker.list") == 0 ||
           strcmp(name, "group.id") == 0;
}

/* NAME=VALUE, as the options keep it. */
static bool set_theirs(rd_kafka_conf_t *conf, const struct kafka_property *ours, char *line,
                       struct error *error)
{
    static const struct option_spec property = PROPERTY;
    char *value = strchr(line, '=');
    if (!value) /* the options keep one a line */
        return error_set(error, "'%s' is no NAME=VALUE: a property cannot hold a line end", line);
    *value++ = '\0';
    if (is_fixed(ours, line))
        return error_set(error, "'%s' is set by the bridge itself", line);
    if (!option_is_secret(&property, line))
        return set(conf, line, value, error);
    char *secret = secret_read(value, error);
    char why[KAFKA_REASON];
    /* librdkafka's words would show the value */
    bool ok =
        secret && (rd_kafka_conf_set(conf, line, secret, why, sizeof why) == RD_KAFKA_CONF_OK ||
                   error_set(error, "'%s' is refused by librdkafka", line));
    secret_free(secret);
    return ok;
}

static bool set_all_theirs(rd_kafka_conf_t *conf, const struct place *place,
                           const struct kafka_property *ours, struct error *error)
{
    const char *text = options_string(place->options, "PROPERTY");
    char *copy = strdup(text ? text : "");
    if (!copy)
        return error_set(error, "out of memory");
    size_t len = strlen(copy);
    bool ok = true;
    char *rest = copy;
    for (char *line; ok && (line = strsep(&rest, "\n"));) {
        if (*line)
            ok = set_theirs(conf, ours, line, error);
    }
    explicit_bzero(copy, len);
    free(copy);
    return ok;
}

rd_kafka_conf_t *kafka_conf(const struct place *place, const struct kafka_property *ours,
                            struct error *error)
{
    if (!kafka_topic(place, error))
        return NULL;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    bool ok = set(conf, "client.id", "dnstap-bridge", error) && set_brokers(conf, place, error);
    for (const struct kafka_property *p = ours; ok && p->name; p++)
        ok = set(conf, p->name, p->value, error);
    if (ok && set_all_theirs(conf, place, ours, error))
        return conf;
    rd_kafka_conf_destroy(conf);
    return NULL;
}

bool kafka_check(const struct place *place, const struct kafka_property *ours, struct error *error)
{
    rd_kafka_conf_t *conf = kafka_conf(place, ours, error);
    if (conf)
        rd_kafka_conf_destroy(conf);
    return conf != NULL;
}

uint64_t kafka_number(const struct options *options, const struct kafka_property *ours,
                      const char *name)
{
    size_t len = strlen(name);
    const char *line = options_string(options, "PROPERTY");
    const char *found = NULL;
    for (; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, len) == 0 && line[len] == '=')
            found = line + len + 1;
    }
    for (; !found && ours->name; ours++) {
        if (strcmp(ours->name, name) == 0)
            found = ours->value;
    }
    return found ? strtoull(found, NULL, 10) : 0;
}

static const char *url_of(const rd_kafka_t *rk)
{
    return *(const char *const *)rd_kafka_opaque(rk);
}

static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    static struct log_limit limit;
    enum log_level ours = level <= KAFKA_SAYS_ERROR ? LOG_ERROR : LOG_WARN;
    if (level > KAFKA_SAYS_WARNING)
        log_line(LOG_INFO, "%s: librdkafka: %s: %s", url_of(rk), facility,
                 text); /* they asked for debug= */
    else
        log_limited(&limit, ours, "%s: librdkafka: %s: %s", url_of(rk), facility, text);
}

/* What librdkafka's words leave out: before 2.6.1 its SCRAM repeats its own nonce, which brokers
 * took until Kafka 4 and now call invalid credentials. */
static const char *hint(int code, const char *reason)
{
    bool scram = code == RD_KAFKA_RESP_ERR__AUTHENTICATION && strstr(reason, "SCRAM");
    return scram && rd_kafka_version() < SCRAM_MENDED
               ? " (a librdkafka before 2.6.1, as this one, cannot log in by SCRAM to Kafka 4: use "
                 "a newer one, "
                 "or PLAIN over TLS)"
               : "";
}

static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    static struct log_limit limit;
    (void)opaque;
    log_limited(&limit, LOG_WARN, "%s: %s: %s%s", url_of(rk),
                rd_kafka_err2str((rd_kafka_resp_err_t)code), reason, hint(code, reason));
}

void kafka_listen(rd_kafka_conf_t *conf)
{
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_conf_set_error_cb(conf, on_error);
}

rd_kafka_t *kafka_producer(const struct place *place, const struct kafka_property *ours,
                           void (*on_report)(rd_kafka_t *, const rd_kafka_message_t *, void *),
                           void *opaque, struct error *error)
{
    char why[KAFKA_REASON];
    rd_kafka_conf_t *conf = kafka_conf(place, ours, error);
    if (!conf)
        return NULL;
    kafka_listen(conf);
    rd_kafka_conf_set_opaque(conf, opaque);
    rd_kafka_conf_set_dr_msg_cb(conf, on_report);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    if (rk)
        return rk;
    rd_kafka_conf_destroy(conf);
    error_set(error, "%s", why);
    return NULL;
}

void kafka_destroy(rd_kafka_t *rk)
{
    if (!rk)
        return;
    rd_kafka_set_log_level(rk, -1); /* it may outlive whatever its lines would name */
    rd_kafka_destroy(rk);
}

void kafka_close(void (*close)(void *arg), void *arg, bool live, int timeout_ms, const char *url)
{
    static _Atomic unsigned left_behind;
    if (!live)
        close(arg);
    else if (!run_apart(close, arg, timeout_ms))
        log_line(LOG_WARN,
                 "%s: librdkafka does not end its client in %d s: it is left behind (%u so far), and "
                 "its memory and connections with it",
                 url, timeout_ms / 1000, atomic_fetch_add(&left_behind, 1) + 1);
}

int kafka_event_new(void)
{
    return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

void kafka_watch(rd_kafka_queue_t *queue, int event)
{
    static const uint64_t one = 1;
    rd_kafka_queue_io_event_enable(queue, event, &one, sizeof one);
}

void kafka_signal(int event)
{
    const uint64_t one = 1;
    while (write(event, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

void kafka_quiet(int event)
{
    uint64_t count;
    while (read(event, &count, sizeof count) < 0 && errno == EINTR)
        ;
}
