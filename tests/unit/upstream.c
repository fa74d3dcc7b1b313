/* What a source knows of the hops before it: links, restarts, losses; and how it tells. */
#include "upstream.h"

#include "harness.h"
#include "json.h"
#include "json_reader.h"
#include "ledger_copy.h"

/* An envelope from a sender that is the first hop. */
static struct envelope from(const char *hop, uint64_t instance, uint64_t sequence, uint32_t count)
{
    struct envelope e = {.sequence = sequence, .count = count};
    struct hop_ledger self = {.instance = instance, .tally = {.received = sequence + count}};
    snprintf(self.hop, sizeof self.hop, "%s", hop);
    envelope_add_hop(&e, &self);
    return e;
}

static void note(struct upstream *up, const char *hop, uint64_t instance, uint64_t sequence,
                 uint32_t count)
{
    struct envelope e = from(hop, instance, sequence, count);
    upstream_note(up, &e);
}

/* All that it tells, as JSON that was found valid. */
static const char *told(struct upstream *up)
{
    static struct buffer out;
    unsigned count;
    struct link_copy *links = upstream_copy(up, &count);
    buffer_clear(&out);
    json_open(&out, NULL, '[');
    for (unsigned i = 0; i < count; i++)
        link_write_json("here", &links[i], &out);
    json_close(&out, ']');
    link_copies_free(links, count);
    assert_true(json_is_valid(&out));
    buffer_put_char(&out, '\0');
    return (const char *)out.data;
}

static unsigned count_of(const char *text, const char *part)
{
    unsigned count = 0;
    while ((text = strstr(text, part))) {
        text += strlen(part);
        count++;
    }
    return count;
}

static void senders_are_judged_each_by_its_own_numbers(void **state)
{
    (void)state;
    struct upstream *up = upstream_new("nng+tcp:here:1", NULL);
    note(up, "a", 1, 0, 10);
    note(up, "b", 2, 500, 10);
    note(up, "a", 1, 15, 10);
    note(up, "b", 2, 513, 10);
    assert_int_equal(upstream_lost(up), 5 + 3);
    note(up, "a", 1, 10, 5); /* late */
    assert_int_equal(upstream_lost(up), 3);
    const char *json = told(up);
    assert_int_equal(count_of(json, "\"source\":"), 2);
    assert_non_null(strstr(json,
                           "\"hop\":\"b\",\"instance\":\"0000000000000002\",\"joined_at\":500,"
                           "\"next\":523,\"received\":20,\"lost\":3,\"duplicates\":0"));
    upstream_free(up);
    upstream_free(NULL);
}

static void a_sender_that_starts_again_is_a_new_link(void **state)
{
    (void)state;
    struct upstream *up = upstream_new("here", NULL);
    note(up, "a", 1, 0, 10);
    note(up, "a", 1, 12, 10);
    note(up, "a", 77, 0, 10); /* numbers begin anew, nothing comes twice */
    const char *json = told(up);
    assert_int_equal(count_of(json, "\"source\":"), 2);
    assert_int_equal(count_of(json, "\"duplicates\":0"), 2);
    assert_int_equal(upstream_lost(up), 2);
    upstream_free(up);
}

static void the_end_of_a_sender_is_told(void **state)
{
    (void)state;
    struct upstream *up = upstream_new("here", NULL);
    note(up, "a", 1, 0, 10);
    struct envelope last = from("a", 1, 14, 0);
    last.final = true;
    upstream_note(up, &last);
    assert_int_equal(upstream_lost(up), 4);
    assert_non_null(strstr(told(up), "\"finished\":true"));
    upstream_free(up);
}

