#include "socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "access.h"
#include "log.h"

enum { BACKLOG = 1024 };

static bool is_unix(const struct place *place)
{
    return strcmp(place->scheme, "unix") == 0;
}

static bool check_path(const struct place *place, struct error *error)
{
    size_t len = strlen(place->address), room = sizeof((struct sockaddr_un *)NULL)->sun_path;
    return (len > 0 && len < room) ||
           error_set(error, "a unix socket's path has 1 to %zu octets, not %zu", room - 1, len);
}

static void unix_address(const struct place *place, struct address *address)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&address->storage;
    *address = (struct address){.len = sizeof *un};
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, place->address, strlen(place->address));
}

bool address_check(const struct place *place, struct error *error)
{
    struct host_port at;
    return is_unix(place) ? check_path(place, error)
                          : host_port_read(place->address, strlen(place->address), &at, error);
}

bool address_is_name(const struct place *place)
{
    struct host_port at;
    struct error error;
    return !is_unix(place) && host_port_read(place->address, strlen(place->address), &at, &error) && at.host[0] &&
           !at.is_address;
}

enum resolve_result address_find(const struct place *place, bool passive, const struct waker *waker, int timeout_ms,
                                 struct addresses *found, struct error *error)
{
    struct host_port at;
    if (!address_check(place, error))
        return RESOLVE_FAILED;
    if (!is_unix(place)) {
        host_port_read(place->address, strlen(place->address), &at, error);
        return resolve(&at, passive, waker, timeout_ms, found, error);
    }
    found->count = 1;
    unix_address(place, &found->list[0]);
    return RESOLVED;
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

/* -1 with errno. */
static int bind_one(const struct address *address, bool among_others)
{
    int family = address->storage.ss_family, one = 1;
    int fd = open_socket(family);
    if (fd < 0)
        return -1;
    if (family == AF_UNIX)
        remove_stale(address);
    else
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (family == AF_INET6 && among_others) /* [::] alone takes IPv4 as well; beside 0.0.0.0 it cannot */
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    if (bind(fd, (const struct sockaddr *)&address->storage, address->len) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

/* What is in the way of a unix socket. */
static bool name_obstacle(const char *path, int why, struct error *error)
{
    struct stat st;
    if (why == ENOENT)
        return error_set(error, "cannot listen: its folder is not there");
    if (why != EADDRINUSE || lstat(path, &st) < 0)
        return error_set(error, "cannot listen: %s", strerror(why));
    if (S_ISSOCK(st.st_mode))
        return error_set(error, "cannot listen: another process listens there");
    const char *what = S_ISLNK(st.st_mode)   ? "a symbolic link"
                       : S_ISREG(st.st_mode) ? "a plain file"
                       : S_ISDIR(st.st_mode) ? "a folder"
                                             : "something else";
    return error_set(error, "cannot listen: %s stands there, which is not a socket; remove it, or name another path", what);
}

static bool cannot_listen(const struct address *address, struct error *error)
{
    char name[ADDRESS_TEXT];
    int why = errno;
    if (address->storage.ss_family == AF_UNIX)
        return name_obstacle(((const struct sockaddr_un *)&address->storage)->sun_path, why, error);
    address_print((const struct sockaddr *)&address->storage, name, sizeof name);
    return error_set(error, "cannot listen on %s: %s", name, strerror(why));
}

/* A machine without IPv6 still finds ::1 in its file of hosts. */
static bool may_be_left_out(const struct address *address)
{
    return address->storage.ss_family == AF_INET6 && (errno == EADDRNOTAVAIL || errno == EAFNOSUPPORT);
}

static bool bind_all(struct listeners *listeners, const struct place *place, const struct addresses *found,
                     struct error *error)
{
    for (unsigned i = 0; i < found->count; i++) {
        int fd = bind_one(&found->list[i], found->count > 1);
        if (fd >= 0) {
            listeners->fds[listeners->count++] = fd;
            continue;
        }
        bool left_out = found->count > 1 && may_be_left_out(&found->list[i]);
        cannot_listen(&found->list[i], error);
        if (!left_out)
            return false;
        log_line(LOG_WARN, "%s: %s", place->url, error->text);
    }
    return listeners->count > 0;
}

static bool listen_all(const struct listeners *listeners, struct error *error)
{
    for (unsigned i = 0; i < listeners->count; i++) {
        if (listen(listeners->fds[i], BACKLOG) < 0)
            return error_set(error, "cannot listen: %s", strerror(errno));
    }
    return true;
}

static void note_path(struct listeners *listeners, const char *path)
{
    struct stat st;
    if (lstat(path, &st) < 0)
        return;
    listeners->path = path;
    listeners->device = st.st_dev;
    listeners->inode = st.st_ino;
}

bool listeners_open(struct listeners *listeners, const struct place *place, struct error *error)
{
    struct addresses found;
    *listeners = (struct listeners){0};
    if (address_find(place, true, NULL, LISTEN_RESOLVE_MS, &found, error) != RESOLVED)
        return false;
    if (bind_all(listeners, place, &found, error)) {
        if (is_unix(place))
            note_path(listeners, place->address);
        bool ready = !is_unix(place) || access_apply(place, error); /* nobody can connect before it listens */
        if (ready && listen_all(listeners, error))
            return true;
    }
    listeners_close(listeners);
    return false;
}

/* Another program may have bound the path anew since. */
static void remove_own_path(const struct listeners *listeners)
{
    struct stat st;
    if (listeners->path && lstat(listeners->path, &st) == 0 && st.st_dev == listeners->device && st.st_ino == listeners->inode)
        unlink(listeners->path);
}

void listeners_close(struct listeners *listeners)
{
    remove_own_path(listeners);
    listeners->path = NULL;
    for (unsigned i = 0; i < listeners->count; i++)
        close(listeners->fds[i]);
    listeners->count = 0;
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
