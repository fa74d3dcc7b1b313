/* Text from elsewhere that is shown to people: on a terminal control characters are commands. Any thread. */
#ifndef BRIDGE_PRINTABLE_H
#define BRIDGE_PRINTABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The octets of the character that `text` (ends with NUL) begins with, where it can be shown as it stands: UTF-8, not a
 * control character (C1 among them), and none that turns the direction of what follows. 0: it has to be escaped. */
uint32_t printable_take(const char *text);

/* Can all of it be shown as it stands? */
bool printable_is(const char *text);

/* Copies at most `room` - 1 octets, whole characters, and a NUL; every octet that cannot be shown becomes '?'. */
void printable_copy(char *out, size_t room, const char *text);

#endif
