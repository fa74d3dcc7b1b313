/* How each kind of field in RDATA is printed: what rdata.c's table is made of. Each takes its field
 * from the cursor and appends it. Where the RDATA is over, it appends what Go prints of a zero
 * value. */
#ifndef BRIDGE_ENCODE_RDATA_FIELDS_H
#define BRIDGE_ENCODE_RDATA_FIELDS_H

#include "../reader.h"
#include "../scan/dns.h"

struct rdata_cursor {
    struct octets message;
    struct reader r; /* over the RDATA */
    bool go;         /* as miekg/dns prints it */
};

void rdata_put_1(struct rdata_cursor *c, struct buffer *out);
void rdata_put_2(struct rdata_cursor *c, struct buffer *out);
void rdata_put_4(struct rdata_cursor *c, struct buffer *out);
void rdata_put_type(struct rdata_cursor *c, struct buffer *out);
void rdata_put_time(struct rdata_cursor *c, struct buffer *out);
void rdata_put_time48(struct rdata_cursor *c, struct buffer *out);
void rdata_put_name(struct rdata_cursor *c, struct buffer *out);
void rdata_put_names(struct rdata_cursor *c, struct buffer *out);
void rdata_put_ipv4(struct rdata_cursor *c, struct buffer *out);
void rdata_put_locator(struct rdata_cursor *c, struct buffer *out);
void rdata_put_ipv6(struct rdata_cursor *c, struct buffer *out);
void rdata_put_cert(struct rdata_cursor *c, struct buffer *out);
void rdata_put_algorithm(struct rdata_cursor *c, struct buffer *out);
void rdata_put_id(struct rdata_cursor *c, struct buffer *out);
void rdata_put_id_upper(struct rdata_cursor *c, struct buffer *out);
void rdata_put_eui48(struct rdata_cursor *c, struct buffer *out);
void rdata_put_eui64(struct rdata_cursor *c, struct buffer *out);
void rdata_put_string(struct rdata_cursor *c, struct buffer *out);
void rdata_put_word(struct rdata_cursor *c, struct buffer *out);
void rdata_put_strings(struct rdata_cursor *c, struct buffer *out);
void rdata_put_base64(struct rdata_cursor *c, struct buffer *out);
void rdata_put_hex(struct rdata_cursor *c, struct buffer *out);
void rdata_put_upper(struct rdata_cursor *c, struct buffer *out);
void rdata_put_pieces(struct rdata_cursor *c, struct buffer *out);
void rdata_put_quoted(struct rdata_cursor *c, struct buffer *out);
void rdata_put_raw(struct rdata_cursor *c, struct buffer *out);
void rdata_put_salt(struct rdata_cursor *c, struct buffer *out);
void rdata_put_base32(struct rdata_cursor *c, struct buffer *out);
void rdata_put_counted(struct rdata_cursor *c, struct buffer *out);
void rdata_put_counted_upper(struct rdata_cursor *c, struct buffer *out);
void rdata_put_hip(struct rdata_cursor *c, struct buffer *out);
void rdata_put_bitmap(struct rdata_cursor *c, struct buffer *out);
void rdata_put_parameters(struct rdata_cursor *c, struct buffer *out);
void rdata_put_prefixes(struct rdata_cursor *c, struct buffer *out);
void rdata_put_location(struct rdata_cursor *c, struct buffer *out);

/* What DNSSEC algorithm numbers are called; NULL where a number has no name. */
const char *rdata_algorithm(uint8_t number);

/* `\DDD` */
void rdata_put_decimal(uint8_t octet, struct buffer *out);

/* An address in AAAA or a hint: `::ffff:192.0.2.1` in full, dotted alone in Go's manner. */
void rdata_put_address(struct octets address, bool go, struct buffer *out);

#endif
