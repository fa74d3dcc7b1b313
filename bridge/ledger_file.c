#include "ledger_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINKS_MAX = 40, PATIENCE_MS = 5000 };

static bool is_standard_output(const char *path)
{
    return strcmp(path, "-") == 0;
}

/* Where the links that begin at `path` lead to, whether it is there or not. False with errno. */
static bool follow_links(const char *path, char out[PATH_MAX])
{
    char link[PATH_MAX], next[PATH_MAX];
    if (snprintf(out, PATH_MAX, "%s", path) >= PATH_MAX) {
        errno = ENAMETOOLONG;
        return false;
    }
    for (int i = 0; i < LINKS_MAX; i++) {
        ssize_t len = readlink(out, link, sizeof link - 1);
        if (len < 0)
            return errno == EINVAL || errno == ENOENT;
        link[len] = '\0';
        const char *slash = link[0] == '/' ? NULL : strrchr(out, '/');
        int folder = slash ? (int)(slash - out) + 1 : 0;
        if (snprintf(next, sizeof next, "%.*s%s", folder, out, link) >= (int)sizeof next)
            break;
        memcpy(out, next, sizeof next);
    }
    errno = ELOOP;
    return false;
}

static void folder_of(const char *path, char out[PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        strcpy(out, ".");
    else
        snprintf(out, PATH_MAX, "%.*s", slash == path ? 1 : (int)(slash - path), path);
}

/* Are both one file, or would they be? */
static bool is_same_file(const char *a, const char *b)
{
    struct stat st_a, st_b;
    char real_a[PATH_MAX], real_b[PATH_MAX], folder_a[PATH_MAX], folder_b[PATH_MAX];
    bool there_a = stat(a, &st_a) == 0, there_b = stat(b, &st_b) == 0;
    if (there_a && there_b)
        return st_a.st_dev == st_b.st_dev && st_a.st_ino == st_b.st_ino;
    if (there_a != there_b || !follow_links(a, real_a) || !follow_links(b, real_b))
        return false;
    folder_of(real_a, folder_a);
    folder_of(real_b, folder_b);
    const char *name_a = strrchr(real_a, '/'), *name_b = strrchr(real_b, '/');
    return strcmp(name_a ? name_a + 1 : real_a, name_b ? name_b + 1 : real_b) == 0 && stat(folder_a, &st_a) == 0 &&
           stat(folder_b, &st_b) == 0 && st_a.st_dev == st_b.st_dev && st_a.st_ino == st_b.st_ino;
}

/* A device may be written by many, and a ledger beside messages for a terminal harms nobody. */
static bool can_be_shared(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISCHR(st.st_mode);
}

/* The values of an option that repeats stand one a line. Of files behind `file:`, too. */
static bool option_names(const char *text, const char *path)
{
    char value[PATH_MAX];
    while (text && *text) {
        size_t len = strcspn(text, "\n");
        const char *name = strncmp(text, "file:", 5) == 0 ? text + 5 : text;
        int left = (int)(len - (size_t)(name - text));
        if (left > 0 && snprintf(value, sizeof value, "%.*s", left, name) < (int)sizeof value && is_same_file(value, path))
            return true;
        text += len + (text[len] != '\0');
    }
    return false;
}

static bool is_used_by(const struct endpoint *endpoint, const char *path, struct error *error)
{
    bool file = endpoint->adapter == &file_adapter || strcmp(endpoint->place.scheme, "unix") == 0;
    if (file && strcmp(endpoint->address, "-") != 0 && !can_be_shared(path) && is_same_file(endpoint->address, path))
        return !error_set(error, "ledger %s is what %s reads or writes; name another file", path, endpoint->url);
    for (unsigned i = 0; i < endpoint->options.count; i++) {
        if (option_names(endpoint->options.texts[i], path))
            return !error_set(error, "ledger %s is the file of option '%s' of %s; name another file", path,
                              endpoint->options.specs[i]->name, endpoint->url);
    }
    return false;
}

static bool is_used(const struct config *config, const char *path, struct error *error)
{
    for (unsigned i = 0; i < config->source_count; i++) {
        if (is_used_by(config->sources[i], path, error))
            return true;
    }
    for (unsigned i = 0; i < config->sink_count; i++) {
        if (is_used_by(config->sinks[i], path, error))
            return true;
    }
    if (config->file && is_same_file(config->file, path))
        return !error_set(error, "ledger %s is the configuration itself; name another file", path);
    return false;
}

static bool is_written_by_a_sink(const struct config *config)
{
    for (unsigned i = 0; i < config->sink_count; i++) {
        if (strcmp(config->sinks[i]->address, "-") == 0)
            return true;
    }
    return false;
}

static bool check_path(const char *path, struct error *error)
{
    char target[PATH_MAX], folder[PATH_MAX];
    struct stat st;
    if (!follow_links(path, target))
        return error_set(error, "ledger %s: %s", path, strerror(errno));
    bool there = stat(path, &st) == 0;
    if (there && S_ISDIR(st.st_mode))
        return error_set(error, "ledger %s is a directory; name a file", path);
    if (there && access(path, W_OK) < 0)
        return error_set(error, "ledger %s cannot be written: %s", path, strerror(errno));
    folder_of(target, folder);
    if (!there && access(folder, W_OK | X_OK) < 0)
        return error_set(error, "ledger %s cannot be written: folder %s: %s", path, folder, strerror(errno));
    return true;
}

bool ledger_file_check(const struct config *config, struct error *error)
{
    const char *path = config->ledger_file;
    if (!path)
        return true;
    if (is_standard_output(path))
        return !is_written_by_a_sink(config) ||
               error_set(error, "ledger - is standard output, which a sink writes messages to; name a file");
    return check_path(path, error) && !is_used(config, path, error);
}

static bool write_all(int fd, const uint8_t *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EAGAIN) {
            struct pollfd wait = {.fd = fd, .events = POLLOUT};
            if (poll(&wait, 1, PATIENCE_MS) == 0) {
                errno = ETIMEDOUT;
                return false;
            }
        } else if (n < 0 && errno != EINTR) {
            return false;
        } else if (n > 0) {
            data += n;
            len -= (size_t)n;
        }
    }
    return true;
}

