/* How much of a parcel the first octets hold. */
#include "parcel.h"

#include "harness.h"

static void frames_are_counted_whole(void **state)
{
    (void)state;
    static const uint8_t frames[] = "\0\0\0\1a\0\0\0\3bcd\0\0\0\2ef";
    static const uint32_t ends[] = {5, 12, 18};
    struct parcel parcel = {.data = frames, .len = sizeof frames - 1, .count = 3};
    for (unsigned with_ends = 0; with_ends < 2; with_ends++) {
        parcel.ends = with_ends ? ends : NULL;
        for (size_t octets = 0; octets < 25; octets++) {
            size_t end = 99;
            uint32_t whole = parcel_whole(&parcel, octets, &end);
            uint32_t expected = octets >= 18 ? 3 : octets >= 12 ? 2 : octets >= 5;
            assert_int_equal(whole, expected);
            assert_int_equal(end, expected ? ends[expected - 1] : 0);
        }
    }
}

static void an_empty_parcel_holds_nothing(void **state)
{
    (void)state;
    struct parcel parcel = {.len = 0};
    size_t end = 99;
    assert_int_equal(parcel_whole(&parcel, 0, &end), 0);
    assert_int_equal(end, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_are_counted_whole),
        cmocka_unit_test(an_empty_parcel_holds_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
