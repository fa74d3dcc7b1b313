/* Any octets as a list in a file, for each kind of list: it is read whole, or refused with a place; what was read has a
 * hash, the same each time. The first octet chooses the list. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "fuzz.h"
#include "policy/policy.h"

static const char *const lists[] = {"qname", "bailiwick", "client", "identity", "qtype", "rcode", "type", "protocol"};
enum { LISTS = sizeof lists / sizeof lists[0] };

static char policy_path[] = "/tmp/fuzz-list-XXXXXX", list_path[64];

static void remove_files(void)
{
    unlink(policy_path);
    unlink(list_path);
}

static void put_file(const char *path, const void *data, size_t size)
{
    int fd = open(path, O_WRONLY | O_TRUNC | O_CREAT | O_CLOEXEC, 0600);
    must(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    close(fd);
}

static bool read_list(char hash[PLAN_HASH])
{
    struct plan plan = {0};
    struct error error = {{0}};
    char state[PLAN_HASH];
    must(plan_read_file(&plan, policy_path, &error));
    struct policy *policy = policy_new(&plan, &error);
    must(policy || strstr(error.text, list_path));
    if (policy)
        must(policy_hash(policy, hash, state, &error));
    bool ok = policy != NULL;
    policy_free(policy);
    plan_free(&plan);
    return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[200], one[PLAN_HASH], two[PLAN_HASH];
    if (size < 1)
        return 0;
    if (!list_path[0]) {
        int fd = mkstemp(policy_path);
        must(fd >= 0);
        close(fd);
        snprintf(list_path, sizeof list_path, "%s.list", policy_path);
        atexit(remove_files);
    }
    int len = snprintf(text, sizeof text, "- keep: { %s: \"file:%s\" }\n", lists[data[0] % LISTS], list_path);
    put_file(policy_path, text, (size_t)len);
    put_file(list_path, data + 1, size - 1);
    if (read_list(one))
        must(read_list(two) && strcmp(one, two) == 0);
    return 0;
}
