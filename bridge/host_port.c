#include "host_port.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>

enum { SHOWN = 200 };

static int shown(size_t len)
{
    return len < SHOWN ? (int)len : SHOWN;
}

bool port_read(const char *text, size_t len, uint16_t *port, struct error *error)
{
    uint32_t number = 0;
    for (size_t i = 0; i < len; i++) {
        if (!isdigit((unsigned char)text[i]))
            return error_set(error, "invalid port '%.*s': a port is a number from 1 to %d", shown(len), text, PORT_MAX);
        number = number > PORT_MAX ? number : number * 10 + (uint32_t)(text[i] - '0');
    }
    if (number < 1 || number > PORT_MAX)
        return error_set(error, "invalid port '%.*s': a port is a number from 1 to %d", shown(len), text, PORT_MAX);
    *port = (uint16_t)number;
    return true;
}

static bool is_ipv6(const char *host)
{
    struct in6_addr address;
    char bare[INET6_ADDRSTRLEN];
    size_t len = strcspn(host, "%"); /* fe80::1%eth0 */
    if (len >= sizeof bare)
        return false;
    memcpy(bare, host, len);
    bare[len] = '\0';
    return inet_pton(AF_INET6, bare, &address) == 1;
}

static bool is_ipv4(const char *host)
{
    struct in_addr address;
    return inet_pton(AF_INET, host, &address) == 1;
}

/* A name's octets; what a resolver or a certificate makes of them is not judged here. */
static bool is_name(const char *host)
{
    for (; *host; host++) {
        if (!isgraph((unsigned char)*host) || strchr("/[]@?#,:", *host))
            return false;
    }
    return true;
}

static bool take_host(const char *text, size_t len, struct host_port *out, struct error *error)
{
    bool bracketed = len >= 2 && text[0] == '[' && text[len - 1] == ']';
    if (bracketed) {
        text++;
        len -= 2;
    } else if (memchr(text, ':', len)) {
        return error_set(error, "'%.*s' has more than one colon: an IPv6 address stands in brackets, [ADDRESS]:PORT",
                         shown(len), text);
    }
    if (len >= sizeof out->host)
        return error_set(error, "the host's name has %zu octets, %d is the most", len, HOST_ROOM - 1);
    memcpy(out->host, text, len);
    out->host[len] = '\0';
    out->is_address = bracketed ? is_ipv6(out->host) : is_ipv4(out->host);
    if (bracketed && !out->is_address)
        return error_set(error, "invalid IPv6 address '[%s]'", out->host);
    if (!out->is_address && (!is_name(out->host) || strlen(out->host) != len))
        return error_set(error, "invalid host '%.*s'", shown(len), text);
    if (strcmp(out->host, "*") == 0)
        out->host[0] = '\0';
    return true;
}

/* The colon before the port, behind any brackets. NULL: there is none. */
static const char *find_colon(const char *text, size_t len)
{
    const char *bracket = memrchr(text, ']', len);
    const char *from = bracket ? bracket : text;
    return memrchr(from, ':', len - (size_t)(from - text));
}

static bool read_both(const char *text, size_t len, bool optional, struct host_port *out, struct error *error)
{
    *out = (struct host_port){0};
    if (len >= 2 && memcmp(text, "//", 2) == 0) { /* as in a URL */
        text += 2;
        len -= 2;
    }
    const char *colon = find_colon(text, len);
    size_t host_len = colon ? (size_t)(colon - text) : len;
    bool bare = !colon || colon + 1 == text + len;
    if (bare && !optional)
        return error_set(error, "'%.*s' has no port: write HOST:PORT, an IPv6 address as [ADDRESS]:PORT", shown(len), text);
    if (!bare && !port_read(colon + 1, len - host_len - 1, &out->port, error))
        return false;
    return take_host(text, host_len, out, error);
}

bool host_port_read(const char *text, size_t len, struct host_port *out, struct error *error)
{
    return read_both(text, len, false, out, error);
}

bool host_port_read_optional(const char *text, size_t len, struct host_port *out, struct error *error)
{
    return read_both(text, len, true, out, error);
}
