#include "status_host.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { NAME_ROOM = 256 };

struct status_hosts {
    const struct config *config;
    char machine[NAME_ROOM];
    char listens[NAME_ROOM]; /* the host of --status */
};

/* HOST of HOST:PORT, [ADDRESS]:PORT or HOST, without brackets and the root's dot. False: too long. */
static bool cut_port(const char *text, char host[NAME_ROOM])
{
    const char *end = text[0] == '[' ? strchr(text, ']') : strchr(text, ':');
    const char *begin = text[0] == '[' ? text + 1 : text;
    size_t len = end ? (size_t)(end - begin) : strlen(begin);
    if (len > 0 && begin[len - 1] == '.')
        len--;
    if (len >= NAME_ROOM)
        return false;
    memcpy(host, begin, len);
    host[len] = '\0';
    return true;
}

struct status_hosts *status_hosts_new(const struct config *config)
{
    struct status_hosts *hosts = calloc(1, sizeof *hosts);
    if (!hosts)
        return NULL;
    hosts->config = config;
    if (gethostname(hosts->machine, sizeof hosts->machine - 1) != 0)
        hosts->machine[0] = '\0';
    cut_port(config->status, hosts->listens);
    return hosts;
}

void status_hosts_free(struct status_hosts *hosts)
{
    free(hosts);
}

static bool is_address(const char *host)
{
    uint8_t octets[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, host, octets) == 1 || inet_pton(AF_INET6, host, octets) == 1;
}

static bool is_given(const struct config *config, const char *host)
{
    for (unsigned i = 0; i < config->status_host_count; i++) {
        if (strcasecmp(config->status_hosts[i], host) == 0)
            return true;
    }
    return false;
}

bool status_hosts_allow(const struct status_hosts *hosts, const char *host)
{
    char name[NAME_ROOM];
    if (!host)
        return true; /* no browser leaves it out */
    if (!cut_port(host, name))
        return false;
    return !strchr(name, '.') || is_address(name) || strcasecmp(name, hosts->machine) == 0 ||
           strcasecmp(name, hosts->listens) == 0 || strcasecmp(name, hosts->config->hop) == 0 || is_given(hosts->config, name);
}
