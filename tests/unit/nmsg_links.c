/* Senders of NMSG, honest and forged, and the numbers of their containers. */
#include "adapters/nmsg_links.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"

static struct sockaddr_storage address_of(uint32_t host, uint16_t port)
{
    struct sockaddr_storage storage;
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(host), .sin_port = htons(port)};
    memset(&storage, 0xee, sizeof storage); /* what is behind an address does not count */
    memcpy(&storage, &in, sizeof in);
    return storage;
}

static struct nmsg_links *links_new(void)
{
    struct nmsg_links *links = calloc(1, sizeof *links);
    assert_non_null(links);
    return links;
}

/* -1: not judged. */
static int64_t note(struct nmsg_links *links, uint32_t host, uint64_t id, uint32_t sequence, uint64_t now, uint64_t *instance)
{
    const struct sockaddr_storage from = address_of(host, 8430);
    const struct nmsg_link *link;
    uint64_t number;
    if (!nmsg_links_note(links, &from, id, sequence, now, &link, &number))
        return -1;
    if (instance)
        *instance = link->instance;
    return (int64_t)number;
}

static void two_senders_with_one_id(void **state)
{
    (void)state;
    struct nmsg_links *links = links_new();
    uint64_t one, two;
    for (uint32_t i = 0; i < 10; i++) {
        assert_int_equal(note(links, 1, 7, i, 0, &one), i);
        assert_int_equal(note(links, 2, 7, 1000 + i, 0, &two), 1000 + i);
    }
    assert_int_equal(one, 7);
    assert_int_not_equal(one, two);
    assert_string_equal(links->at[1].name, "nmsg 0.0.0.2 containers");
    free(links);
}

static void numbers_go_on_where_32_bits_end(void **state)
{
    (void)state;
    struct nmsg_links *links = links_new();
    assert_int_equal(note(links, 1, 7, UINT32_MAX - 1, 0, NULL), UINT32_MAX - 1);
    assert_int_equal(note(links, 1, 7, 1, 0, NULL), (int64_t)UINT32_MAX + 2);
    assert_int_equal(note(links, 1, 7, UINT32_MAX, 0, NULL), UINT32_MAX); /* late */
    assert_int_equal(note(links, 1, 7, 0, 0, NULL), (int64_t)UINT32_MAX + 1);
    assert_int_equal(note(links, 1, 7, 2, 0, NULL), (int64_t)UINT32_MAX + 3);
    assert_int_equal(note(links, 2, 7, 3, 0, NULL), 3);
    assert_int_equal(note(links, 2, 7, UINT32_MAX, 0, NULL), -1); /* before the first of all */
    free(links);
}

/* Whatever is sent in others' names, who is known stays known, and who goes on gets a place. */
static void a_flood_of_forged_senders(void **state)
{
    (void)state;
    struct nmsg_links *links = links_new();
    unsigned judged = 0;
    assert_int_equal(note(links, 1, 7, 0, 0, NULL), 0);
    for (uint32_t i = 0; i < 20000; i++)
        judged += note(links, 100 + i, i, i, i / 100, NULL) >= 0;
    assert_int_equal(judged, NMSG_LINKS_AT_ONCE - 1);
    assert_int_equal(note(links, 1, 7, 1, 300, NULL), 1);
    for (uint32_t i = 0; i < NMSG_LINKS_PROOF - 1; i++)
        assert_int_equal(note(links, 2, 8, 50 + i, 300, NULL), -1);
    assert_int_equal(note(links, 2, 8, 50 + NMSG_LINKS_PROOF - 1, 300, NULL), 50 + NMSG_LINKS_PROOF - 1);
    /* all places taken by senders that go on: the first stays, and so does everybody until they are silent */
    for (uint32_t k = 0; k < 100; k++)
        for (uint32_t i = 0; i < NMSG_LINKS_PROOF; i++)
            note(links, 1000000 + k, k, i, 400, NULL);
    assert_int_equal(note(links, 1, 7, 2, 400, NULL), 2);
    assert_int_equal(note(links, 3, 9, 0, 500, NULL), -1);
    /* once the others are silent there is room, and who was heard of meanwhile keeps the place */
    const uint64_t later = 400 + NMSG_LINK_SILENT_MS;
    assert_int_equal(note(links, 1, 7, 3, later - 1, NULL), 3);
    assert_int_equal(note(links, 3, 9, 1, later, NULL), 1);
    assert_int_equal(note(links, 1, 7, 4, later, NULL), 4);
    free(links);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_senders_with_one_id),
        cmocka_unit_test(numbers_go_on_where_32_bits_end),
        cmocka_unit_test(a_flood_of_forged_senders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
