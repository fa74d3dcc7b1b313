/* How single values are written as text, for every encoder that writes text. Any thread; a buffer
 * that cannot grow is marked `failed` and takes nothing more. */
#ifndef BRIDGE_ENCODE_PUT_H
#define BRIDGE_ENCODE_PUT_H

#include "../buffer.h"
#include "../scan/octets.h"

enum { PUT_ADDRESS_MAX = 39 }; /* characters of an address of 4 or 16 octets */

/* For who has made room: these write at `to`, unchecked, and return the end of it. Decimal, at most
 * WRITE_UNSIGNED_MAX digits; or six or nine digits of a value that has no more. */
enum { WRITE_UNSIGNED_MAX = 20 };
uint8_t *write_unsigned(uint8_t *to, uint64_t value);
uint8_t *write_six(uint8_t *to, uint32_t value);
uint8_t *write_nine(uint8_t *to, uint32_t value);

/* Decimal, without leading zeros. */
void put_unsigned(uint64_t value, struct buffer *out);
void put_signed(int64_t value, struct buffer *out);

/* Decimal, with leading zeros to `width` digits, and more digits where the value has more. */
void put_padded(uint64_t value, unsigned width, struct buffer *out);

/* Two lower-case digits an octet. */
void put_hex(struct octets octets, struct buffer *out);

/* Two upper-case digits an octet; base64 with padding; base32 with the "extended hex" alphabet, unpadded. */
void put_hex_upper(struct octets octets, struct buffer *out);
void put_base64(struct octets octets, struct buffer *out);
void put_base32hex(struct octets octets, struct buffer *out);

/* An address the way Go's net.IP writes it: dotted, also if it is mapped into IPv6; RFC 5952;
 * `<nil>` where it is empty; `?` and hexadecimal where it is of any other length. */
void put_address(struct octets address, struct buffer *out);

#endif
