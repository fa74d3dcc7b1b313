/* NMSG written and read: against octets made by hand, against protobuf-c, and against what others'
 * tools wrote. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"
#include "nmsg.pb-c.h"
#include "nmsg/assembly.h"
#include "nmsg/crc32c.h"
#include "nmsg/packet.h"
#include "nmsg/payload.h"

/* Datagrams as they were sealed, back to back. */
struct sent {
    struct buffer octets;
    uint32_t ends[4096];
    unsigned count;
};

static bool take(void *arg, struct octets datagram, bool last)
{
    struct sent *sent = arg;
    (void)last;
    buffer_put(&sent->octets, datagram.data, datagram.len);
    sent->ends[sent->count++] = (uint32_t)sent->octets.len;
    return true;
}

static struct octets datagram_of(const struct sent *sent, unsigned i)
{
    uint32_t begin = i > 0 ? sent->ends[i - 1] : 0;
    return (struct octets){sent->octets.data + begin, sent->ends[i] - begin};
}

static struct nmsg_payload payload_of(const void *data, uint32_t len)
{
    return (struct nmsg_payload){.vendor = 1,
                                 .type = 13,
                                 .second = 0x12345678,
                                 .nanosecond = 0x01020304,
                                 .source = 7,
                                 .operator= 8,
                                 .group = 300,
                                 .octets = {data, len}};
}

static void crcs_are_castagnoli(void **state)
{
    (void)state;
    uint8_t data[300];
    assert_int_equal(crc32c((struct octets){(const uint8_t *)"123456789", 9}), 0xe3069283);
    assert_int_equal(nmsg_crc((struct octets){(const uint8_t *)"123456789", 9}), 0x839206e3);
    for (uint32_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7);
    for (uint32_t i = 0; i < sizeof data; i++)
        assert_int_equal(crc32c((struct octets){data, i}), crc32c_plain((struct octets){data, i}));
}

static void a_container_octet_by_octet(void **state)
{
    (void)state;
    static const uint8_t want[] = {
        'N',  'M',  'S',  'G',  0,    2,    0,    0,    0,   41, /* header */
        0x0a, 33,                                                /* payload */
        0x08, 1,    0x10, 13,                                    /* vendor, type */
        0x18, 0xf8, 0xac, 0xd1, 0x91, 0x01,                      /* seconds */
        0x25, 0x04, 0x03, 0x02, 0x01,                            /* nanoseconds */
        0x2a, 9,    '1',  '2',  '3',  '4',  '5',  '6',  '7', '8',
        '9',  0x38, 7,    0x40, 8,    0x48, 0xac, 0x02, /* source, operator, group */
        0x10, 0xe3, 0x8d, 0xc8, 0x9c, 0x08,             /* 0x839206e3 */
    };
    struct nmsg_writer_config config = {.size = 1280};
    struct nmsg_writer *writer = nmsg_writer_new(&config);
    struct nmsg_payload payload = payload_of("123456789", 9);
    struct sent sent = {.count = 0};
    assert_true(nmsg_writer_seal(writer, take, &sent)); /* nothing in it */
    assert_true(nmsg_writer_put(writer, &payload));
    assert_true(nmsg_writer_seal(writer, take, &sent));
    assert_int_equal(sent.count, 1);
    assert_int_equal(sent.octets.len, sizeof want);
    assert_memory_equal(sent.octets.data, want, sizeof want);
    nmsg_writer_free(writer);
    buffer_free(&sent.octets);
}

