/* What came where Frame Streams were expected: other protocols, known by their first octets. */
#ifndef BRIDGE_FOREIGN_H
#define BRIDGE_FOREIGN_H

#include <stddef.h>
#include <stdint.h>

/* What the octets are the beginning of, with what to do about it; NULL: not known. Any thread. */
const char *foreign_name(const uint8_t *data, size_t len);

#endif
