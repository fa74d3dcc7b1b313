/* Control frames: what is written is read back, what is garbled is refused. */
#include "control.h"

#include "harness.h"
#include "noise.h"
#include "reader.h"

static const enum control_type types[] = {CONTROL_ACCEPT, CONTROL_START, CONTROL_STOP,
                                          CONTROL_READY, CONTROL_FINISH};

enum { TYPES = sizeof types / sizeof *types };

/* A control frame's payload of our own making. */
struct payload {
    uint8_t data[CONTROL_MAX + 64];
    size_t len;
};

static void put_be32(struct payload *p, uint32_t value)
{
    store_be32(p->data + p->len, value);
    p->len += 4;
}

static void put_content_type(struct payload *p, const char *type, size_t len)
{
    put_be32(p, 1);
    put_be32(p, (uint32_t)len);
    memcpy(p->data + p->len, type, len);
    p->len += len;
}

static bool reads(const struct payload *p, enum control_type *type, struct error *error)
{
    /* a copy of exactly that size: a sanitizer sees a read beyond it */
    uint8_t *copy = calloc(1, p->len ? p->len : 1);
    memcpy(copy, p->data, p->len);
    error->text[0] = '\0';
    bool ok = control_read(copy, p->len, type, error);
    free(copy);
    assert_true(ok == (error->text[0] == '\0'));
    return ok;
}

static void every_type_is_read_back(void **state)
{
    (void)state;
    for (unsigned i = 0; i < TYPES; i++) {
        uint8_t out[CONTROL_HEADER + CONTROL_MAX];
        enum control_type type;
        struct error error;
        size_t len = control_write(types[i], out);
        assert_in_range(len, CONTROL_HEADER + 4, sizeof out);
        assert_int_equal(load_be32(out), 0);
        assert_int_equal(load_be32(out + 4), len - CONTROL_HEADER);
        assert_int_equal(load_be32(out + 8), types[i]);
        assert_true(control_read(out + CONTROL_HEADER, len - CONTROL_HEADER, &type, &error));
        assert_int_equal(type, types[i]);
        assert_non_null(control_name(types[i]));
    }
    assert_non_null(strstr(control_name(CONTROL_START), "START"));
}

static void a_start_frame_octet_by_octet(void **state)
{
    (void)state;
    static const uint8_t start[] = "\0\0\0\0"
                                   "\0\0\0\x22"
                                   "\0\0\0\x02"
                                   "\0\0\0\x01"
                                   "\0\0\0\x16"
                                   "protobuf:dnstap.Dnstap";
    uint8_t out[CONTROL_HEADER + CONTROL_MAX];
    assert_int_equal(control_write(CONTROL_START, out), sizeof start - 1);
    assert_memory_equal(out, start, sizeof start - 1);
}

static void another_content_type_is_refused_by_name(void **state)
{
    (void)state;
    for (unsigned i = 0; i < TYPES; i++) {
        if (types[i] == CONTROL_STOP || types[i] == CONTROL_FINISH)
            continue;
        struct payload p = {.len = 0};
        enum control_type type;
        struct error error;
        put_be32(&p, types[i]);
        put_content_type(&p, "protobuf:other.Thing", 20);
        assert_false(reads(&p, &type, &error));
        assert_non_null(strstr(error.text, "protobuf:other.Thing"));
        assert_non_null(strstr(error.text, DNSTAP_CONTENT_TYPE));
    }
}

static void one_of_several_content_types_is_enough(void **state)
{
    (void)state;
    struct payload p = {.len = 0};
    enum control_type type;
    struct error error;
    put_be32(&p, CONTROL_READY);
    put_content_type(&p, "protobuf:other.Thing", 20);
    put_content_type(&p, DNSTAP_CONTENT_TYPE, strlen(DNSTAP_CONTENT_TYPE));
    put_content_type(&p, "x", 1);
    assert_true(reads(&p, &type, &error));
    assert_int_equal(type, CONTROL_READY);
}

static void near_misses_are_not_the_content_type(void **state)
{
    (void)state;
    static const char *const misses[] = {"protobuf:dnstap.Dnsta", "protobuf:dnstap.Dnstap ",
                                         "Protobuf:dnstap.Dnstap", "x"};
    for (unsigned i = 0; i < sizeof misses / sizeof *misses; i++) {
        struct payload p = {.len = 0};
        enum control_type type;
        struct error error;
        put_be32(&p, CONTROL_START);
        put_content_type(&p, misses[i], strlen(misses[i]));
        assert_false(reads(&p, &type, &error));
    }
}

static void a_long_content_type_fits_the_error(void **state)
{
    (void)state;
    char name[256];
    struct payload p = {.len = 0};
    enum control_type type;
    struct error error;
    memset(name, 'n', sizeof name);
    put_be32(&p, CONTROL_START);
    put_content_type(&p, name, sizeof name);
    assert_false(reads(&p, &type, &error));
    assert_non_null(strstr(error.text, DNSTAP_CONTENT_TYPE));
}

static void what_is_too_long_or_unknown_is_refused(void **state)
{
    (void)state;
    struct payload p = {.len = 0};
    enum control_type type;
    struct error error;
    assert_false(reads(&p, &type, &error));
    put_be32(&p, 0);
    assert_false(reads(&p, &type, &error));
    p.len = 0;
    put_be32(&p, 6);
    assert_false(reads(&p, &type, &error));

    p.len = 0;
    put_be32(&p, CONTROL_READY);
    while (p.len + 30 <= CONTROL_MAX)
        put_content_type(&p, DNSTAP_CONTENT_TYPE, strlen(DNSTAP_CONTENT_TYPE));
    assert_true(reads(&p, &type, &error));
    put_content_type(&p, DNSTAP_CONTENT_TYPE, strlen(DNSTAP_CONTENT_TYPE));
    assert_true(p.len > CONTROL_MAX);
    assert_false(reads(&p, &type, &error));
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    for (unsigned i = 0; i < TYPES; i++) {
        uint8_t out[CONTROL_HEADER + CONTROL_MAX];
        size_t len = control_write(types[i], out) - CONTROL_HEADER;
        for (size_t cut = 0; cut < len; cut++) {
            struct payload p = {.len = cut};
            enum control_type type;
            struct error error;
            memcpy(p.data, out + CONTROL_HEADER, cut);
            if (cut == 4) /* the type alone: whole, but without a content type */
                continue;
            assert_false(reads(&p, &type, &error));
        }
    }
}

static void random_octets_do_no_harm(void **state)
{
    (void)state;
    uint64_t noise = 6;
    uint64_t rounds = work_for_build(1000000);
    for (uint64_t i = 0; i < rounds; i++) {
        uint8_t out[CONTROL_HEADER + CONTROL_MAX];
        struct payload p;
        enum control_type type = 0;
        struct error error;
        p.len = control_write(types[i % TYPES], out) - CONTROL_HEADER;
        memcpy(p.data, out + CONTROL_HEADER, p.len);
        p.len = noise_damage(&noise, p.data, (uint32_t)p.len);
        if (reads(&p, &type, &error))
            assert_in_range(type, CONTROL_ACCEPT, CONTROL_FINISH);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_is_read_back),
        cmocka_unit_test(a_start_frame_octet_by_octet),
        cmocka_unit_test(another_content_type_is_refused_by_name),
        cmocka_unit_test(one_of_several_content_types_is_enough),
        cmocka_unit_test(near_misses_are_not_the_content_type),
        cmocka_unit_test(a_long_content_type_fits_the_error),
        cmocka_unit_test(what_is_too_long_or_unknown_is_refused),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(random_octets_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
