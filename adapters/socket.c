#include "socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "access.h"

enum { BACKLOG = 1024 };

static bool is_unix(const struct place *place)
{
    return strcmp(place->scheme, "unix") == 0;
}

static bool unix_address(const struct place *place, struct address *address, struct error *error)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&address->storage;
    size_t len = strlen(place->address);
    if (len == 0 || len >= sizeof un->sun_path)
        return error_set(error, "a unix socket's path has 1 to %zu octets, not %zu",
                         sizeof un->sun_path - 1, len);
    *address = (struct address){.len = sizeof *un};
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, place->address, len);
    return true;
}

/* Cuts HOST:PORT or [HOST]:PORT in two. */
static bool split_host_port(const char *text, char *host, size_t room, const char **port)
{
    const char *colon = strrchr(text, ':');
    if (!colon || colon[1] == '\0')
        return false;
    size_t len = (size_t)(colon - text);
    if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
        text++;
        len -= 2;
    } else if (memchr(text, ':', len)) {
        return false;
    }
    if (len >= room)
        return false;
    memcpy(host, text, len);
    host[len] = '\0';
    *port = colon + 1;
    return true;
}

bool address_resolve(const struct place *place, bool passive, struct address *address,
                     struct error *error)
{
    if (is_unix(place))
        return unix_address(place, address, error);
    char host[256];
    const char *port;
    if (!split_host_port(place->address, host, sizeof host, &port))
        return error_set(error, "'%s' is not HOST:PORT (IPv6 as [ADDRESS]:PORT)", place->address);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = passive ? AI_PASSIVE : 0};
    struct addrinfo *found;
    int res = getaddrinfo(host[0] ? host : NULL, port, &hints, &found);
    if (res != 0)
        return error_set(error, "cannot resolve '%s': %s", place->address, gai_strerror(res));
    *address = (struct address){.len = found->ai_addrlen};
    memcpy(&address->storage, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    return true;
}

void address_print(const struct sockaddr *address, char *out, size_t room)
{
    char text[INET6_ADDRSTRLEN];
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;
        inet_ntop(AF_INET, &in->sin_addr, text, sizeof text);
        snprintf(out, room, "%s:%u", text, ntohs(in->sin_port));
    } else if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)address;
        inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof text);
        snprintf(out, room, "[%s]:%u", text, ntohs(in6->sin6_port));
    } else {
        snprintf(out, room, "unix");
    }
}

static int open_socket(int family)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int one = 1;
    if (fd >= 0 && family != AF_UNIX) {
        /* a lone message travels at once; a peer that vanished is noticed. Neither failing matters. */
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    }
    return fd;
}

/* A socket file left behind by a process that died is removed; one that is in use is not. */
static void remove_stale(const struct address *address)
{
    const struct sockaddr_un *un = (const struct sockaddr_un *)&address->storage;
    struct stat st;
    if (lstat(un->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
        return;
    int fd = open_socket(AF_UNIX);
    if (fd < 0)
        return;
    if (connect(fd, (const struct sockaddr *)un, address->len) < 0 && errno == ECONNREFUSED)
        unlink(un->sun_path);
    close(fd);
}

int socket_listen(const struct place *place, struct error *error)
{
    struct address address;
    if (!address_resolve(place, true, &address, error))
        return -1;
    int fd = open_socket(address.storage.ss_family);
    int one = 1;
    if (fd >= 0 && address.storage.ss_family == AF_UNIX)
        remove_stale(&address);
    else if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    bool bound = fd >= 0 && bind(fd, (struct sockaddr *)&address.storage, address.len) == 0;
    if (!bound)
        error_set(error, "cannot listen: %s", strerror(errno));
    else if (is_unix(place) && !access_apply(place, error)) /* nobody can connect before it listens */
        unlink(place->address);
    else if (listen(fd, BACKLOG) == 0)
        return fd;
    else
        error_set(error, "cannot listen: %s", strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

int socket_connect(const struct address *address)
{
    int fd = open_socket(address->storage.ss_family);
    if (fd < 0)
        return -1;
    if (connect(fd, (const struct sockaddr *)&address->storage, address->len) == 0 ||
        errno == EINPROGRESS)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

int socket_error(int fd)
{
    int error = 0;
    socklen_t len = sizeof error;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 ? errno : error;
}