/* Many payloads: all come back through protobuf-c, in order, under the size, numbered from 0. */
static void protobuf_c_reads_what_is_written(void **state)
{
    (void)state;
    struct nmsg_writer_config config = {.size = 600, .sequence = true};
    struct nmsg_writer *writer = nmsg_writer_new(&config);
    struct sent sent = {.count = 0};
    uint8_t data[500];
    for (uint32_t i = 0; i < 1000; i++) {
        memset(data, (int)i, sizeof data);
        struct nmsg_payload payload = payload_of(data, i % 480);
        if (!nmsg_writer_put(writer, &payload)) {
            assert_true(nmsg_writer_seal(writer, take, &sent));
            assert_true(nmsg_writer_put(writer, &payload));
        }
    }
    assert_true(nmsg_writer_seal(writer, take, &sent));
    uint32_t i = 0;
    uint64_t id = 0;
    for (unsigned d = 0; d < sent.count; d++) {
        struct octets datagram = datagram_of(&sent, d);
        assert_true(datagram.len <= 600);
        Nmsg__Nmsg *nmsg =
            nmsg__nmsg__unpack(NULL, datagram.len - NMSG_HEADER, datagram.data + NMSG_HEADER);
        assert_non_null(nmsg);
        assert_int_equal(nmsg->sequence, d);
        assert_true(d == 0 || nmsg->sequence_id == id);
        id = nmsg->sequence_id;
        assert_int_equal(nmsg->n_payloads, nmsg->n_payload_crcs);
        for (size_t p = 0; p < nmsg->n_payloads; p++, i++) {
            Nmsg__NmsgPayload *payload = nmsg->payloads[p];
            assert_int_equal(payload->payload.len, i % 480);
            assert_true(payload->payload.len == 0 || payload->payload.data[0] == (uint8_t)i);
            assert_int_equal(payload->time_sec, 0x12345678);
            assert_int_equal(payload->time_nsec, 0x01020304);
            assert_int_equal(payload->group, 300);
            assert_int_equal(
                nmsg->payload_crcs[p],
                nmsg_crc((struct octets){payload->payload.data, (uint32_t)payload->payload.len}));
        }
        nmsg__nmsg__free_unpacked(nmsg, NULL);
    }
    assert_int_equal(i, 1000);
    nmsg_writer_free(writer);
    buffer_free(&sent.octets);
}

static unsigned count_payloads(uint8_t flags, struct octets body, unsigned *bad)
{
    struct buffer scratch = {0};
    struct octets nmsg;
    struct nmsg_container container;
    struct nmsg_cursor cursor = {0};
    struct nmsg_payload payload;
    unsigned n = 0;
    assert_true(nmsg_unpack(flags, body, &scratch, &nmsg));
    assert_true(nmsg_container_read(nmsg, &container));
    for (enum nmsg_next next; (next = nmsg_payload_next(&container, &cursor, &payload)) != NMSG_END;
         n++)
        *bad += next == NMSG_BAD_CRC;
    assert_int_equal(n, container.count);
    buffer_free(&scratch);
    return n;
}

/* Writes one payload of `len` octets with the config, and puts the fragments together, last first.
 */
static void there_and_back(bool zlib, uint32_t len, bool noise)
{
    struct nmsg_writer_config config = {.size = 1280, .zlib = zlib};
    struct nmsg_writer *writer = nmsg_writer_new(&config);
    struct nmsg_assembly *assembly = nmsg_assembly_new(1 << 20, 1000);
    struct sent sent = {.count = 0};
    uint8_t *data = malloc(len);
    for (uint32_t i = 0; i < len; i++)
        data[i] = noise ? (uint8_t)(i * 2654435761u >> 13) : 'x';
    struct nmsg_payload payload = payload_of(data, len);
    assert_true(nmsg_writer_put(writer, &payload) && nmsg_writer_seal(writer, take, &sent));
    unsigned bad = 0;
    for (unsigned d = sent.count; d-- > 0;) {
        struct nmsg_datagram datagram;
        struct nmsg_fragment fragment;
        struct octets whole;
        assert_true(datagram_of(&sent, d).len <= 1280);
        assert_true(nmsg_datagram_read(datagram_of(&sent, d), &datagram));
        assert_int_equal((datagram.flags & NMSG_FLAG_FRAGMENT) != 0, sent.count > 1);
        if (sent.count == 1) {
            assert_int_equal(count_payloads(datagram.flags, datagram.body, &bad), 1);
            break;
        }
        assert_true(nmsg_fragment_read(datagram.body, &fragment));
        assert_int_equal(fragment.current, d);
        assert_int_equal(fragment.last, sent.count - 1);
        assert_true(fragment.has_crc);
        assert_true(d == fragment.last || fragment.piece.len == 1280 - 32);
        enum nmsg_assembled result =
            nmsg_assembly_put(assembly, 1, 0, &fragment, &datagram.flags, &whole);
        assert_int_equal(result, d > 0 ? ASSEMBLED_NOT_YET : ASSEMBLED_WHOLE);
        if (result == ASSEMBLED_WHOLE)
            assert_int_equal(count_payloads(datagram.flags, whole, &bad), 1);
    }
    assert_int_equal(bad, 0);
    assert_int_equal(nmsg_assembly_given_up(assembly, 5000), 0);
    nmsg_assembly_free(assembly);
    nmsg_writer_free(writer);
    buffer_free(&sent.octets);
    free(data);
}

static void what_does_not_fit_goes_in_fragments(void **state)
{
    (void)state;
    there_and_back(false, 1200, true);
    for (uint32_t len = 1230; len < 1260; len++)
        there_and_back(false, len, true);
    there_and_back(false, 100000, true);
    there_and_back(true, 100000, true);
    there_and_back(true, 100000, false);
}

