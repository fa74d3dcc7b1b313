#include "tls_peer.h"

#include <ctype.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hex.h"

enum { SUBJECT_SHOWN = 200 };

/* AB:CD... or abcd..., all of it. */
static bool read_fingerprint(const char *text, size_t len, uint8_t out[FINGERPRINT_OCTETS])
{
    const char *at = text, *end = text + len;
    for (int i = 0; i < FINGERPRINT_OCTETS; i++) {
        if (i > 0 && at < end && *at == ':')
            at++;
        if (end - at < 2 || hex_digit(at[0]) < 0 || hex_digit(at[1]) < 0)
            return false;
        out[i] = (uint8_t)(hex_digit(at[0]) << 4 | hex_digit(at[1]));
        at += 2;
    }
    return at == end;
}

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, FINGERPRINT_OCTETS);
}

bool fingerprints_read(struct fingerprints *f, const struct options *options, struct error *error)
{
    const char *text = options_string(options, "fingerprint");
    unsigned lines = text ? 1 : 0;
    *f = (struct fingerprints){0};
    for (const char *at = text; at && (at = strchr(at, '\n')); at++)
        lines++;
    if (lines > FINGERPRINTS_MAX)
        return error_set(error, "fingerprint takes %d certificates at the most", FINGERPRINTS_MAX);
    if (lines == 0)
        return true;
    f->list = calloc(lines, sizeof *f->list);
    if (!f->list)
        return error_set(error, "out of memory");
    for (; f->count < lines; f->count++) {
        size_t len = strcspn(text, "\n");
        if (!read_fingerprint(text, len, f->list[f->count]))
            return error_set(error,
                             "option 'fingerprint' takes the SHA-256 of a certificate, 64 "
                             "hexadecimal digits, not '%.*s'",
                             len < 128 ? (int)len : 128, text);
        text += len + (text[len] == '\n');
    }
    qsort(f->list, f->count, sizeof *f->list, compare);
    return true;
}

void fingerprints_free(struct fingerprints *f)
{
    free(f->list);
    *f = (struct fingerprints){0};
}

static bool digest_of(const X509 *certificate, uint8_t out[FINGERPRINT_OCTETS])
{
    unsigned len = FINGERPRINT_OCTETS;
    return X509_digest(certificate, EVP_sha256(), out, &len) == 1 && len == FINGERPRINT_OCTETS;
}

bool fingerprints_hold(const struct fingerprints *f, const X509 *certificate)
{
    uint8_t digest[FINGERPRINT_OCTETS];
    return digest_of(certificate, digest) &&
           bsearch(digest, f->list, f->count, sizeof *f->list, compare) != NULL;
}

/* As much of the subject as is shown. */
static void print_subject(const X509 *certificate, char out[SUBJECT_SHOWN])
{
    BIO *bio = BIO_new(BIO_s_mem());
    int len = -1;
    if (bio && X509_NAME_print_ex(bio, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253) >= 0)
        len = BIO_read(bio, out, SUBJECT_SHOWN - 1);
    out[len > 0 ? len : 0] = '\0';
    BIO_free(bio);
}

void peer_print(const X509 *certificate, char out[PEER_TEXT])
{
    char subject[SUBJECT_SHOWN], hex[2 * FINGERPRINT_OCTETS + 1] = "";
    uint8_t digest[FINGERPRINT_OCTETS];
    print_subject(certificate, subject);
    if (digest_of(certificate, digest)) {
        for (int i = 0; i < FINGERPRINT_OCTETS; i++)
            snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    }
    snprintf(out, PEER_TEXT, "certificate %s, SHA-256 %s",
             subject[0] ? subject : "without a subject", hex);
}
