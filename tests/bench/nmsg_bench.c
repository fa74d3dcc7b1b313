/* nmsg_bench FILE ROUNDS: payloads of base:dnstap into containers of 8192 octets, by this project's writer and by
 * protobuf-c (pack of an Nmsg, as libnmsg does), the same CRC in both: messages per processor second of each. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "capture.h"
#include "nmsg.pb-c.h"
#include "nmsg/crc32c.h"
#include "nmsg/payload.h"

enum { SIZE = 8192, MOST = 1024 };

static unsigned long datagrams, octets;

static bool take(void *arg, struct octets datagram, bool last)
{
    (void)arg;
    (void)last;
    datagrams++;
    octets += datagram.len;
    return true;
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static unsigned long run_ours(const struct buffer *stream)
{
    struct nmsg_writer_config config = {.size = SIZE, .sequence = true};
    struct nmsg_writer *writer = nmsg_writer_new(&config);
    struct nmsg_maker maker;
    struct reader r = reader_over(stream->data, stream->len);
    struct frame frame;
    struct nmsg_payload payload;
    unsigned long n = 0;
    nmsg_maker_init(&maker, NULL);
    for (; capture_next(&r, &frame); n++) {
        if (nmsg_make(&maker, frame, &payload) != ENCODE_OK)
            continue;
        if (!nmsg_writer_put(writer, &payload)) {
            nmsg_writer_seal(writer, take, NULL);
            nmsg_writer_put(writer, &payload);
        }
    }
    nmsg_writer_seal(writer, take, NULL);
    nmsg_writer_free(writer);
    return n;
}

struct plain {
    Nmsg__NmsgPayload payloads[MOST];
    Nmsg__NmsgPayload *pointers[MOST];
    uint32_t crcs[MOST];
    size_t count, size;
    uint32_t sequence;
};

static void plain_seal(struct plain *p)
{
    static uint8_t out[1 << 20];
    Nmsg__Nmsg nmsg = NMSG__NMSG__INIT;
    nmsg.n_payloads = nmsg.n_payload_crcs = p->count;
    nmsg.payloads = p->pointers;
    nmsg.payload_crcs = p->crcs;
    nmsg.has_sequence = nmsg.has_sequence_id = 1;
    nmsg.sequence = p->sequence++;
    nmsg.sequence_id = 0x1122334455667788;
    datagrams++;
    octets += nmsg__nmsg__pack(&nmsg, out) + 10;
    p->count = p->size = 0;
}

static unsigned long run_plain(const struct buffer *stream)
{
    static struct plain p;
    struct reader r = reader_over(stream->data, stream->len);
    struct frame frame;
    struct nmsg_maker maker;
    struct nmsg_payload from;
    unsigned long n = 0;
    nmsg_maker_init(&maker, NULL);
    for (; capture_next(&r, &frame); n++) {
        if (nmsg_make(&maker, frame, &from) != ENCODE_OK) /* for the time: the same work on both sides */
            continue;
        if (p.count == MOST || (p.count > 0 && p.size + frame.len + 32 > SIZE - 32))
            plain_seal(&p);
        Nmsg__NmsgPayload *payload = &p.payloads[p.count];
        nmsg__nmsg_payload__init(payload);
        payload->vid = from.vendor;
        payload->msgtype = from.type;
        payload->time_sec = from.second;
        payload->time_nsec = from.nanosecond;
        payload->has_payload = 1;
        payload->payload.data = (uint8_t *)(uintptr_t)frame.data;
        payload->payload.len = frame.len;
        p.crcs[p.count] = nmsg_crc(from.octets);
        p.pointers[p.count++] = payload;
        p.size += frame.len + 32;
    }
    plain_seal(&p);
    return n;
}

static void measure(const char *name, unsigned long (*run)(const struct buffer *), const struct buffer *stream,
                    int rounds)
{
    unsigned long n = 0;
    datagrams = octets = 0;
    double begin = seconds();
    for (int i = 0; i < rounds; i++)
        n += run(stream);
    double gone = seconds() - begin;
    printf("%s %.0f %.0f %.0f\n", name, (double)n / gone, (double)datagrams / gone, (double)octets / (double)datagrams);
}

int main(int argc, char **argv)
{
    struct buffer stream = {0};
    if (argc != 3 || !capture_load(argv[1], &stream))
        return 2;
    measure("protobuf-c", run_plain, &stream, atoi(argv[2]));
    measure("ours", run_ours, &stream, atoi(argv[2]));
    buffer_free(&stream);
    return 0;
}
