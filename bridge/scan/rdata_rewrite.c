#include "rdata_rewrite.h"

#include <string.h>

#include "dns_cut.h"
#include "dns_question.h"
#include "dns_type.h"

/* By the shape of its type (dns_type.h): names are the caller's, the rest is taken over. */
bool rdata_rewrite(struct octets message, const struct dns_record *record, put_name *put, void *arg,
                   struct buffer *out)
{
    const char *shape = dns_type_find(record->type)->shape;
    struct reader in = dns_rdata_reader(message, record);
    if (!shape || strchr(shape, 'l') || strchr(shape, 'h'))
        return false;
    if (!strpbrk(shape, "nN")) {
        buffer_put(out, in.at, reader_left(&in));
        return true;
    }
    for (; *shape && reader_left(&in) > 0; shape++) {
        size_t width = strchr("12468", *shape) ? (size_t)(*shape - '0')
                       : *shape == 'a'         ? 4
                       : *shape == 'q'         ? 16
                                               : 0;
        if (*shape == 's') /* a length and as many */
            width = 1 + (size_t)in.at[0];
        if (width > 0) {
            const uint8_t *octets = reader_take(&in, width);
            if (octets)
                buffer_put(out, octets, width);
        } else if (*shape == 'n' || *shape == 'N') {
            struct dns_name name = dns_name_take(message, &in);
            if (in.bad || !put(arg, name, out))
                return false;
            shape -= *shape == 'N'; /* there may be more */
        } else {                    /* octets to the end, of a kind that holds no names */
            struct octets rest = reader_rest(&in);
            buffer_put(out, rest.data, rest.len);
        }
        if (in.bad)
            return false;
    }
    return true;
}

bool name_put_lower(struct dns_name name, struct buffer *out)
{
    struct question q;
    if (!question_read_name(name, &q))
        return false;
    buffer_put(out, q.name, q.name_len);
    return true;
}

static bool put_lower(void *arg, struct dns_name name, struct buffer *out)
{
    (void)arg;
    return name_put_lower(name, out);
}

void rdata_put_lower(struct octets message, const struct dns_record *record, struct buffer *out)
{
    size_t before = out->len;
    if (rdata_rewrite(message, record, put_lower, NULL, out))
        return;
    out->len = before;
    buffer_put(out, message.data + record->rdata, record->rdata_len);
}
