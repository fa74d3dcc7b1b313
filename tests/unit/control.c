/* Control frames: what is written is read back, what is garbled is refused. */
#include "control.h"

#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"
#include "reader.h"

static const enum control_type all[] = {CONTROL_ACCEPT, CONTROL_START, CONTROL_STOP, CONTROL_READY,
                                        CONTROL_FINISH};
enum { TYPES = sizeof all / sizeof all[0] };

static void every_type_is_read_back(void **state)
{
    (void)state;
    for (int i = 0; i < TYPES; i++) {
        uint8_t frame[CONTROL_HEADER + CONTROL_MAX];
        struct error error = {{0}};
        enum control_type type = 0;
        size_t len = control_write(all[i], frame);
        assert_true(len > CONTROL_HEADER);
        assert_int_equal(load_be32(frame), 0);
        assert_int_equal(load_be32(frame + 4), len - CONTROL_HEADER);
        assert_int_equal(load_be32(frame + 8), all[i]);
        assert_true(control_read(frame + CONTROL_HEADER, len - CONTROL_HEADER, &type, &error));
        assert_int_equal(type, all[i]);
    }
}

static void start_is_what_others_write(void **state)
{
    (void)state;
    static const char want[] = "\0\0\0\0\0\0\0\x22\0\0\0\2\0\0\0\1\0\0\0\x16protobuf:dnstap.Dnstap";
    uint8_t frame[CONTROL_HEADER + CONTROL_MAX];
    assert_int_equal(control_write(CONTROL_START, frame), sizeof want - 1);
    assert_memory_equal(frame, want, sizeof want - 1);
}

static size_t payload(uint8_t *out, uint32_t type, const char *const *content_types)
{
    size_t len = 4;
    store_be32(out, type);
    for (; *content_types; content_types++) {
        store_be32(out + len, 1);
        store_be32(out + len + 4, (uint32_t)strlen(*content_types));
        memcpy(out + len + 8, *content_types, strlen(*content_types));
        len += 8 + strlen(*content_types);
    }
    return len;
}

static void content_types_are_matched(void **state)
{
    (void)state;
    uint8_t octets[CONTROL_MAX];
    struct error error;
    enum control_type type;
    const char *other[] = {"protobuf:other", NULL};
    const char *several[] = {"protobuf:other", DNSTAP_CONTENT_TYPE, NULL};
    const char *none[] = {NULL};
    assert_false(control_read(octets, payload(octets, CONTROL_START, other), &type, &error));
    assert_non_null(strstr(error.text, "protobuf:other"));
    assert_true(control_read(octets, payload(octets, CONTROL_READY, several), &type, &error));
    assert_true(control_read(octets, payload(octets, CONTROL_START, none), &type, &error));
}

static void garbled_frames_are_refused_and_harm_nothing(void **state)
{
    (void)state;
    uint8_t frame[CONTROL_HEADER + CONTROL_MAX];
    struct error error;
    enum control_type type;
    size_t len = control_write(CONTROL_START, frame) - CONTROL_HEADER;
    for (size_t cut = 0; cut < len; cut++) {
        if (cut != 4) /* START without a content type is allowed */
            assert_false(control_read(frame + CONTROL_HEADER, cut, &type, &error));
    }
    srandom(5);
    for (int i = 0; i < 100000; i++) {
        uint8_t noise[64];
        for (size_t k = 0; k < sizeof noise; k++)
            noise[k] = (uint8_t)random();
        control_read(noise, (size_t)random() % sizeof noise, &type, &error);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_is_read_back),
        cmocka_unit_test(start_is_what_others_write),
        cmocka_unit_test(content_types_are_matched),
        cmocka_unit_test(garbled_frames_are_refused_and_harm_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
