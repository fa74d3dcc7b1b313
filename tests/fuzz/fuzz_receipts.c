/* Any octets as a file of receipts; and any fields as lines of two files, well signed and in order,
 * that are compared: one line of input is a line of the sender's, until "-" alone, then of the
 * receiver's. */
#include <stdio.h>
#include <unistd.h>

#include "fuzz.h"
#include "receipt/file.h"
#include "receipt/report.h"

static struct receipt_key *key;
static FILE *nowhere;

static bool start(void)
{
    char folder[] = "/tmp/fuzz-receipts-XXXXXX", path[64], public[80];
    struct error error;
    if (!mkdtemp(folder))
        return false;
    snprintf(path, sizeof path, "%s/key", folder);
    snprintf(public, sizeof public, "%s.pub", path);
    if (receipt_key_make(path, &error))
        key = receipt_key_read(path, &error);
    unlink(path);
    unlink(public);
    rmdir(folder);
    nowhere = fopen("/dev/null", "w");
    return key && nowhere;
}

static void put(struct receipt_chain *chain, const struct buffer *fields, struct buffer *out)
{
    size_t from = out->len;
    receipt_line_write(chain, key, fields, out);
    must(!out->failed);
    receipt_chain_step(chain, out->data + from, out->len - from);
}

/* A file: its first line, and those of the input up to "-". What is behind that. */
static const uint8_t *sign(const uint8_t *data, const uint8_t *end, bool sender, struct buffer *out)
{
    struct receipt_chain chain = {.line = 1};
    struct buffer fields = {0};
    receipt_fields_begin(&fields, "open", sender);
    buffer_put_string(&fields, ",\"after\":\"nothing\",\"public_key\":\"");
    buffer_put_string(&fields, receipt_key_public(key));
    buffer_put_char(&fields, '"');
    put(&chain, &fields, out);
    while (data < end) {
        const uint8_t *feed = memchr(data, '\n', (size_t)(end - data));
        size_t len = (size_t)((feed ? feed : end) - data);
        bool over = len == 1 && *data == '-';
        buffer_clear(&fields);
        buffer_put(&fields, data, len);
        data = feed ? feed + 1 : end;
        if (over)
            break;
        put(&chain, &fields, out);
    }
    buffer_free(&fields);
    return data;
}

static struct receipt_reader *read_from(const void *data, size_t len)
{
    struct error error;
    FILE *file = len > 0 ? fmemopen((void *)(uintptr_t)data, len, "r") : NULL;
    struct receipt_reader *reader = file ? receipt_reader_over(file, NULL, &error) : NULL;
    must(reader || len == 0);
    return reader;
}

static void compare(struct receipt_reader *a, struct receipt_reader *b)
{
    static struct receipt_comparison found;
    struct receipt_reader *bad;
    struct receipt_links of_a, of_b = {0};
    struct error error;
    bool ok = receipt_links_read(&of_a, a, &error) && receipt_links_read(&of_b, b, &error);
    for (unsigned i = 0; ok && i < of_a.count; i++) {
        if (!receipt_compare(&found, of_a.names[i], a, b, &bad, &error))
            break;
        receipt_report_sentence(&found, "A", "B", nowhere);
        receipt_report_details(&found, "A", "B", nowhere);
        must(found.same <= found.sent);
    }
    receipt_links_free(&of_a);
    receipt_links_free(&of_b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer a = {0}, b = {0};
    struct receipt_links links;
    struct error error;
    if (!key)
        must(start());
    struct receipt_reader *raw = read_from(data, size);
    if (raw) {
        receipt_links_read(&links, raw, &error);
        receipt_links_free(&links);
        receipt_reader_free(raw);
    }
    const uint8_t *rest = sign(data, data + size, true, &a);
    sign(rest, data + size, false, &b);
    struct receipt_reader *left = read_from(a.data, a.len), *right = read_from(b.data, b.len);
    compare(left, right);
    receipt_reader_free(left);
    receipt_reader_free(right);
    buffer_free(&a);
    buffer_free(&b);
    return 0;
}