static struct buffer load(const char *name)
{
    char path[512];
    struct buffer octets = {0};
    snprintf(path, sizeof path, "%s/vectors/%s", TEST_DATA, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    uint8_t *to = buffer_reserve(&octets, 1 << 20);
    octets.len = fread(to, 1, 1 << 20, file);
    fclose(file);
    return octets;
}

static unsigned read_vector(const char *name)
{
    struct buffer octets = load(name);
    struct nmsg_assembly *assembly = nmsg_assembly_new(1 << 20, 1000);
    unsigned n = 0, bad = 0;
    for (size_t at = 0; at < octets.len;) {
        struct octets rest = {octets.data + at, NMSG_HEADER};
        rest.len += (uint32_t)octets.data[at + 8] << 8 | octets.data[at + 9];
        at += rest.len;
        struct nmsg_datagram datagram;
        struct nmsg_fragment fragment;
        assert_true(nmsg_datagram_read(rest, &datagram));
        if (datagram.flags & NMSG_FLAG_FRAGMENT) {
            assert_true(nmsg_fragment_read(datagram.body, &fragment));
            if (nmsg_assembly_put(assembly, 1, 0, &fragment, &datagram.flags, &datagram.body) !=
                ASSEMBLED_WHOLE)
                continue;
        }
        n += count_payloads(datagram.flags, datagram.body, &bad);
    }
    assert_int_equal(bad, 0);
    nmsg_assembly_free(assembly);
    buffer_free(&octets);
    return n;
}

static void what_other_tools_wrote_is_read(void **state)
{
    (void)state;
    assert_int_equal(read_vector("mix.nmsg"), 200);
    assert_int_equal(read_vector("mix-zlib.nmsg"), 200);
    assert_int_equal(read_vector("mix-frag.nmsg"), 20);
    assert_int_equal(read_vector("qr.nmsg"), 12);
}

/* The packets that nmsgtool took from a capture are ours, made from their addresses, ports and DNS.
 */
static void packets_are_those_of_a_capture(void **state)
{
    (void)state;
    struct buffer octets = load("qr.nmsg");
    struct buffer made = {0};
    Nmsg__Nmsg *nmsg =
        nmsg__nmsg__unpack(NULL, octets.len - NMSG_HEADER, octets.data + NMSG_HEADER);
    assert_non_null(nmsg);
    unsigned packets = 0;
    for (size_t i = 0; i < nmsg->n_payloads; i++) {
        ProtobufCBinaryData data = nmsg->payloads[i]->payload;
        Nmsg__DnsQR *qr = nmsg__dns_qr__unpack(NULL, data.len, data.data);
        assert_non_null(qr);
        struct packet_ends ends = {{qr->query_ip.data, (uint32_t)qr->query_ip.len},
                                   {qr->response_ip.data, (uint32_t)qr->response_ip.len},
                                   (uint16_t)qr->query_port,
                                   (uint16_t)qr->response_port};
        for (size_t p = 0; p < qr->n_query_packet; p++, packets++) {
            buffer_clear(&made);
            packet_put(&ends,
                       (struct octets){qr->query_packet[p].data + 28,
                                       (uint32_t)qr->query_packet[p].len - 28},
                       &made);
            assert_int_equal(made.len, qr->query_packet[p].len);
            assert_memory_equal(made.data, qr->query_packet[p].data, made.len);
        }
        nmsg__dns_qr__free_unpacked(qr, NULL);
    }
    assert_true(packets >= 6);
    nmsg__nmsg__free_unpacked(nmsg, NULL);
    buffer_free(&octets);
    buffer_free(&made);
}

static void a_wrong_crc_is_told_apart(void **state)
{
    (void)state;
    struct nmsg_writer_config config = {.size = 1280};
    struct nmsg_writer *writer = nmsg_writer_new(&config);
    struct nmsg_payload payload = payload_of("123456789", 9);
    struct sent sent = {.count = 0};
    unsigned bad = 0;
    for (int i = 0; i < 3; i++)
        assert_true(nmsg_writer_put(writer, &payload));
    assert_true(nmsg_writer_seal(writer, take, &sent));
    *(char *)memmem(sent.octets.data, sent.octets.len, "123456789", 9) = '0';
    assert_int_equal(
        count_payloads(0, (struct octets){sent.octets.data + 10, (uint32_t)sent.octets.len - 10},
                       &bad),
        3);
    assert_int_equal(bad, 1);
    nmsg_writer_free(writer);
    buffer_free(&sent.octets);
}

static void fragments_are_bounded(void **state)
{
    (void)state;
    uint8_t data[1000] = {0};
    uint8_t flags = NMSG_FLAG_FRAGMENT;
    struct octets whole;
    struct nmsg_assembly *assembly = nmsg_assembly_new(10000, 1000);
    for (uint32_t id = 0; id < 200; id++) {
        struct nmsg_fragment f = {.id = id, .current = 0, .last = 9, .piece = {data, sizeof data}};
        assert_int_equal(nmsg_assembly_put(assembly, 1, id, &f, &flags, &whole), ASSEMBLED_NOT_YET);
    }
    /* each takes its piece and a table of ten: eight stay */
    assert_int_equal(nmsg_assembly_given_up(assembly, 200), 192);
    assert_int_equal(nmsg_assembly_given_up(assembly, 10000), 8);
    struct nmsg_fragment many = {.id = 1, .last = UINT32_MAX, .piece = {data, 1}};
    assert_int_equal(nmsg_assembly_put(assembly, 1, 0, &many, &flags, &whole), ASSEMBLED_BROKEN);
    struct nmsg_fragment a = {.id = 2, .last = 1, .piece = {data, 1}, .has_crc = true, .crc = 1};
    assert_int_equal(nmsg_assembly_put(assembly, 1, 0, &a, &flags, &whole), ASSEMBLED_NOT_YET);
    assert_int_equal(nmsg_assembly_put(assembly, 2, 0, &a, &flags, &whole),
                     ASSEMBLED_NOT_YET); /* another sender */
    a.current = 1;
    assert_int_equal(nmsg_assembly_put(assembly, 1, 0, &a, &flags, &whole),
                     ASSEMBLED_BROKEN); /* the CRC */
    nmsg_assembly_free(assembly);
}

static void broken_datagrams_are_refused(void **state)
{
    (void)state;
    struct nmsg_datagram datagram;
    static const char *const heads[] = {
        "", "NMSG", "NMSG\0\2\0\0\0\1", "nmsg\0\2\0\0\0\0", "NMSG\0\1\0\0\0\0", "NMSG\4\2\0\0\0\0"};
    static const uint32_t lengths[] = {0, 4, 10, 10, 10, 10};
    for (size_t i = 0; i < 6; i++)
        assert_false(
            nmsg_datagram_read((struct octets){(const uint8_t *)heads[i], lengths[i]}, &datagram));
    assert_true(
        nmsg_datagram_read((struct octets){(const uint8_t *)"NMSG\0\2\0\0\0\0", 10}, &datagram));
    struct buffer scratch = {0};
    struct octets nmsg;
    /* a zlib stream that says 4 GiB, and one that is none */
    assert_false(nmsg_unpack(
        NMSG_FLAG_ZLIB, (struct octets){(const uint8_t *)"\xff\xff\xff\xff", 4}, &scratch, &nmsg));
    assert_false(nmsg_unpack(NMSG_FLAG_ZLIB, (struct octets){(const uint8_t *)"\0\0\0\1x", 5},
                             &scratch, &nmsg));
    buffer_free(&scratch);
}

/* A payload has to have a time: the message's own, or the present. */
static void times_of_payloads(void **state)
{
    (void)state;
    static const uint8_t timed[] = {0x72, 4, 8, 5, 0x40, 7, 0x78, 1}, untimed[] = {0x72, 2, 8, 5, 0x78, 1};
    const struct option_spec table[] = {NMSG_PAYLOAD_OPTIONS, {0}};
    const struct option_spec *const tables[OPTION_TABLES] = {table};
    struct options options;
    struct error error;
    struct nmsg_maker maker;
    struct nmsg_payload payload;
    assert_true(options_parse(&options, tables, NULL, &error));
    nmsg_maker_init(&maker, &options);
    assert_int_equal(nmsg_make(&maker, (struct frame){timed, sizeof timed}, &payload), ENCODE_OK);
    assert_int_equal(payload.second, 7);
    assert_int_equal(nmsg_make(&maker, (struct frame){untimed, sizeof untimed}, &payload), ENCODE_OK);
    assert_true(payload.second > 1700000000);
    nmsg_maker_free(&maker);
    options_free(&options);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crcs_are_castagnoli),
        cmocka_unit_test(a_container_octet_by_octet),
        cmocka_unit_test(protobuf_c_reads_what_is_written),
        cmocka_unit_test(what_does_not_fit_goes_in_fragments),
        cmocka_unit_test(what_other_tools_wrote_is_read),
        cmocka_unit_test(packets_are_those_of_a_capture),
        cmocka_unit_test(a_wrong_crc_is_told_apart),
        cmocka_unit_test(fragments_are_bounded),
        cmocka_unit_test(times_of_payloads),
        cmocka_unit_test(broken_datagrams_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
