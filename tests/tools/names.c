/* For LD_PRELOAD: answers getaddrinfo() from the file that $TEST_NAMES names, read anew each time, so that tests have names of
 * several addresses, names that nobody knows yet, and a resolver that does not answer:
 *
 *     collector.test 127.0.0.2,127.0.0.1
 *     silent.test hang
 *
 * Other names under .test do not exist; anything else goes to the C library. */
#include <dlfcn.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef int lookup(const char *, const char *, const struct addrinfo *, struct addrinfo **);

/* What the file says of a name, in `says`. */
static bool find_line(const char *name, char says[256])
{
    const char *path = getenv("TEST_NAMES");
    char line[512], found[256];
    FILE *file = path ? fopen(path, "re") : NULL;
    bool known = false;
    while (file && !known && fgets(line, sizeof line, file))
        known = sscanf(line, "%255s %255s", found, says) == 2 && strcmp(found, name) == 0;
    if (file)
        fclose(file);
    return known;
}

static bool is_under_test(const char *name)
{
    size_t len = strlen(name);
    return len > 5 && strcmp(name + len - 5, ".test") == 0;
}

static int answer(lookup *real, char *list, const char *port, const struct addrinfo *hints, struct addrinfo **found)
{
    struct addrinfo **end = found;
    *found = NULL;
    for (char *one; (one = strsep(&list, ","));) {
        int problem = real(one, port, hints, end);
        if (problem != 0)
            return problem;
        while (*end)
            end = &(*end)->ai_next;
    }
    return 0;
}

int getaddrinfo(const char *name, const char *port, const struct addrinfo *hints, struct addrinfo **found)
{
    lookup *real = (lookup *)(size_t)dlsym(RTLD_NEXT, "getaddrinfo");
    const struct timespec moment = {.tv_nsec = 20000000};
    char says[256];
    if (!name || !is_under_test(name))
        return real(name, port, hints, found);
    while (find_line(name, says) && strcmp(says, "hang") == 0)
        nanosleep(&moment, NULL);
    return find_line(name, says) ? answer(real, says, port, hints, found) : EAI_NONAME;
}
