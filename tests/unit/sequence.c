/* Numbers that come, that do not, that come late and twice; against a plain list of all of them. */
#include "sequence.h"

#include "harness.h"
#include "noise.h"

/* Notes a batch of a sender with one receiver and one epoch. */
static uint64_t note(struct sequence *s, uint64_t first, uint32_t count)
{
    return sequence_note(s, first, count, false, 0);
}

static void a_receiver_judges_nothing_before_it_joined(void **state)
{
    (void)state;
    struct sequence s = {0};
    assert_int_equal(note(&s, 1000, 10), 0);
    assert_int_equal(s.joined_at, 1000);
    assert_int_equal(s.next, 1010);
    assert_int_equal(note(&s, 1010, 5), 0);
    assert_int_equal(note(&s, 990, 10), 0); /* a late one from before: received, no more is said */
    assert_int_equal(s.received, 25);
    assert_int_equal(s.lost, 0);
    assert_int_equal(s.duplicates, 0);
    assert_int_equal(note(&s, 995, 10), 0); /* half of it before, half of it twice */
    assert_int_equal(s.duplicates, 5);
    assert_int_equal(s.next, 1015);
}

static void a_gap_is_lost_until_it_is_filled(void **state)
{
    (void)state;
    struct sequence s = {0};
    note(&s, 0, 10);
    assert_int_equal(note(&s, 15, 5), 5);
    assert_int_equal(s.lost, 5);
    assert_int_equal(note(&s, 12, 1), 0);
    assert_int_equal(s.lost, 4);
    assert_int_equal(s.gaps.count, 2);
    note(&s, 10, 2);
    note(&s, 13, 2);
    assert_int_equal(s.lost, 0);
    assert_int_equal(s.gaps.count, 0);
    assert_int_equal(s.duplicates, 0);
    assert_int_equal(s.received, 20);
}

static void what_comes_twice_is_counted(void **state)
{
    (void)state;
    struct sequence s = {0};
    note(&s, 0, 10);
    note(&s, 0, 10);
    assert_int_equal(s.duplicates, 10);
    note(&s, 20, 10);
    assert_int_equal(note(&s, 5, 20), 0); /* 5 twice, 10 late, 5 twice */
    assert_int_equal(s.duplicates, 20);
    assert_int_equal(s.lost, 0);
    note(&s, 25, 10); /* 5 twice, 5 new */
    assert_int_equal(s.duplicates, 25);
    assert_int_equal(s.next, 35);
    assert_int_equal(s.received, s.next + s.duplicates);
}

static void the_last_word_shows_a_loss_at_the_end(void **state)
{
    (void)state;
    struct sequence s = {0};
    note(&s, 0, 10);
    assert_int_equal(note(&s, 10, 0), 0);
    assert_int_equal(note(&s, 13, 0), 3);
    assert_int_equal(note(&s, 13, 0), 0);
    assert_int_equal(s.lost, 3);
    assert_int_equal(s.received, 10);
    assert_int_equal(note(&s, 5, 0), 0);
    assert_int_equal(s.duplicates, 0);

    struct sequence only = {0};
    assert_int_equal(note(&only, 77, 0), 0);
    assert_int_equal(only.joined_at, 77);
    assert_int_equal(note(&only, 80, 1), 3);
}

static void shared_batches_leave_no_gaps(void **state)
{
    (void)state;
    struct sequence s = {0};
    assert_int_equal(sequence_note(&s, 0, 10, false, 0), 0);
    assert_int_equal(sequence_note(&s, 20, 10, true, 1), 0);
    assert_int_equal(sequence_note(&s, 90, 10, true, 1), 0);
    assert_int_equal(sequence_note(&s, 60, 10, true, 1), 0);
    assert_int_equal(s.received, 40);
    assert_int_equal(s.next, 100);
    /* the others have gone: from here on it is ours alone */
    assert_int_equal(sequence_note(&s, 150, 10, false, 2), 0);
    assert_int_equal(sequence_note(&s, 165, 10, false, 2), 5);
    assert_int_equal(s.lost, 5);
    assert_int_equal(s.duplicates, 0);
}

static void a_new_epoch_keeps_what_was_lost_before(void **state)
{
    (void)state;
    struct sequence s = {0};
    sequence_note(&s, 0, 10, false, 0);
    assert_int_equal(sequence_note(&s, 20, 10, false, 0), 10);
    assert_int_equal(sequence_note(&s, 40, 10, true, 1), 0);
    assert_int_equal(s.lost, 10);
    assert_int_equal(s.gaps.count, 0);
    assert_int_equal(sequence_note(&s, 60, 10, false, 2), 0);
    assert_int_equal(s.lost, 10);
}

static void the_table_of_gaps_forgets_the_oldest(void **state)
{
    (void)state;
    struct sequence s = {0};
    note(&s, 0, 1);
    for (uint64_t i = 1; i <= GAPS_MAX + 10;
         i++) /* 10 i is here, the nine before it are not */
        assert_int_equal(note(&s, i * 10, 1), 9);
    assert_int_equal(s.gaps.count, GAPS_MAX);
    assert_int_equal(s.lost, 9 * (GAPS_MAX + 10));
    assert_int_equal(s.gaps.at[0].from, 10 * 10 + 1);
    note(&s, 10 * 10 + 1, 9);
    assert_int_equal(s.lost, 9 * (GAPS_MAX + 9));
    assert_int_equal(s.gaps.count, GAPS_MAX - 1);
    note(&s, 1, 9); /* too late to be told from one that comes twice */
    assert_int_equal(s.lost, 9 * (GAPS_MAX + 9));
}

