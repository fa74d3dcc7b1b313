/* By which names a hop's status may be asked for. A web page from elsewhere can give its own name our address (DNS rebinding)
 * and have a browser on this side read our answers: its requests bear the page's name in Host. */
#ifndef BRIDGE_STATUS_HOST_H
#define BRIDGE_STATUS_HOST_H

#include <stdbool.h>

#include "config.h"

struct status_hosts;

/* Addresses, localhost, names without a dot, this machine's names, the hop's, that of --status, and those of
 * --status-host. The configuration is borrowed. NULL: out of memory. Main thread. */
struct status_hosts *status_hosts_new(const struct config *config);
void status_hosts_free(struct status_hosts *hosts);

/* `host` is a request's header, which may hold a port; NULL: there was none, as from HTTP/1.0. Any thread. */
bool status_hosts_allow(const struct status_hosts *hosts, const char *host);

#endif
