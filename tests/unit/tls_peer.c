/* Fingerprints as operators write them, and what is shown of a stranger's certificate. */
#include "adapters/tls_peer.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "harness.h"

static const struct option_spec table[] = {
    {.name = "fingerprint", .type = OPTION_STRING, .repeats = true},
    {0},
};
static const struct option_spec *const tables[OPTION_TABLES] = {table, NULL};

static X509 *certificate(const char *name)
{
    X509 *made = X509_new();
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509_set_pubkey(made, key);
    X509_NAME *subject = X509_get_subject_name(made);
    for (size_t len = strlen(name), at = 0; at < len; at += 60) /* a name's part is short */
        X509_NAME_add_entry_by_txt(subject, "OU", MBSTRING_UTF8, (const unsigned char *)name + at,
                                   len - at < 60 ? (int)(len - at) : 60, -1, 0);
    assert_true(X509_sign(made, key, EVP_sha256()) > 0);
    EVP_PKEY_free(key);
    return made;
}

/* Its SHA-256 as peer_print shows it. */
static void hex_of(const X509 *of, char out[65])
{
    char text[PEER_TEXT];
    peer_print(of, text);
    const char *hex = strstr(text, "SHA-256 ");
    assert_non_null(hex);
    memcpy(out, hex + 8, 65);
    assert_int_equal(strlen(out), 64);
}

static bool reads(struct fingerprints *f, const char *text, struct error *error)
{
    struct options options;
    assert_true(options_parse(&options, tables, text, error));
    bool ok = fingerprints_read(f, &options, error);
    options_free(&options);
    return ok;
}

static void all_ways_of_writing_are_one(void **state)
{
    (void)state;
    X509 *ours[3] = {certificate("a"), certificate("b"), certificate("c")},
         *other = certificate("d");
    char hex[3][65], text[512], colons[96] = "";
    for (int i = 0; i < 3; i++)
        hex_of(ours[i], hex[i]);
    for (int i = 0; i < 32; i++)
        snprintf(colons + strlen(colons), 4, "%s%c%c", i ? ":" : "", toupper(hex[1][2 * i]),
                 toupper(hex[1][2 * i + 1]));
    snprintf(text, sizeof text, "fingerprint=%s,fingerprint=%s,fingerprint=%s", hex[0], colons,
             hex[2]);
    struct fingerprints f;
    struct error error;
    assert_true(reads(&f, text, &error));
    assert_int_equal(f.count, 3);
    for (int i = 0; i < 3; i++)
        assert_true(fingerprints_hold(&f, ours[i]));
    assert_false(fingerprints_hold(&f, other));
    fingerprints_free(&f);
    for (int i = 0; i < 3; i++)
        X509_free(ours[i]);
    X509_free(other);
}

static void what_is_none_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "ab",
        "g",
        ":",
        "ab:",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde",   /* 63 digits, */
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0", /* 65, */
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef:",
        ":0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "0123456789abcdef0123456789abcdef::0123456789abcdef0123456789abcd",
        "0:1:23456789abcdef0123456789abcdef0123456789abcdef0123456789abcd",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char text[128];
        struct fingerprints f;
        struct error error;
        snprintf(text, sizeof text, "fingerprint=%s", wrong[i]);
        if (reads(&f, text, &error))
            fail_msg("'%s' passed for a fingerprint", wrong[i]);
        assert_non_null(strstr(error.text, "64 hexadecimal digits"));
        fingerprints_free(&f);
    }
    struct fingerprints none;
    struct error error;
    assert_true(reads(&none, "", &error));
    assert_int_equal(none.count, 0);
}

static void a_strangers_name_cannot_break_a_line(void **state)
{
    (void)state;
    static char name[3000];
    for (size_t i = 0; i < sizeof name - 1; i++)
        name[i] = "\n\r\x1b\"=, \x7f"[i % 8];
    X509 *stranger = certificate(name);
    char text[PEER_TEXT], hex[65];
    peer_print(stranger, text);
    for (const char *c = text; *c; c++)
        assert_true(*c >= ' ' && *c < 0x7f);
    hex_of(stranger, hex); /* however long the name is, the fingerprint is there */
    X509_free(stranger);
    X509 *nobody = certificate("");
    peer_print(nobody, text);
    assert_non_null(strstr(text, "certificate without a subject, SHA-256 "));
    X509_free(nobody);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_ways_of_writing_are_one),
        cmocka_unit_test(what_is_none_is_refused),
        cmocka_unit_test(a_strangers_name_cannot_break_a_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
