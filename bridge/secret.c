#include "secret.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SECRET_MAX = 16 * 1024 };

static const char from_file[] = "file:", from_environment[] = "env:";

static bool begins(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

const char *secret_shown(const char *text)
{
    return begins(text, from_file) || begins(text, from_environment) ? text : "***";
}

void secret_hide(const void *at, size_t len)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t begin = (uintptr_t)at & ~(page - 1), end = ((uintptr_t)at + len + page - 1) & ~(page - 1);
    if (at && len > 0)
        madvise((void *)begin, end - begin, MADV_DONTDUMP); /* a kernel without it: the limit of cores is 0 all the same */
}

void secret_free(char *secret)
{
    if (secret)
        explicit_bzero(secret, strlen(secret));
    free(secret);
}

/* A pipe may give it in pieces. -1 with errno. */
static ssize_t read_all(int fd, char *out, size_t room)
{
    size_t len = 0;
    while (len < room) {
        ssize_t n = read(fd, out + len, room - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        len += (size_t)n;
    }
    return (ssize_t)len;
}

/* Not by stdio, whose buffer would keep a copy. */
static char *read_file(const char *path, struct error *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *text = calloc(1, SECRET_MAX + 1);
    secret_hide(text, SECRET_MAX + 1);
    ssize_t len = fd >= 0 && text ? read_all(fd, text, SECRET_MAX) : -1;
    if (len < 0)
        error_set(error, "cannot read the secret in %s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    if (len >= 0 && len < SECRET_MAX) {
        text[strcspn(text, "\r\n")] = '\0';
        return text;
    }
    if (len == SECRET_MAX)
        error_set(error, "the secret in %s is longer than %d octets; is that the right file?", path,
                  SECRET_MAX - 1);
    if (text)
        explicit_bzero(text, SECRET_MAX);
    free(text);
    return NULL;
}

static char *copy_environment(const char *name, struct error *error)
{
    const char *value = getenv(name);
    if (!value)
        error_set(error, "the environment has no %s, which is to hold the secret", name);
    return value ? strdup(value) : NULL;
}

static bool is_sound(const char *secret)
{
    for (const char *c = secret; *c; c++) {
        if (iscntrl((unsigned char)*c))
            return false;
    }
    return *secret != '\0';
}

char *secret_read(const char *text, struct error *error)
{
    const char *place = secret_shown(text);
    char *secret;
    error->text[0] = '\0';
    if (begins(text, from_file))
        secret = read_file(text + strlen(from_file), error);
    else if (begins(text, from_environment))
        secret = copy_environment(text + strlen(from_environment), error);
    else
        secret = strdup(text);
    if (secret)
        secret_hide(secret, strlen(secret) + 1);
    if (secret && is_sound(secret))
        return secret;
    if (secret)
        error_set(error, "the secret %s is empty or holds a control character", place);
    else if (!error->text[0])
        error_set(error, "out of memory");
    secret_free(secret);
    return NULL;
}