static void a_full_table_loses_no_gap_to_a_fill_at_an_edge(void **state)
{
    (void)state;
    for (unsigned back = 0; back < 2; back++) {
        struct sequence s = {0};
        note(&s, 0, 1);
        for (uint64_t i = 1; i <= GAPS_MAX; i++)
            note(&s, i * 10, 1);
        note(&s, 5 * 10 + (back ? 9 : 1), 1); /* an edge of the sixth gap: it only shrinks */
        assert_int_equal(s.gaps.count, GAPS_MAX);
        assert_int_equal(s.gaps.at[0].from, 1);
        for (unsigned i = 0; i < s.gaps.count; i++)
            assert_true(s.gaps.at[i].from < s.gaps.at[i].to);
        note(&s, 1, 9);
        assert_int_equal(s.lost, 9 * (GAPS_MAX - 1) - 1);
        assert_int_equal(s.duplicates, 0);
    }
}

static void a_split_in_a_full_table_forgets_the_oldest(void **state)
{
    (void)state;
    for (uint64_t split = 0; split < GAPS_MAX; split++) {
        struct sequence s = {0};
        note(&s, 0, 1);
        for (uint64_t i = 1; i <= GAPS_MAX; i++)
            note(&s, i * 10, 1);
        note(&s, split * 10 + 5, 1);
        assert_int_equal(s.gaps.count, GAPS_MAX);
        assert_int_equal(s.lost, 9 * GAPS_MAX - 1);
        for (unsigned i = 0; i < s.gaps.count; i++) {
            assert_true(s.gaps.at[i].from < s.gaps.at[i].to);
            if (i > 0)
                assert_true(s.gaps.at[i - 1].to < s.gaps.at[i].from);
        }
        assert_int_equal(s.gaps.at[s.gaps.count - 1].to, GAPS_MAX * 10);
    }
}

static void numbers_at_the_end_of_the_range_do_no_harm(void **state)
{
    (void)state;
    struct sequence s = {0};
    uint64_t noise = 7;
    for (int i = 0; i < 200000; i++) {
        uint64_t first = (uint64_t)noise_next(&noise) << 32 | noise_next(&noise);
        if (i % 3 == 0)
            first = UINT64_MAX - noise_below(&noise, 100);
        sequence_note(&s, first, noise_next(&noise), i % 7 == 0, noise_below(&noise, 2));
        assert_true(s.gaps.count <= GAPS_MAX);
    }
}

/* The reference: how often each number came. */
enum { NUMBERS = 4000 };

struct reference {
    uint16_t seen[NUMBERS];
    uint64_t joined_at, next;
    bool joined;
};

static void reference_note(struct reference *r, uint64_t first, uint32_t count)
{
    if (!r->joined) {
        r->joined = true;
        r->joined_at = r->next = first;
    }
    for (uint64_t n = first; n < first + count; n++)
        r->seen[n]++;
    r->next = first + count > r->next ? first + count : r->next;
}

static void compare(const struct reference *r, const struct sequence *s)
{
    uint64_t lost = 0, duplicates = 0, received = 0;
    for (uint64_t n = 0; n < NUMBERS; n++)
        received += r->seen[n];
    for (uint64_t n = r->joined_at; n < r->next; n++) {
        lost += r->seen[n] == 0;
        duplicates += r->seen[n] > 1 ? r->seen[n] - 1u : 0;
    }
    assert_int_equal(s->joined_at, r->joined_at);
    assert_int_equal(s->next, r->next);
    assert_int_equal(s->received, received);
    assert_int_equal(s->lost, lost);
    assert_int_equal(s->duplicates, duplicates);
}

/* One life of a sender whose batches come nearly in order, some twice, some never. */
static void one_random_order(uint64_t *noise)
{
    struct sequence s = {0};
    struct reference r = {.joined = false};
    uint64_t at = 1000 + noise_below(noise, 100);
    uint64_t told = 0;
    while (at < NUMBERS - 200 && s.gaps.count < GAPS_MAX - 2) {
        uint32_t count = noise_below(noise, 20);
        uint64_t first = at;
        uint32_t kind = noise_below(noise, 10);
        if (kind == 0) /* some are skipped: lost, or late */
            first += noise_below(noise, 50);
        else if (kind < 4) /* from what was already: late, or twice */
            first -= noise_below(noise, 200);
        told += note(&s, first, count);
        reference_note(&r, first, count);
        at = first + count > at ? first + count : at;
        compare(&r, &s);
        assert_true(told >= s.lost);
    }
}

static void any_order_agrees_with_the_reference(void **state)
{
    (void)state;
    uint64_t noise = 8;
    for (uint64_t i = work_for_build(1000); i > 0; i--)
        one_random_order(&noise);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_receiver_judges_nothing_before_it_joined),
        cmocka_unit_test(a_gap_is_lost_until_it_is_filled),
        cmocka_unit_test(what_comes_twice_is_counted),
        cmocka_unit_test(the_last_word_shows_a_loss_at_the_end),
        cmocka_unit_test(shared_batches_leave_no_gaps),
        cmocka_unit_test(a_new_epoch_keeps_what_was_lost_before),
        cmocka_unit_test(the_table_of_gaps_forgets_the_oldest),
        cmocka_unit_test(a_full_table_loses_no_gap_to_a_fill_at_an_edge),
        cmocka_unit_test(a_split_in_a_full_table_forgets_the_oldest),
        cmocka_unit_test(numbers_at_the_end_of_the_range_do_no_harm),
        cmocka_unit_test(any_order_agrees_with_the_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
