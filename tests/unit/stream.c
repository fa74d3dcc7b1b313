/* Streams in pieces of any size give the frames that went in, in order; and what each end is
 * called. */
#include "stream.h"

#include "frame.h"
#include "harness.h"
#include "noise.h"

enum { FRAME_MAX = 200 * 1024 };

/* A stream into an intake with one ring; what comes out is compared with what was put on the wire.
 */
struct rig {
    struct bell filled;
    struct account account;
    struct ring *ring;
    struct intake *intake;
    struct stream_budget budget;
    struct stream *stream;
    struct error error;

    struct buffer wire;
    size_t at;            /* octets of the wire delivered */
    uint32_t lens[20000]; /* of the data frames on the wire that must come out */
    unsigned put, came;   /* frames */
    unsigned controls_put, controls_came;
};

static void rig_open(struct rig *rig, uint32_t frame_max, bool skip_oversize, size_t budget)
{
    struct buffer wire = rig->wire;
    *rig = (struct rig){.budget = {.limit = budget}, .wire = wire};
    buffer_clear(&rig->wire);
    rig->ring = ring_new((size_t)1 << 30, &rig->filled);
    rig->intake = intake_new("test", WHEN_FULL_DROP, NULL);
    rig->stream = stream_new(frame_max, skip_oversize, &rig->budget);
    assert_true(intake_add(rig->intake, (struct entrance){rig->ring, &rig->account, "sink"}));
}

static void rig_close(struct rig *rig)
{
    stream_free(rig->stream);
    assert_int_equal(rig->budget.used, 0);
    intake_free(rig->intake);
    ring_free(rig->ring);
}

static uint8_t octet_of(unsigned frame, uint32_t at)
{
    return (uint8_t)(frame * 31 + at * 7 + (at >> 8));
}

static void put_header(struct rig *rig, uint32_t len)
{
    uint8_t header[FRAME_HEADER];
    store_be32(header, len);
    buffer_put(&rig->wire, header, sizeof header);
}

static void put_frame(struct rig *rig, uint32_t len)
{
    put_header(rig, len);
    uint8_t *at = buffer_reserve(&rig->wire, len);
    for (uint32_t i = 0; i < len; i++)
        at[i] = octet_of(rig->put, i);
    rig->wire.len += len;
    rig->lens[rig->put++] = len;
}

/* A frame that must not come out. */
static void put_oversize(struct rig *rig, uint32_t len)
{
    put_header(rig, len);
    memset(buffer_reserve(&rig->wire, len), 0x5a, len);
    rig->wire.len += len;
}

static void put_control(struct rig *rig, uint32_t len)
{
    put_header(rig, 0);
    put_header(rig, len);
    memset(buffer_reserve(&rig->wire, len), (int)rig->controls_put++, len);
    rig->wire.len += len;
}

static void take_frame(struct rig *rig, struct frame frame)
{
    assert_true(rig->came < rig->put);
    assert_int_equal(frame.len, rig->lens[rig->came]);
    unsigned wrong = 0;
    for (uint32_t i = 0; i < frame.len; i++)
        wrong += frame.data[i] != octet_of(rig->came, i);
    assert_int_equal(wrong, 0);
    rig->came++;
}

static void take_batches(struct rig *rig)
{
    struct batch *batch;
    while ((batch = ring_take(rig->ring))) {
        struct reader r = reader_over(batch->data, batch->len);
        struct frame frame;
        uint32_t count = 0;
        while (frame_next(&r, &frame)) {
            take_frame(rig, frame);
            count++;
        }
        assert_false(r.bad);
        assert_int_equal(count, batch->count);
        assert_true(batch->len <= BATCH_LIMIT || count == 1);
        batch_unref(batch);
    }
}

static void take_control(struct rig *rig)
{
    size_t len;
    const uint8_t *payload = stream_control(rig->stream, &len);
    for (size_t i = 0; i < len; i++)
        assert_int_equal(payload[i], (uint8_t)rig->controls_came);
    rig->controls_came++;
}