/* As it is: what is written stands behind what was written there before. */
static bool write_through(int fd, const struct buffer *text)
{
    if (fd < 0)
        return false;
    bool ok = write_all(fd, text->data, text->len);
    int saved = errno;
    close(fd);
    errno = saved;
    return ok;
}

/* Beside the old one, which it then replaces. Where nothing can be made in the folder the old one is written over. */
static bool replace_file(const char *path, const struct buffer *text)
{
    char target[PATH_MAX], part[PATH_MAX];
    struct stat st;
    if (!follow_links(path, target))
        return false;
    if (snprintf(part, sizeof part, "%s.part", target) >= (int)sizeof part) {
        errno = ENAMETOOLONG;
        return false;
    }
    mode_t mode = stat(target, &st) == 0 ? st.st_mode & 07777 : 0666;
    int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return errno == EACCES || errno == EROFS ? write_through(open(target, O_WRONLY | O_TRUNC | O_CLOEXEC), text) : false;
    if (write_through(fd, text) && rename(part, target) == 0)
        return true;
    int saved = errno;
    unlink(part);
    errno = saved;
    return false;
}

/* A standard stream that the path leads to: its open file goes on, or what stands in it would be written over. -1: none. */
static int standard_stream(const struct stat *st)
{
    for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++) {
        struct stat own;
        if (fstat(fd, &own) == 0 && own.st_dev == st->st_dev && own.st_ino == st->st_ino)
            return fd;
    }
    return -1;
}

static bool write_to(const char *path, const struct buffer *text)
{
    struct stat st;
    if (is_standard_output(path))
        return write_through(dup(STDOUT_FILENO), text);
    bool there = stat(path, &st) == 0;
    int standard = there ? standard_stream(&st) : -1;
    if (standard >= 0)
        return write_through(dup(standard), text);
    if (there && !S_ISREG(st.st_mode))
        return write_through(open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC), text);
    return replace_file(path, text);
}

bool ledger_file_write(const char *path, const struct buffer *text, struct error *error)
{
    if (text->failed)
        return error_set(error, "cannot write the ledger to %s: out of memory", path);
    return write_to(path, text) || error_set(error, "cannot write the ledger to %s: %s", path, strerror(errno));
}
