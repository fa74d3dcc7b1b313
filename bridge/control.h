/* Frame Streams control frames, as dnstap uses them: READY, ACCEPT, START, STOP, FINISH with the
 * content type "protobuf:dnstap.Dnstap". On the wire a control frame follows an escape (a data length
 * of 0): 4-octet length (at most 512), 4-octet type, fields. Coded by libfstrm. Any thread. */
#ifndef BRIDGE_CONTROL_H
#define BRIDGE_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

#define DNSTAP_CONTENT_TYPE "protobuf:dnstap.Dnstap"

enum { CONTROL_MAX = 512, CONTROL_HEADER = 8 };

enum control_type {
    CONTROL_ACCEPT = 1,
    CONTROL_START = 2,
    CONTROL_STOP = 3,
    CONTROL_READY = 4,
    CONTROL_FINISH = 5,
};

const char *control_name(enum control_type type);

/* Reads a control frame's payload (from its type on). False, with the reason, where it is garbled or
 * speaks of another content type than dnstap's. */
bool control_read(const uint8_t *payload, size_t len, enum control_type *type, struct error *error);

/* Writes a whole control frame, escape and length included, with dnstap's content type where the type
 * carries one. `out` holds at least CONTROL_HEADER + CONTROL_MAX octets. Its length, or 0 when memory
 * runs out. */
size_t control_write(enum control_type type, uint8_t *out);

#endif