/* Reads up to `piece` octets of the wire to the window and has them dealt with. False: broken. */
static bool deliver(struct rig *rig, size_t piece, uint32_t frames_max)
{
    struct stream_window window;
    if (!stream_window(rig->stream, rig->intake, &window, &rig->error))
        return false;
    assert_true(window.len > 0);
    size_t left = rig->wire.len - rig->at;
    size_t n = piece < window.len ? piece : window.len;
    n = n < left ? n : left;
    memcpy(window.at, rig->wire.data + rig->at, n);
    rig->at += n;
    for (;; n = 0) {
        uint64_t before = stream_frames(rig->stream);
        enum stream_result result =
            stream_received(rig->stream, rig->intake, n, frames_max, &rig->error);
        if (frames_max > 0)
            assert_in_range(stream_frames(rig->stream) - before, 0, frames_max);
        if (result == STREAM_CONTROL)
            take_control(rig);
        else if (result == STREAM_PAUSE)
            assert_int_equal(stream_frames(rig->stream) - before, frames_max);
        else
            return result == STREAM_MORE;
        if (result == STREAM_PAUSE)
            intake_flush(rig->intake);
    }
}

/* The rest of the wire in pieces of at most `piece_max` octets. */
static bool deliver_all(struct rig *rig, uint64_t *noise, uint32_t piece_max, uint32_t frames_max)
{
    while (rig->at < rig->wire.len) {
        if (!deliver(rig, 1 + noise_below(noise, piece_max), frames_max))
            return false;
        if (noise_below(noise, 8) == 0) {
            intake_flush(rig->intake);
            take_batches(rig);
        }
    }
    intake_flush(rig->intake);
    take_batches(rig);
    return true;
}

static uint32_t random_length(uint64_t *noise)
{
    switch (noise_below(noise, 40)) {
    case 0:
        return 1 + noise_below(noise, FRAME_MAX);
    case 1: /* where a frame begins to need memory of its own */
        return BATCH_LIMIT - 8192 - 8 + noise_below(noise, 16);
    case 2:
        return BATCH_LIMIT - 8 + noise_below(noise, 16);
    case 3:
        return FRAME_MAX;
    case 4:
        return 1;
    default:
        return 1 + noise_below(noise, 500);
    }
}

static void put_random_stream(struct rig *rig, uint64_t *noise, size_t octets)
{
    put_control(rig, 34);
    while (rig->wire.len < octets && rig->put < 15000) {
        put_frame(rig, random_length(noise));
        if (noise_below(noise, 50) == 0)
            put_control(rig, noise_below(noise, CONTROL_MAX + 1));
    }
    put_control(rig, 4);
}

static struct rig rig; /* one at a time; large */

static void one_random_stream(uint64_t *noise, uint32_t piece_max, size_t octets)
{
    rig_open(&rig, FRAME_MAX, noise_below(noise, 2), SIZE_MAX);
    put_random_stream(&rig, noise, octets);
    uint32_t frames_max = noise_below(noise, 3) == 0 ? 1 + noise_below(noise, 20) : 0;
    assert_true(deliver_all(&rig, noise, piece_max, frames_max));
    assert_int_equal(rig.came, rig.put);
    assert_int_equal(rig.controls_came, rig.controls_put);
    assert_int_equal(stream_frames(rig.stream), rig.put);
    assert_int_equal(stream_torn(rig.stream), 0);
    struct tally tally = account_read(&rig.account);
    assert_int_equal(tally.received, rig.put);
    assert_int_equal(tally.dropped + tally.malformed, 0);
    rig_close(&rig);
}

static void any_stream_in_any_pieces_comes_out_whole(void **state)
{
    (void)state;
    static const uint32_t pieces[] = {2, 10, 600, 5000, 70000, 1000000};
    uint64_t noise = 9;
    for (uint64_t i = work_for_build(1500); i > 0; i--) {
        uint32_t piece_max = pieces[i % 6];
        one_random_stream(&noise, piece_max, piece_max < 100 ? 3000 : 1000000);
    }
}

static void one_octet_at_a_time(void **state)
{
    (void)state;
    uint64_t noise = 10;
    rig_open(&rig, FRAME_MAX, false, SIZE_MAX);
    put_control(&rig, 34);
    put_frame(&rig, 1);
    put_frame(&rig, 300);
    put_control(&rig, CONTROL_MAX);
    put_control(&rig, 0);
    put_frame(&rig, 5000);
    put_frame(&rig, 70000);
    put_frame(&rig, 2);
    put_control(&rig, 4);
    assert_true(deliver_all(&rig, &noise, 1, 0));
    assert_int_equal(rig.came, 5);
    assert_int_equal(rig.controls_came, 4);
    rig_close(&rig);
}