static void the_path_holds_every_hop_and_ends_with_the_sender(void **state)
{
    (void)state;
    struct upstream *up = upstream_new("here", NULL);
    for (uint64_t i = 0; i < 3; i++) { /* three collectors behind one sender */
        struct envelope e = {.sequence = i, .count = 1};
        struct hop_ledger tap = {.hop = "tap", .instance = 100 + i},
                          sender = {.hop = "s", .instance = 9};
        envelope_add_hop(&e, &tap);
        envelope_add_hop(&e, &sender);
        upstream_note(up, &e);
    }
    const char *json = told(up);
    assert_int_equal(count_of(json, "\"hop\":\"tap\""), 3);
    assert_int_equal(count_of(json, "\"hop\":\"s\""),
                     2); /* the link's name, and its place in the path */
    assert_true(strstr(json, "\"path\":[{\"hop\":\"tap\"") != NULL);
    const char *last = NULL;
    for (const char *at = json; (at = strstr(at, "\"hop\":")); at++)
        last = at;
    assert_memory_equal(last, "\"hop\":\"s\"", 9);
    upstream_free(up);
}

static void links_and_hops_are_bounded_and_losses_stay_summed(void **state)
{
    (void)state;
    struct upstream *up = upstream_new("here", NULL);
    for (uint64_t i = 1; i <= 1500; i++) {
        note(up, "flapping", i, 0, 1);
        note(up, "flapping", i, 2, 1);
    }
    assert_int_equal(upstream_lost(up), 1500);
    assert_int_equal(count_of(told(up), "\"source\":"), 1024);
    for (uint64_t i = 0; i < 200; i++) {
        struct envelope e = {.sequence = i, .count = 1};
        struct hop_ledger tap = {.hop = "tap", .instance = 5000 + i},
                          sender = {.hop = "s", .instance = 9};
        envelope_add_hop(&e, &tap);
        envelope_add_hop(&e, &sender);
        upstream_note(up, &e);
    }
    assert_in_range(count_of(told(up), "\"hop\":\"tap\""), 1, 64);
    upstream_free(up);
}

static void a_sender_that_stays_is_kept_while_others_come_and_go(void **state)
{
    (void)state;
    struct upstream *up = upstream_new("here", NULL);
    uint64_t next = 0;
    for (uint64_t i = 2; i <= 3000; i++) {
        if (i % 500 == 0) {
            note(up, "steady", 1, next, 10);
            next += 15;
        }
        note(up, "brief", i, 0, 1);
    }
    assert_int_equal(upstream_lost(up), next / 15 * 5 - 5);
    upstream_free(up);
}

static void strange_names_are_still_json(void **state)
{
    (void)state;
    struct upstream *up = upstream_new("x\"\\\n", NULL);
    note(up, "h\xff\"\\\x01", 1, 0, 10);
    told(up);
    upstream_free(up);
}

static void it_prints_for_people(void **state)
{
    (void)state;
    struct upstream *up = upstream_new("here", NULL);
    note(up, "a", 1, 0, 10);
    note(up, "a", 1, 12, 10);
    struct ledger_copy ledger = {.hop = "us"};
    struct source_copy *source = ledger_copy_add_source(&ledger, (struct named){.url = "here", .nth = 1});
    source->links = upstream_copy(up, &source->link_count);
    struct buffer text = {0};
    ledger_write_text(&ledger, &text);
    buffer_put_char(&text, '\0');
    assert_non_null(strstr((char *)text.data, "hop a"));
    assert_non_null(strstr((char *)text.data, "lost 2"));
    buffer_free(&text);
    ledger_copy_free(&ledger);
    upstream_free(up);
}

/* One connection that names a new sender with each batch pays for it alone. */
static void a_lying_connection_pushes_nobody_else_out(void **state)
{
    (void)state;
    struct upstream *up = upstream_new("here", NULL);
    for (uint64_t honest = 1; honest <= 1000; honest++) {
        struct envelope e = from("honest", honest, 0, 10);
        upstream_note_from(up, honest, &e);
    }
    for (uint64_t i = 0; i < 5000; i++) {
        struct envelope e = from("liar", 100000 + i, 0, 1);
        upstream_note_from(up, 7777, &e);
    }
    const char *json = told(up);
    assert_int_equal(count_of(json, "\"source\":"), 1000 + UPSTREAM_PEER_LINKS);
    for (uint64_t honest = 1; honest <= 1000; honest++) { /* each is still followed: what it lost shows */
        struct envelope e = from("honest", honest, 11, 1);
        upstream_note_from(up, honest, &e);
    }
    assert_int_equal(upstream_lost(up), 1000);
    upstream_free(up);
}

