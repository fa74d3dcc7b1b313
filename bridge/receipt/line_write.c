#include <openssl/sha.h>

#include "json.h"
#include "receipt/line.h"

void receipt_line_write(const struct receipt_chain *chain, const struct receipt_key *key,
                        const struct buffer *fields, struct buffer *out)
{
    char hex[SIGNATURE_HEX + 1];
    uint8_t signature[SIGNATURE_OCTETS];
    size_t start = out->len;
    json_open(out, NULL, '{');
    json_number(out, "receipt", RECEIPT_FORMAT);
    json_number(out, "line", chain->line);
    hex_write(chain->previous, SHA256_OCTETS, hex);
    json_text(out, "previous", hex);
    json_text(out, "key", receipt_key_id(key));
    buffer_put_char(out, ',');
    buffer_put(out, fields->data, fields->len);
    if (fields->failed || out->failed ||
        !receipt_key_sign(key, out->data + start, out->len - start, signature)) {
        out->failed = true;
        return;
    }
    hex_write(signature, sizeof signature, hex);
    json_text(out, "signature", hex);
    json_close(out, '}');
    buffer_put_char(out, '\n');
}

void receipt_chain_step(struct receipt_chain *chain, const void *line, size_t len)
{
    SHA256(line, len, chain->previous);
    chain->line++;
}