static void several_streams_share_an_intake(void **state)
{
    (void)state;
    uint64_t noise = 11;
    rig_open(&rig, FRAME_MAX, false, SIZE_MAX);
    struct stream *first = rig.stream, *second = stream_new(FRAME_MAX, false, &rig.budget);
    put_control(&rig, 34);
    put_frame(&rig, 30000);
    rig.wire.len -= 10000; /* torn */
    assert_true(deliver_all(&rig, &noise, 9000, 0));
    assert_int_equal(stream_torn(first), 20004);

    rig.stream = second; /* another sender's frames come between */
    size_t torn = rig.wire.len;
    rig.put = 0;
    put_control(&rig, 34);
    put_frame(&rig, 100);
    assert_true(deliver_all(&rig, &noise, 9000, 0));
    assert_int_equal(rig.came, 1);
    assert_int_equal(stream_frames(second), 1);

    rig.stream = first; /* the rest of the first */
    rig.came = rig.put = 0;
    rig.wire.len = torn - 20004;
    put_frame(&rig, 30000);
    rig.at = torn;
    assert_true(deliver_all(&rig, &noise, 9000, 0));
    assert_int_equal(rig.came, 1);
    stream_free(second);
    rig_close(&rig);
}

static void an_oversize_frame_breaks_a_connection(void **state)
{
    (void)state;
    uint64_t noise = 12;
    rig_open(&rig, 1000, false, SIZE_MAX);
    put_control(&rig, 34);
    put_frame(&rig, 1000);
    put_oversize(&rig, 1001);
    put_frame(&rig, 10);
    assert_false(deliver_all(&rig, &noise, 500, 0));
    assert_non_null(strstr(rig.error.text, "1001"));
    assert_non_null(strstr(rig.error.text, "max-frame=1000"));
    intake_flush(rig.intake);
    take_batches(&rig);
    assert_int_equal(rig.came, 1);
    rig_close(&rig);
}

static void an_oversize_frame_in_a_file_is_passed_over(void **state)
{
    (void)state;
    uint64_t noise = 13;
    for (uint32_t piece = 1; piece < 3000000; piece *= 7) {
        rig_open(&rig, 1000, true, SIZE_MAX);
        put_control(&rig, 34);
        put_oversize(&rig, 1001);
        for (int i = 0; i < 20; i++)
            put_frame(&rig, 1 + noise_below(&noise, 1000));
        put_oversize(&rig, 5000);
        put_oversize(&rig, 300000);
        put_frame(&rig, 7);
        put_control(&rig, 4);
        assert_true(deliver_all(&rig, &noise, piece, 0));
        assert_int_equal(rig.came, 21);
        assert_int_equal(rig.controls_came, 2);
        struct tally tally = account_read(&rig.account);
        assert_int_equal(tally.received, 24);
        assert_int_equal(tally.malformed, 3);
        assert_int_equal(stream_torn(rig.stream), 0);
        rig_close(&rig);
    }
}

static void frames_max_holds_across_oversize_frames(void **state)
{
    (void)state;
    uint64_t noise = 14;
    rig_open(&rig, 1000, true, SIZE_MAX);
    put_control(&rig, 34);
    for (int i = 0; i < 100; i++) {
        put_frame(&rig, 20);
        if (i % 3 == 0)
            put_oversize(&rig, 1001);
    }
    assert_true(deliver_all(&rig, &noise, 1000000, 5)); /* deliver() looks at each call */
    assert_int_equal(rig.came, 100);
    rig_close(&rig);
}

static void frames_max_pauses_with_the_rest_kept(void **state)
{
    (void)state;
    uint64_t noise = 15;
    for (uint32_t frames_max = 1; frames_max < 300; frames_max *= 3) {
        rig_open(&rig, FRAME_MAX, true, SIZE_MAX);
        put_control(&rig, 34);
        for (int i = 0; i < 1000; i++)
            put_frame(&rig, 1 + noise_below(&noise, 100));
        assert_true(deliver_all(&rig, &noise, 65536, frames_max));
        assert_int_equal(rig.came, 1000);
        rig_close(&rig);
    }
}

