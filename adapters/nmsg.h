/* What the two ends of NMSG over UDP share. */
#ifndef ADAPTERS_NMSG_H
#define ADAPTERS_NMSG_H

#include <sys/socket.h>

#include "adapter.h"
#include "socket.h"

extern const struct source_ops nmsg_source_ops;
extern const struct sink_ops nmsg_sink_ops;

/* Is it a multicast address? */
bool nmsg_is_multicast(const struct address *address);

/* The index of the interface that `iface=` names, 0 where it is not given. False with the error. */
bool nmsg_interface(const struct options *options, unsigned *index, struct error *error);

#endif
