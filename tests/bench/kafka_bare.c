/* kafka_bare produce BROKER TOPIC FILE LOOPS | kafka_bare consume BROKER TOPIC FILE MESSAGES: the
 * payloads of a Frame Streams file over bare librdkafka, one record each, with the bridge's
 * settings: what Kafka costs without us. Prints the seconds. The consumer writes data frames. */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "capture.h"

static unsigned long failed;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char why[256];
    if (rd_kafka_conf_set(conf, name, value, why, sizeof why) == RD_KAFKA_CONF_OK)
        return;
    fprintf(stderr, "%s\n", why);
    exit(1);
}

static rd_kafka_t *client(rd_kafka_type_t type, rd_kafka_conf_t *conf)
{
    char why[256];
    rd_kafka_t *rk = rd_kafka_new(type, conf, why, sizeof why);
    if (rk)
        return rk;
    fprintf(stderr, "%s\n", why);
    exit(1);
}

static void on_report(rd_kafka_t *rk, const rd_kafka_message_t *record, void *opaque)
{
    (void)rk;
    (void)opaque;
    failed += record->err != 0;
}

static void produce_one(rd_kafka_t *rk, rd_kafka_topic_t *topic, struct frame frame)
{
    const rd_kafka_vu_t v[] = {
        {.vtype = RD_KAFKA_VTYPE_RKT, .u.rkt = topic},
        {.vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = RD_KAFKA_PARTITION_UA},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        {.vtype = RD_KAFKA_VTYPE_VALUE,
         .u.mem = {.ptr = (void *)(uintptr_t)frame.data, .size = frame.len}},
    };
    for (;;) {
        rd_kafka_error_t *error = rd_kafka_produceva(rk, v, sizeof v / sizeof v[0]);
        if (!error)
            return;
        if (rd_kafka_error_code(error) != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            exit(1);
        rd_kafka_error_destroy(error);
        rd_kafka_poll(rk, 100);
    }
}

static int produce(const char *broker, const char *name, const char *path, unsigned long loops)
{
    struct buffer octets = {0};
    struct frame frame;
    if (!capture_load(path, &octets))
        return 1;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", broker);
    set(conf, "enable.idempotence", "true");
    set(conf, "acks", "all");
    set(conf, "message.timeout.ms", "0");
    set(conf, "compression.codec", "lz4");
    set(conf, "queue.buffering.max.kbytes", "65536");
    set(conf, "queue.buffering.max.messages", "200000");
    rd_kafka_conf_set_dr_msg_cb(conf, on_report);
    double began = now();
    rd_kafka_t *rk = client(RD_KAFKA_PRODUCER, conf);
    rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, name, NULL);
    for (unsigned long i = 0; i < loops; i++) {
        struct reader r = reader_over(octets.data, octets.len);
        for (unsigned n = 0; capture_next(&r, &frame); n++) {
            produce_one(rk, topic, frame);
            if (n % 400 == 0)
                rd_kafka_poll(rk, 0);
        }
    }
    rd_kafka_flush(rk, 600000);
    printf("%.6f\n", now() - began);
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(rk);
    buffer_free(&octets);
    return failed > 0;
}

static int consume(const char *broker, const char *name, const char *path, unsigned long messages)
{
    FILE *out = fopen(path, "wb");
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char group[64];
    snprintf(group, sizeof group, "bare-%.6f", now());
    set(conf, "bootstrap.servers", broker);
    set(conf, "group.id", group);
    set(conf, "auto.offset.reset", "earliest");
    set(conf, "queued.max.messages.kbytes", "16384");
    set(conf, "fetch.max.bytes", "16777216");
    double began = now();
    rd_kafka_t *rk = client(RD_KAFKA_CONSUMER, conf);
    rd_kafka_poll_set_consumer(rk);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, name, RD_KAFKA_PARTITION_UA);
    rd_kafka_subscribe(rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    while (messages > 0 && out) {
        rd_kafka_message_t *record = rd_kafka_consumer_poll(rk, 100);
        if (!record)
            continue;
        if (!record->err) {
            uint8_t head[4] = {(uint8_t)(record->len >> 24), (uint8_t)(record->len >> 16),
                               (uint8_t)(record->len >> 8), (uint8_t)record->len};
            fwrite(head, 1, sizeof head, out);
            fwrite(record->payload, 1, record->len, out);
            messages--;
        }
        rd_kafka_message_destroy(record);
    }
    int closed = out ? fclose(out) : 1;
    rd_kafka_consumer_close(rk);
    printf("%.6f\n", now() - began);
    rd_kafka_destroy(rk);
    return closed != 0;
}

int main(int argc, char **argv)
{
    if (argc == 6 && strcmp(argv[1], "produce") == 0)
        return produce(argv[2], argv[3], argv[4], strtoul(argv[5], NULL, 10));
    if (argc == 6 && strcmp(argv[1], "consume") == 0)
        return consume(argv[2], argv[3], argv[4], strtoul(argv[5], NULL, 10));
    return 2;
}
