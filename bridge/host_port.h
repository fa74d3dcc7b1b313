/* HOST:PORT as every address, URL and setting writes it: 192.0.2.1:53, [2001:db8::1]:53, name:53, and :53 or *:53 for
 * no host in particular; all may stand behind the slashes of a URL. Reads text alone; nothing is looked up. */
#ifndef BRIDGE_HOST_PORT_H
#define BRIDGE_HOST_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

enum { PORT_MAX = 65535, HOST_ROOM = 256 };

struct host_port {
    char host[HOST_ROOM]; /* without brackets; "": none in particular */
    uint16_t port;        /* 0: none was given, where it may be left out */
    bool is_address;      /* a literal IPv4 or IPv6 address, not a name */
};

/* Reads all `len` octets. False with the error, which says what is wrong and how it is written. */
bool host_port_read(const char *text, size_t len, struct host_port *out, struct error *error);

/* The same where the port may be left out. */
bool host_port_read_optional(const char *text, size_t len, struct host_port *out, struct error *error);

/* A port's number. False with the error, which names the range. */
bool port_read(const char *text, size_t len, uint16_t *port, struct error *error);

#endif
