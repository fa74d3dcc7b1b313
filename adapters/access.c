#include "access.h"

#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <netinet/in.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DATABASE_ROOM = 16384 };

/* False: the piece at `*bad` is no network, or there are too many (then NULL). */
static bool read_networks(const char *text, struct access_list *list, const char **bad)
{
    list->count = 0;
    while (text && *text) {
        size_t len = strcspn(text, "\n");
        *bad = list->count < ACCESS_NETWORKS ? text : NULL;
        if (!*bad || !network_read(text, len, &list->networks[list->count]))
            return false;
        list->count++;
        text += len + (text[len] == '\n');
    }
    return true;
}

static bool check_networks(const struct options *options, struct error *error)
{
    struct access_list list;
    const char *bad = NULL;
    if (read_networks(options_string(options, "allow"), &list, &bad))
        return true;
    if (!bad)
        return error_set(error, "allow takes %d networks at the most", ACCESS_NETWORKS);
    return error_set(error, "option 'allow' takes ADDRESS or ADDRESS/BITS, not '%.*s'",
                     (int)strcspn(bad, "\n"), bad);
}

static bool read_mode(const char *text, mode_t *mode)
{
    char *end;
    unsigned long number = strtoul(text, &end, 8);
    *mode = (mode_t)number;
    return text[0] >= '0' && text[0] <= '7' && !*end && number <= 0777;
}

static bool find_user(const char *name, uid_t *id)
{
    char room[DATABASE_ROOM];
    struct passwd entry, *found = NULL;
    if (getpwnam_r(name, &entry, room, sizeof room, &found) != 0 || !found)
        return false;
    *id = found->pw_uid;
    return true;
}

static bool find_group(const char *name, gid_t *id)
{
    char room[DATABASE_ROOM];
    struct group entry, *found = NULL;
    if (getgrnam_r(name, &entry, room, sizeof room, &found) != 0 || !found)
        return false;
    *id = found->gr_gid;
    return true;
}

static bool check_owner(const struct options *options, struct error *error)
{
    const char *mode = options_string(options, "mode");
    const char *owner = options_string(options, "owner");
    const char *group = options_string(options, "group");
    mode_t bits;
    uid_t user_id;
    gid_t group_id;
    if (mode && !read_mode(mode, &bits))
        return error_set(error, "option 'mode' takes permissions in octal, like 0660, not '%s'",
                         mode);
    if (owner && !find_user(owner, &user_id))
        return error_set(error, "option 'owner': there is no user '%s' here", owner);
    if (group && !find_group(group, &group_id))
        return error_set(error, "option 'group': there is no group '%s' here", group);
    return true;
}

bool access_check(const struct place *place, struct error *error)
{
    static const char *const of_unix[] = {"mode", "owner", "group"};
    bool is_unix = strcmp(place->scheme, "unix") == 0;
    for (size_t i = 0; !is_unix && i < sizeof of_unix / sizeof of_unix[0]; i++) {
        if (options_string(place->options, of_unix[i]))
            return error_set(error, "option '%s' is for unix: sockets", of_unix[i]);
    }
    if (is_unix && options_string(place->options, "allow"))
        return error_set(error,
                         "option 'allow' is for tcp:; a unix: socket has mode, owner and group");
    return check_networks(place->options, error) && check_owner(place->options, error);
}

void access_read(const struct options *options, struct access_list *list)
{
    const char *bad;
    read_networks(options_string(options, "allow"), list, &bad);
}

static bool contains(const struct network *network, const uint8_t address[16])
{
    unsigned whole = network->bits / 8, rest = network->bits % 8;
    if (memcmp(network->address, address, whole) != 0)
        return false;
    return rest == 0 || (network->address[whole] ^ address[whole]) >> (8 - rest) == 0;
}

bool access_allows(const struct access_list *list, const struct sockaddr *peer)
{
    uint8_t address[16];
    if (list->count == 0)
        return true;
    if (peer->sa_family == AF_INET)
        network_map((const uint8_t *)&((const struct sockaddr_in *)(const void *)peer)->sin_addr, 4, address);
    else if (peer->sa_family == AF_INET6)
        memcpy(address, &((const struct sockaddr_in6 *)(const void *)peer)->sin6_addr,
               sizeof address);
    else
        return false;
    for (unsigned i = 0; i < list->count; i++) {
        if (contains(&list->networks[i], address))
            return true;
    }
    return false;
}

bool access_apply(const struct place *place, struct error *error)
{
    const char *mode = options_string(place->options, "mode");
    const char *owner = options_string(place->options, "owner");
    const char *group = options_string(place->options, "group");
    uid_t user_id = (uid_t)-1;
    gid_t group_id = (gid_t)-1;
    mode_t bits;
    if (owner && !find_user(owner, &user_id))
        return error_set(error, "there is no user '%s' here", owner);
    if (group && !find_group(group, &group_id))
        return error_set(error, "there is no group '%s' here", group);
    if ((owner || group) && lchown(place->address, user_id, group_id) < 0)
        return error_set(error, "cannot give the socket to %s%s%s: %s", owner ? owner : "",
                         owner && group ? ":" : "", group ? group : "", strerror(errno));
    if (mode && read_mode(mode, &bits) && chmod(place->address, bits) < 0)
        return error_set(error, "cannot set the socket's mode: %s", strerror(errno));
    return true;
}
