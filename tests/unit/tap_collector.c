#include "tap_collector.h"

#include "dnstap.pb-c.h"
#include "tap.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { ACCEPT = 1, START, STOP, READY, FINISH };

static void store_be32(uint8_t *p, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(value >> (24 - 8 * i));
}

static char directory[64];

const char *test_dir(void)
{
    if (directory[0] == '\0') {
        snprintf(directory, sizeof directory, "/tmp/tap-test-XXXXXX");
        if (!mkdtemp(directory))
            abort();
    }
    return directory;
}

const char *test_path(const char *name)
{
    static char paths[4][384];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", test_dir(), name);
    return path;
}

void test_dir_remove(void)
{
    DIR *dir = opendir(test_dir());
    struct dirent *entry;
    while (dir && (entry = readdir(dir)))
        if (entry->d_name[0] != '.')
            unlink(test_path(entry->d_name));
    if (dir)
        closedir(dir);
    rmdir(directory);
    directory[0] = '\0';
}

int64_t test_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void test_sleep_ms(unsigned ms)
{
    nanosleep(&(struct timespec){ms / 1000, (long)(ms % 1000) * 1000000}, NULL);
}

bool collector_listen(struct collector *c, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    unlink(path);
    c->fd = -1;
    c->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return bind(c->listener, (const struct sockaddr *)&address, sizeof address) == 0 &&
           listen(c->listener, 16) == 0;
}

uint16_t collector_listen_tcp(struct collector *c)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    c->fd = -1;
    c->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(c->listener, (const struct sockaddr *)&address, size) != 0 ||
        listen(c->listener, 16) != 0 ||
        getsockname(c->listener, (struct sockaddr *)&address, &size) != 0)
        return 0;
    return ntohs(address.sin_port);
}

void collector_unlisten(struct collector *c)
{
    collector_drop(c);
    if (c->listener >= 0)
        close(c->listener);
    c->listener = -1;
    free(c->data);
    c->data = NULL;
    c->cap = 0;
}

static bool readable(int fd, int timeout_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, timeout_ms) > 0;
}

bool collector_accept(struct collector *c, int timeout_ms)
{
    collector_drop(c);
    if (!readable(c->listener, timeout_ms))
        return false;
    c->fd = accept(c->listener, NULL, NULL);
    return c->fd >= 0;
}

static bool read_all(int fd, uint8_t *data, size_t len)
{
    while (len > 0) {
        if (!readable(fd, 5000))
            return false;
        ssize_t n = read(fd, data, len);
        if (n <= 0)
            return false;
        data += n;
        len -= (size_t)n;
    }
    return true;
}

/* Reads a control frame; its type, or 0. */
static uint32_t read_control(int fd)
{
    uint8_t data[8 + 512];
    if (!read_all(fd, data, 8) || load_be32(data) != 0 || load_be32(data + 4) > 512)
        return 0;
    if (!read_all(fd, data + 8, load_be32(data + 4)))
        return 0;
    return load_be32(data + 8);
}

static bool write_control(int fd, uint32_t type, const char *content_type)
{
    uint8_t data[600] = {0};
    size_t len = 12;
    if (content_type) {
        size_t n = strlen(content_type);
        store_be32(data + 12, 1);
        store_be32(data + 16, (uint32_t)n);
        memcpy(data + 20, content_type, n);
        len = 20 + n;
    }
    store_be32(data + 4, (uint32_t)len - 8);
    store_be32(data + 8, type);
    return send(fd, data, len, MSG_NOSIGNAL) == (ssize_t)len;
}

bool collector_handshake(struct collector *c, const char *type)
{
    return read_control(c->fd) == READY && write_control(c->fd, ACCEPT, type) &&
           read_control(c->fd) == START;
}

bool collector_greet(struct collector *c, int timeout_ms)
{
    return collector_accept(c, timeout_ms) && collector_handshake(c, "protobuf:dnstap.Dnstap");
}

/* Looks for a STOP behind the whole data frames received. */
static void find_stop(struct collector *c)
{
    while (c->len - c->scanned >= 4) {
        uint32_t len = load_be32(c->data + c->scanned);
        if (len == 0) {
            c->stopped = c->len - c->scanned >= 12 && load_be32(c->data + c->scanned + 8) == STOP;
            return;
        }
        if (c->len - c->scanned - 4 < len)
            return;
        c->scanned += 4 + len;
    }
}

size_t collector_receive(struct collector *c, size_t octets, int timeout_ms)
{
    int64_t until = test_now_ms() + timeout_ms;
    size_t got = 0;
    while (got < octets && !c->stopped) {
        int64_t left = until - test_now_ms();
        if (!readable(c->fd, left > 0 ? (int)left : 0))
            break;
        size_t want = octets - got < 65536 ? octets - got : 65536;
        if (c->cap - c->len < want) {
            c->cap = (c->cap + want) * 2;
            c->data = realloc(c->data, c->cap);
        }
        ssize_t n = read(c->fd, c->data + c->len, want);
        if (n <= 0)
            break;
        c->len += (size_t)n;
        got += (size_t)n;
        find_stop(c);
    }
    return got;
}

bool collector_finish(struct collector *c)
{
    return write_control(c->fd, FINISH, NULL);
}

void collector_drop(struct collector *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    c->len = c->at = c->scanned = 0;
    c->stopped = false;
}

bool collector_next(struct collector *c, const uint8_t **data, size_t *len)
{
    if (c->len - c->at < 4)
        return false;
    *len = load_be32(c->data + c->at);
    if (*len == 0 || c->len - c->at - 4 < *len)
        return false;
    *data = c->data + c->at + 4;
    c->at += 4 + *len;
    return true;
}

/* The DNS part: the number, then octets that follow from it. */
static void numbered_fill(uint8_t *dns, uint32_t number, uint32_t len)
{
    for (uint32_t i = 4; i < len; i++)
        dns[i] = (uint8_t)(number + i * 7);
    store_be32(dns, number);
}

bool numbered_emit(struct tap_lane *lane, uint32_t number, uint32_t len)
{
    uint8_t dns[65535];
    len = len < 4 ? 4 : len;
    numbered_fill(dns, number, len);
    struct tap_message m = {
        .type = TAP_CLIENT_RESPONSE,
        .family = TAP_INET,
        .protocol = TAP_UDP,
        .response_message = {dns, len},
    };
    return tap_emit(lane, &m);
}

bool numbered_check(const uint8_t *data, size_t len, uint32_t *number)
{
    Dnstap__Dnstap *d = dnstap__dnstap__unpack(NULL, len, data);
    bool good = d && d->message && d->message->has_response_message &&
                d->message->response_message.len >= 4;
    if (good) {
        static _Thread_local uint8_t want[65535];
        const ProtobufCBinaryData *dns = &d->message->response_message;
        *number = load_be32(dns->data);
        numbered_fill(want, *number, (uint32_t)dns->len);
        good = memcmp(want, dns->data, dns->len) == 0;
    }
    if (d)
        dnstap__dnstap__free_unpacked(d, NULL);
    return good;
}