static void a_torn_end_is_told(void **state)
{
    (void)state;
    uint64_t noise = 16;
    static const uint32_t lens[] = {1, 100, 60000, 100000};
    for (unsigned i = 0; i < 4; i++) {
        uint32_t cuts[] = {1, 3, 4, 5, lens[i], lens[i] + 3};
        for (unsigned k = 0; k < 6; k++) {
            rig_open(&rig, FRAME_MAX, false, SIZE_MAX);
            put_control(&rig, 34);
            put_frame(&rig, 50);
            put_frame(&rig, lens[i]);
            uint32_t cut = cuts[k] < lens[i] + 4 ? cuts[k] : lens[i] + 3;
            rig.wire.len -= lens[i] + 4 - cut; /* so much of it is there */
            assert_true(deliver_all(&rig, &noise, 50000, 0));
            assert_int_equal(rig.came, 1);
            assert_int_equal(stream_torn(rig.stream), cut);
            rig_close(&rig);
        }
    }
}

static void a_torn_oversize_frame_is_told(void **state)
{
    (void)state;
    uint64_t noise = 17;
    rig_open(&rig, 1000, true, SIZE_MAX);
    put_control(&rig, 34);
    put_oversize(&rig, 5000);
    rig.wire.len -= 100;
    assert_true(deliver_all(&rig, &noise, 64, 0));
    assert_int_equal(stream_torn(rig.stream), 100); /* what is still missing */
    rig_close(&rig);
}

static void what_does_not_begin_with_a_control_frame_is_none(void **state)
{
    (void)state;
    uint64_t noise = 18;
    for (uint32_t piece = 1; piece < 100; piece += 33) {
        rig_open(&rig, FRAME_MAX, true, SIZE_MAX);
        put_frame(&rig, 100);
        put_control(&rig, 4);
        assert_false(deliver_all(&rig, &noise, piece, 0));
        assert_non_null(strstr(rig.error.text, "not Frame Streams"));
        assert_int_equal(stream_frames(rig.stream), 0);
        rig_close(&rig);
    }
}

static void a_long_control_frame_breaks_the_stream(void **state)
{
    (void)state;
    uint64_t noise = 19;
    rig_open(&rig, FRAME_MAX, true, SIZE_MAX);
    put_control(&rig, 34);
    put_control(&rig, CONTROL_MAX + 1);
    assert_false(deliver_all(&rig, &noise, 600, 0));
    assert_non_null(strstr(rig.error.text, "513"));
    rig_close(&rig);
}

/* Begins a frame of `len` octets on a new stream and delivers all but its last octet. */
static struct stream *begin_frame(uint32_t len, bool *ok)
{
    uint64_t noise = 20;
    struct stream *stream = stream_new(FRAME_MAX, false, &rig.budget);
    rig.stream = stream;
    rig.at = rig.wire.len;
    put_control(&rig, 34);
    put_frame(&rig, len);
    rig.put--;
    rig.wire.len--;
    *ok = deliver_all(&rig, &noise, 100000, 0);
    return stream;
}

static void senders_share_a_budget(void **state)
{
    (void)state;
    enum { SENDERS = 10 };
    static const uint32_t lens[] = {20000, 100000};
    for (unsigned i = 0; i < 2; i++) {
        struct stream *streams[SENDERS + 1];
        bool ok;
        rig_open(&rig, FRAME_MAX, false, SENDERS * ((size_t)lens[i] + 4));
        streams[0] = rig.stream;
        for (unsigned k = 0; k < SENDERS; k++) {
            stream_free(streams[k]);
            streams[k] = begin_frame(lens[i], &ok);
            assert_true(ok);
            assert_in_range(rig.budget.used, (k + 1) * lens[i], rig.budget.limit);
            streams[k + 1] = NULL;
        }
        streams[SENDERS] = begin_frame(lens[i], &ok);
        assert_false(ok);
        assert_non_null(strstr(rig.error.text, "unfinished frames"));
        stream_free(streams[SENDERS]);
        stream_free(streams[0]); /* a sender leaves: there is room again */
        streams[0] = begin_frame(lens[i], &ok);
        assert_true(ok);
        for (unsigned k = 0; k < SENDERS; k++)
            stream_free(streams[k]);
        rig.stream = NULL;
        rig_close(&rig);
    }
}

static void small_torn_ends_are_outside_the_budget(void **state)
{
    (void)state;
    bool ok;
    rig_open(&rig, FRAME_MAX, false, 0);
    stream_free(rig.stream);
    begin_frame(STREAM_FREE_TAIL - 4, &ok);
    assert_true(ok);
    assert_int_equal(rig.budget.used, 0);
    rig_close(&rig);
}