static void with_no_place_left_the_connection_with_most_links_makes_room(void **state)
{
    (void)state;
    struct upstream *up = upstream_new("here", NULL);
    for (uint64_t honest = 1; honest <= UPSTREAM_LINKS - 2; honest++) {
        struct envelope e = from("honest", honest, 0, 10);
        upstream_note_from(up, honest, &e);
    }
    for (uint64_t i = 0; i < 100; i++) {
        struct envelope e = from("liar", 100000 + i, 0, 1);
        upstream_note_from(up, 7777, &e);
    }
    assert_int_equal(count_of(told(up), "\"source\":"), UPSTREAM_LINKS);
    assert_int_equal(count_of(told(up), "\"hop\":\"honest\",\"instance\":\"0000000000000001\",\"joined"), 1);
    upstream_free(up);
}

static void what_senders_say_of_the_hops_before_is_bounded_over_all_links(void **state)
{
    (void)state;
    struct upstream *up = upstream_new("here", NULL);
    for (uint64_t link = 1; link <= 100; link++) {
        for (uint64_t i = 0; i < 200; i++) {
            struct envelope e = {.sequence = i, .count = 1};
            struct hop_ledger tap = {.hop = "tap", .instance = link * 1000 + i}, sender = {.hop = "s", .instance = link};
            envelope_add_hop(&e, &tap);
            envelope_add_hop(&e, &sender);
            upstream_note_from(up, link, &e);
        }
    }
    const char *json = told(up);
    assert_int_equal(count_of(json, "\"hop\":\"tap\""), UPSTREAM_HOPS);
    assert_int_equal(count_of(json, "\"source\":"), 100);
    assert_int_equal(count_of(json, "\"path_cut\":true"), 100);
    upstream_free(up);
}

/* Sums of what liars say do not come back to zero. */
static void losses_never_wrap(void **state)
{
    (void)state;
    _Atomic uint64_t total = 0;
    struct upstream *up = upstream_new("here", &total);
    uint64_t before = 0;
    for (uint64_t i = 1; i <= 5000; i++) {
        note(up, "liar", i, 0, 1);
        note(up, "liar", i, ENVELOPE_NUMBER_MAX - 2, 1);
        assert_true(upstream_lost(up) >= before);
        before = upstream_lost(up);
    }
    assert_int_equal(before, ENVELOPE_NUMBER_MAX);
    assert_int_equal(total, ENVELOPE_NUMBER_MAX);
    upstream_free(up);
    assert_true(upstream_memory() > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(senders_are_judged_each_by_its_own_numbers),
        cmocka_unit_test(a_sender_that_starts_again_is_a_new_link),
        cmocka_unit_test(the_end_of_a_sender_is_told),
        cmocka_unit_test(the_path_holds_every_hop_and_ends_with_the_sender),
        cmocka_unit_test(links_and_hops_are_bounded_and_losses_stay_summed),
        cmocka_unit_test(a_sender_that_stays_is_kept_while_others_come_and_go),
        cmocka_unit_test(strange_names_are_still_json),
        cmocka_unit_test(it_prints_for_people),
        cmocka_unit_test(a_lying_connection_pushes_nobody_else_out),
        cmocka_unit_test(with_no_place_left_the_connection_with_most_links_makes_room),
        cmocka_unit_test(what_senders_say_of_the_hops_before_is_bounded_over_all_links),
        cmocka_unit_test(losses_never_wrap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
