/* SipHash against OpenSSL's. */
#include "siphash.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>

#include "cmocka_all.h"

static void as_openssl_has_it(void **state)
{
    (void)state;
    uint8_t octets[16], data[100];
    for (uint8_t i = 0; i < sizeof octets; i++)
        octets[i] = (uint8_t)(i * 37 + 1);
    for (uint8_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 11 + 3);
    struct siphash_key key = {0};
    for (int i = 0; i < 8; i++) {
        key.low |= (uint64_t)octets[i] << 8 * i;
        key.high |= (uint64_t)octets[8 + i] << 8 * i;
    }
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
    assert_non_null(mac);
    for (size_t len = 0; len <= sizeof data; len++) {
        uint8_t want[16];
        size_t size;
        EVP_MAC_CTX *context = EVP_MAC_CTX_new(mac);
        assert_int_equal(EVP_MAC_init(context, octets, sizeof octets, NULL), 1);
        assert_int_equal(EVP_MAC_update(context, data, len), 1);
        assert_int_equal(EVP_MAC_final(context, want, &size, sizeof want), 1);
        assert_int_equal(size, 16);
        EVP_MAC_CTX_free(context);
        const struct siphash hash = siphash(&key, data, len);
        for (int i = 0; i < 8; i++) {
            assert_int_equal(want[i], hash.low >> 8 * i & 255);
            assert_int_equal(want[8 + i], hash.high >> 8 * i & 255);
        }
    }
    EVP_MAC_free(mac);
}

static void keys_differ(void **state)
{
    (void)state;
    struct siphash_key a, b;
    assert_true(siphash_key_make(&a) && siphash_key_make(&b));
    assert_true(a.low != b.low && a.high != b.high);
    assert_true(siphash(&a, "x", 1).low != siphash(&b, "x", 1).low);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_openssl_has_it),
        cmocka_unit_test(keys_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
