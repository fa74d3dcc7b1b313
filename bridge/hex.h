/* Octets as hexadecimal digits. Any thread; no allocation. */
#ifndef BRIDGE_HEX_H
#define BRIDGE_HEX_H

#include <stdbool.h>
#include <stdint.h>

/* Lower case, with NUL: `out` has room for 2 * len + 1. */
void hex_write(const uint8_t *data, unsigned len, char *out);

/* Exactly `len` octets from lower-case digits that end there. */
bool hex_read(const char *text, uint8_t *out, unsigned len);

/* The value of a digit of either case, -1: it is none. */
int hex_digit(char c);

#endif
