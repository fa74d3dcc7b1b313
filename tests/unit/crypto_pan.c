/* Crypto-PAn against the addresses published with it, and the pseudonym's promise. */
#include "policy/crypto_pan.h"

#include <arpa/inet.h>

#include "harness.h"
#include "noise.h"

static const uint8_t key[CRYPTO_PAN_KEY] = {21,  34, 23,  141, 51, 164, 207, 128, 19,  10,  91,
                                            22,  73, 144, 125, 16, 216, 152, 143, 131, 121, 121,
                                            101, 39, 98,  87,  76, 45,  42,  132, 34,  2};

/* The first ones are of the sample trace that came with the authors' program; those of IPv6 are of
 * its Python and Go descendants. All with the same key. */
static void published_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to;
    } cases[] = {
        {"128.11.68.132", "135.242.180.132"},
        {"129.118.74.4", "134.136.186.123"},
        {"130.132.252.244", "133.68.164.234"},
        {"141.223.7.43", "141.167.8.160"},
        {"141.233.145.108", "141.129.237.235"},
        {"152.163.225.39", "151.140.114.167"},
        {"156.29.3.236", "147.225.12.42"},
        {"165.247.96.84", "162.9.99.234"},
        {"192.102.249.13", "252.138.62.131"},
        {"24.0.250.221", "100.15.198.226"},
        {"::1", "78ff:f001:9fc0:20df:8380:b1f1:704:ed"},
        {"::2", "78ff:f001:9fc0:20df:8380:b1f1:704:ef"},
        {"::ffff", "78ff:f001:9fc0:20df:8380:b1f1:704:f838"},
        {"2001:db8::1", "4401:2bc:603f:d91d:27f:ff8e:e6f1:dc1e"},
        {"2001:db8::2", "4401:2bc:603f:d91d:27f:ff8e:e6f1:dc1c"},
    };
    struct crypto_pan *pan = crypto_pan_new(key);
    assert_non_null(pan);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t address[16];
        char text[INET6_ADDRSTRLEN];
        int family = strchr(cases[i].from, ':') ? AF_INET6 : AF_INET;
        assert_int_equal(inet_pton(family, cases[i].from, address), 1);
        assert_true(crypto_pan_map(pan, address, family == AF_INET ? 4 : 16));
        inet_ntop(family, address, text, sizeof text);
        assert_string_equal(text, cases[i].to);
    }
    crypto_pan_free(pan);
}

static unsigned shared_bits(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    unsigned i = 0;
    while (i < bits && !((a[i / 8] ^ b[i / 8]) & 0x80 >> i % 8))
        i++;
    return i;
}

/* Two that share so many bits share as many after it, and not one more. */
static void prefixes_are_preserved(void **state)
{
    (void)state;
    uint64_t noise = 7;
    struct crypto_pan *pan = crypto_pan_new(key);
    for (uint64_t i = 0; i < work_for_build(20000); i++) {
        size_t len = i % 2 ? 16 : 4;
        uint8_t a[16], b[16], x[16], y[16];
        for (size_t k = 0; k < len; k++)
            a[k] = b[k] = (uint8_t)noise_next(&noise);
        unsigned bit = noise_below(&noise, (uint32_t)len * 8);
        b[bit / 8] = (uint8_t)(b[bit / 8] ^ 0x80 >> bit % 8);
        memcpy(x, a, len);
        memcpy(y, b, len);
        assert_true(crypto_pan_map(pan, x, len) && crypto_pan_map(pan, y, len));
        assert_int_equal(shared_bits(a, b, (unsigned)len * 8), bit);
        assert_int_equal(shared_bits(x, y, (unsigned)len * 8), bit);
    }
    crypto_pan_free(pan);
}

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, 4);
}

/* A whole network: no two become one, the same stays the same, and another key makes others. */
static void pseudonyms_are_each_their_own(void **state)
{
    (void)state;
    const uint32_t count = (uint32_t)work_for_build(1 << 20);
    uint8_t(*all)[4] = malloc(count * sizeof *all);
    uint8_t other[CRYPTO_PAN_KEY] = {1}, address[4], again[4];
    struct crypto_pan *pan = crypto_pan_new(key), *pan2 = crypto_pan_new(other);
    unsigned same = 0;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t from[4] = {10, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};
        memcpy(all[i], from, 4);
        assert_true(crypto_pan_pseudonym(pan, all[i], 4));
        memcpy(again, from, 4);
        memcpy(address, from, 4);
        if (i % 100 == 0) {
            assert_true(crypto_pan_pseudonym(pan, again, 4) &&
                        crypto_pan_pseudonym(pan2, address, 4));
            assert_memory_equal(again, all[i], 4);
            same += memcmp(address, all[i], 4) == 0;
        }
    }
    assert_true(same <= 1);
    qsort(all, count, 4, compare);
    for (uint32_t i = 1; i < count; i++)
        assert_memory_not_equal(all[i - 1], all[i], 4);
    free(all);
    crypto_pan_free(pan);
    crypto_pan_free(pan2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_addresses),
        cmocka_unit_test(prefixes_are_preserved),
        cmocka_unit_test(pseudonyms_are_each_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
