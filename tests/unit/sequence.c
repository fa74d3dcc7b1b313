/* Gaps in the numbers: found, filled, forgiven where they are nobody's fault. */
#include "sequence.h"

#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"

static void nothing_before_the_joining_is_judged(void **state)
{
    (void)state;
    struct sequence s = {0};
    sequence_note(&s, 500, 10, false, 0);
    assert_int_equal(s.joined_at, 500);
    assert_int_equal(s.lost, 0);
    sequence_note(&s, 100, 10, false, 0); /* from before */
    assert_int_equal(s.lost, 0);
    assert_int_equal(s.duplicates, 0);
}

static void gaps_are_lost_until_they_are_filled(void **state)
{
    (void)state;
    struct sequence s = {0};
    sequence_note(&s, 0, 10, false, 0);
    assert_int_equal(sequence_note(&s, 30, 10, false, 0), 20);
    assert_int_equal(s.lost, 20);
    sequence_note(&s, 15, 5, false, 0);
    assert_int_equal(s.lost, 15);
    sequence_note(&s, 10, 30, false, 0); /* 10..15 and 20..30 were missing, the rest comes twice */
    assert_int_equal(s.lost, 0);
    assert_int_equal(s.duplicates, 15);
    assert_int_equal(s.gap_count, 0);
}

static void an_empty_note_shows_what_is_missing_at_the_end(void **state)
{
    (void)state;
    struct sequence s = {0};
    sequence_note(&s, 0, 10, false, 0);
    sequence_note(&s, 25, 0, false, 0);
    assert_int_equal(s.lost, 15);
    assert_int_equal(s.next, 25);
}

static void shared_batches_are_not_judged(void **state)
{
    (void)state;
    struct sequence s = {0};
    sequence_note(&s, 0, 10, false, 0);
    sequence_note(&s, 50, 10, true, 1);
    sequence_note(&s, 90, 10, true, 1);
    sequence_note(&s, 200, 10, false, 2); /* alone again: from here on */
    assert_int_equal(s.lost, 0);
    sequence_note(&s, 215, 10, false, 2);
    assert_int_equal(s.lost, 5);
}

static void more_gaps_than_can_be_remembered_stay_lost(void **state)
{
    (void)state;
    struct sequence s = {0};
    for (uint64_t i = 0; i <= SEQUENCE_GAPS + 10; i++)
        sequence_note(&s, i * 10, 5, false, 0);
    assert_int_equal(s.lost, (SEQUENCE_GAPS + 10) * 5);
    assert_int_equal(s.gap_count, SEQUENCE_GAPS);
    sequence_note(&s, 5, 5, false, 0); /* the oldest: too late */
    assert_int_equal(s.lost, (SEQUENCE_GAPS + 10) * 5);
}

/* Against a slow reference, a count per number, over random arrivals. */
static void agrees_with_a_slow_reference(void **state)
{
    (void)state;
    enum { NUMBERS = 300 };
    srandom(13);
    for (int round = 0; round < 2000; round++) {
        struct sequence s = {0};
        unsigned seen[NUMBERS] = {0};
        uint64_t high = 0, joined = 0;
        for (int i = 0; i < 40; i++) {
            uint64_t first = (uint64_t)random() % (NUMBERS - 10);
            uint32_t count = (uint32_t)random() % 10 + 1;
            joined = i ? joined : first;
            sequence_note(&s, first, count, false, 0);
            for (uint64_t n = first; n < first + count; n++)
                seen[n]++;
            high = first + count > high ? first + count : high;
        }
        uint64_t lost = 0, twice = 0;
        for (uint64_t n = joined; n < high; n++) {
            lost += seen[n] == 0;
            twice += seen[n] > 1 ? seen[n] - 1 : 0;
        }
        assert_int_equal(s.lost, lost);
        assert_int_equal(s.duplicates, twice);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_before_the_joining_is_judged),
        cmocka_unit_test(gaps_are_lost_until_they_are_filled),
        cmocka_unit_test(an_empty_note_shows_what_is_missing_at_the_end),
        cmocka_unit_test(shared_batches_are_not_judged),
        cmocka_unit_test(more_gaps_than_can_be_remembered_stay_lost),
        cmocka_unit_test(agrees_with_a_slow_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
