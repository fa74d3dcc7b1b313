/* kafka_mock: a Kafka cluster of one mock broker, librdkafka's own, for machines that have no Java. Prints HOST:PORT,
 * then makes the topics that its standard input names, TOPIC PARTITIONS a line, and ends with it. */
#include <librdkafka/rdkafka.h>

#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>

int main(void)
{
    char error[512], topic[256];
    int partitions;
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), error, sizeof error);
    rd_kafka_mock_cluster_t *cluster = rk ? rd_kafka_mock_cluster_new(rk, 1) : NULL;
    if (!cluster) {
        fprintf(stderr, "kafka_mock: %s\n", rk ? "no cluster" : error);
        return 1;
    }
    printf("%s\n", rd_kafka_mock_cluster_bootstraps(cluster));
    fflush(stdout);
    while (scanf("%255s %d", topic, &partitions) == 2) {
        rd_kafka_resp_err_t err = rd_kafka_mock_topic_create(cluster, topic, partitions, 1);
        printf("%s\n", rd_kafka_err2str(err));
        fflush(stdout);
    }
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(rk);
    return 0;
}
