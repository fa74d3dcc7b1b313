#include "pem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "secret.h"

enum { PEM_MAX = 1 << 20 };

bool pem_options_fit(const struct options *options, struct error *error)
{
    const char *key = options_string(options, "key");
    if (!options_string(options, "cert") != !key)
        return error_set(error, "options 'cert' and 'key' go together");
    return key || !options_string(options, "key-password") ||
           error_set(error, "option 'key-password' needs key=");
}

bool pem_password(const struct options *options, char **password, struct error *error)
{
    const char *text = options_string(options, "key-password");
    *password = text ? secret_read(text, error) : NULL;
    return *password || !text || error_prefix(error, "key-password");
}

/* Not by stdio, whose buffer would keep a copy of a key. Octets read, -1 with errno. */
static ssize_t read_octets(const char *path, char *text)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = 0, n = fd < 0 ? -1 : 1;
    while (n > 0 && len < PEM_MAX) {
        n = read(fd, text + len, (size_t)(PEM_MAX - len));
        if (n > 0)
            len += n;
        else if (n < 0 && errno == EINTR)
            n = 1;
    }
    int saved = errno;
    if (fd >= 0)
        close(fd);
    errno = saved;
    return n < 0 ? -1 : len;
}

char *pem_read(const char *option, const char *path, struct error *error)
{
    char *text = calloc(1, PEM_MAX + 1);
    secret_hide(text, PEM_MAX + 1);
    ssize_t len = text ? read_octets(path, text) : -1;
    if (len > 0)
        return text;
    error_set(error, "option '%s': cannot read %s: %s", option, path, len == 0 ? "it is empty" : strerror(errno));
    free(text);
    return NULL;
}

void pem_free(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}