static void a_large_frame_is_not_charged_beside_the_tail_before_it(void **state)
{
    (void)state;
    uint64_t noise = 22;
    rig_open(&rig, FRAME_MAX, false, 110000);
    put_control(&rig, 34);
    put_frame(&rig, 30000);
    size_t torn = rig.wire.len -= 10;
    assert_true(deliver_all(&rig, &noise, 9000, 0));
    rig.wire.len += 10;
    put_frame(&rig, 100000);
    assert_true(deliver(&rig, 10 + 100, 0)); /* ends the one, begins the other */
    assert_int_equal(rig.at, torn + 110);
    assert_true(deliver_all(&rig, &noise, 9000, 0));
    assert_int_equal(rig.came, 2);
    rig_close(&rig);
}

/* The slabs that a ring's batches stand in, in octets; batches out of one slab follow each other.
 */
static size_t slab_octets(struct ring *ring)
{
    static struct batch *batches[4096];
    size_t octets = 0;
    unsigned count = 0;
    while ((batches[count] = ring_take(ring))) {
        assert_in_range(++count, 1, 4095);
        if (count == 1 || batches[count - 1]->owner != batches[count - 2]->owner)
            octets += SLAB_SIZE;
    }
    while (count > 0)
        batch_unref(batches[--count]);
    return octets;
}

/* What config_ceiling counts on: where torn messages do not fit into the end of a slab, no more
 * than a quarter of it goes unused. */
static void slabs_are_used_well_at_any_length(void **state)
{
    (void)state;
    for (uint32_t len = 1000; len < 57000; len += 4000) {
        rig_open(&rig, FRAME_MAX, false, SIZE_MAX);
        put_control(&rig, 34);
        while (rig.wire.len < 10 << 20)
            put_frame(&rig, len);
        while (rig.at < rig.wire.len)
            assert_true(deliver(&rig, 60000, 0));
        intake_flush(rig.intake);
        size_t used = ring_octets(rig.ring);
        assert_in_range(slab_octets(rig.ring), used, used + used / 3 + 2 * SLAB_SIZE);
        rig_close(&rig);
    }
}

static void random_octets_do_no_harm(void **state)
{
    (void)state;
    uint64_t noise = 21;
    for (uint64_t i = work_for_build(20000); i > 0; i--) {
        struct error error;
        uint32_t n;
        rig_open(&rig, 1 + noise_below(&noise, 100000), i % 2, 100000);
        put_control(&rig, 34);
        for (int k = 0; k < 5; k++)
            put_frame(&rig, 1 + noise_below(&noise, 300));
        n = noise_damage(&noise, rig.wire.data, (uint32_t)rig.wire.len);
        for (uint32_t at = 0; at < n;) {
            struct stream_window window;
            assert_true(stream_window(rig.stream, rig.intake, &window, &error));
            uint32_t piece = 1 + noise_below(&noise, 200);
            piece = piece < n - at ? piece : n - at;
            piece = piece < window.len ? piece : (uint32_t)window.len;
            memcpy(window.at, rig.wire.data + at, piece);
            at += piece;
            enum stream_result result = stream_received(rig.stream, rig.intake, piece, 0, &error);
            while (result == STREAM_CONTROL)
                result = stream_received(rig.stream, rig.intake, 0, 0, &error);
            if (result == STREAM_BROKEN)
                break;
        }
        rig_close(&rig);
    }
}

static int free_wire(void **state)
{
    (void)state;
    buffer_free(&rig.wire);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_stream_in_any_pieces_comes_out_whole),
        cmocka_unit_test(one_octet_at_a_time),
        cmocka_unit_test(several_streams_share_an_intake),
        cmocka_unit_test(an_oversize_frame_breaks_a_connection),
        cmocka_unit_test(an_oversize_frame_in_a_file_is_passed_over),
        cmocka_unit_test(frames_max_holds_across_oversize_frames),
        cmocka_unit_test(frames_max_pauses_with_the_rest_kept),
        cmocka_unit_test(a_torn_end_is_told),
        cmocka_unit_test(a_torn_oversize_frame_is_told),
        cmocka_unit_test(what_does_not_begin_with_a_control_frame_is_none),
        cmocka_unit_test(a_long_control_frame_breaks_the_stream),
        cmocka_unit_test(senders_share_a_budget),
        cmocka_unit_test(small_torn_ends_are_outside_the_budget),
        cmocka_unit_test(a_large_frame_is_not_charged_beside_the_tail_before_it),
        cmocka_unit_test(slabs_are_used_well_at_any_length),
        cmocka_unit_test(random_octets_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, free_wire);
}
