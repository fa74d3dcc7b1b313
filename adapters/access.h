/* Who may use a listener: the options mode=, owner= and group= of a unix socket, and allow= of one with
 * addresses. Main thread, but for access_allows: the source's. */
#ifndef ADAPTERS_ACCESS_H
#define ADAPTERS_ACCESS_H

#include <sys/socket.h>

#include "adapter.h"
#include "network.h"

enum { ACCESS_NETWORKS = 256 };

struct access_list {
    struct network networks[ACCESS_NETWORKS];
    unsigned count; /* 0: everybody */
};

/* The options that a listener's table takes in; ends no table. */
#define ACCESS_OPTIONS                                                                                 \
    {.name = "allow", .type = OPTION_STRING, .repeats = true,                                          \
     .meaning = "tcp, tls: addresses that may connect, ADDRESS or ADDRESS/BITS, may be given again (default: all)"}, \
    {.name = "mode", .type = OPTION_STRING,                                                            \
     .meaning = "unix: permissions of the socket, in octal (default: by the umask)"},                  \
    {.name = "owner", .type = OPTION_STRING, .meaning = "unix: the user who owns the socket"},         \
    {.name = "group", .type = OPTION_STRING, .meaning = "unix: the group that owns it"}

/* Judges all of these options. False with the error. */
bool access_check(const struct place *place, struct error *error);

/* What allow= says, which access_check has passed. */
void access_read(const struct options *options, struct access_list *list);
bool access_allows(const struct access_list *list, const struct sockaddr *peer);

/* Gives the unix socket at the place's path its owner and permissions; before it listens. */
bool access_apply(const struct place *place, struct error *error);

#endif
