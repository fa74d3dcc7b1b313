/* What the two directions of the Kafka adapter share: the address, and librdkafka's configuration.
 */
#ifndef ADAPTERS_KAFKA_H
#define ADAPTERS_KAFKA_H

#include <librdkafka/rdkafka.h>

#include "adapter.h"

extern const struct source_ops kafka_source_ops;
extern const struct sink_ops kafka_sink_ops;

#define KAFKA_ENVELOPE_HEADER "dnstap-envelope" /* of a record with format=frames: bus.Envelope */

enum { KAFKA_TOPIC_MAX = 249, KAFKA_REASON = 512 };

/* A property of librdkafka and the value that we give it; ends with a NULL name. */
struct kafka_property {
    const char *name;
    const char *value;
    bool fixed; /* the ledger depends on it: nobody else sets it */
};

/* The topic of //BROKERS/TOPIC, borrowed from the address. NULL with the error. */
const char *kafka_topic(const struct place *place, struct error *error);

/* Would a broker take it as a topic's name? False with the error. */
bool kafka_topic_legal(const char *topic, struct error *error);

/* Ours, then what the URL and the options say by librdkafka's own names; secrets are read here. The
 * caller owns it. NULL with librdkafka's words. */
rd_kafka_conf_t *kafka_conf(const struct place *place, const struct kafka_property *ours,
                            struct error *error);

/* Judges address and properties: the `check` of both directions. */
bool kafka_check(const struct place *place, const struct kafka_property *ours, struct error *error);

/* A number among the properties, as the options set it, or else `ours`. */
uint64_t kafka_number(const struct options *options, const struct kafka_property *ours,
                      const char *name);

/* A producer of this configuration, heard by kafka_listen, whose reports go to `on_report`. `opaque` begins as
 * kafka_listen says. The caller destroys it. NULL with the error. */
rd_kafka_t *kafka_producer(const struct place *place, const struct kafka_property *ours,
                           void (*on_report)(rd_kafka_t *, const rd_kafka_message_t *, void *),
                           void *opaque, struct error *error);

/* For rd_kafka_conf_set_*: puts librdkafka's lines and errors into the log, a few per ten seconds.
 * The configuration's opaque begins with a `const char *`: the URL that names us. */
void kafka_listen(rd_kafka_conf_t *conf);

/* Ends a client, NULL: none. May take for ever: call it by kafka_close. */
void kafka_destroy(rd_kafka_t *rk);

/* Has `close(arg)` end the clients of `url` on a thread of its own, and waits for it `timeout_ms` at most: what it holds is then its
 * own for good, and the log says that it was left behind. Where there is nothing to end (`live` is false) it is called at once. */
void kafka_close(void (*close)(void *arg), void *arg, bool live, int timeout_ms, const char *url);

/* An eventfd; -1 with errno: none left. librdkafka signals it whenever a watched queue goes from
 * empty to filled. */
int kafka_event_new(void);
void kafka_watch(rd_kafka_queue_t *queue, int event);
void kafka_signal(int event); /* any thread */
void kafka_quiet(int event);  /* takes the signals back, before looking */

#endif
