/* tap_send URL COUNT [TIMEOUT]: sends COUNT client responses for example.com through a tap, which
 * then has TIMEOUT ms to close (10000). */
#include "tap_bus.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

static const uint8_t dns[] = "\x12\x34\x81\x80\0\1\0\0\0\0\0\0\7example\3com\0\0\1\0\1";

static bool emit(struct tap_lane *lane, long number)
{
    struct sockaddr_in client = {.sin_family = AF_INET, .sin_port = htons((uint16_t)number)};
    client.sin_addr.s_addr = htonl(0xc0000200 | (uint32_t)(number & 255));
    struct tap_message message = {
        .type = TAP_CLIENT_RESPONSE,
        .protocol = TAP_UDP,
        .query_time = {1700000000, number},
        .response_time = {1700000000, number},
        .response_message = {dns, sizeof dns - 1},
    };
    tap_message_query_peer(&message, (const struct sockaddr *)&client);
    return tap_emit(lane, &message);
}

int main(int argc, char **argv)
{
    if (argc != 3 && argc != 4)
        return 2;
    char error[TAP_ERROR_SIZE];
    const struct tap_options options = {.identity = tap_string("ns1.example"),
                                        .version = tap_string("tap_send"),
                                        .outputs = tap_bus_outputs};
    struct tap *tap = tap_open(argv[1], &options, error, sizeof error);
    struct tap_lane *lane = tap ? tap_lane(tap) : NULL;
    if (!lane) {
        fprintf(stderr, "tap_send: %s\n", error);
        return 2;
    }
    long count = strtol(argv[2], NULL, 10);
    for (long i = 0; i < count; i++)
        emit(lane, i);
    struct tap_counters total;
    tap_close(&tap, argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 10000, &total);
    printf("accepted %" PRIu64 " dropped %" PRIu64 " written %" PRIu64 " failed %" PRIu64 "\n",
           total.accepted, total.dropped, total.written, total.failed);
    return total.written == (uint64_t)count ? 0 : 1;
}
