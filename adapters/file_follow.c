#include "file_follow.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

static bool watch_folder(const struct follow *f)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(f->path, '/');
    int len = snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - f->path) + 1 : 1, slash ? f->path : ".");
    if (len >= (int)sizeof folder) {
        errno = ENAMETOOLONG;
        return false;
    }
    return inotify_add_watch(f->notify, folder, IN_CREATE | IN_MOVED_TO | IN_ONLYDIR) >= 0;
}

/* The file itself, whatever its name leads to by now. */
static int watch_file(const struct follow *f, int fd)
{
    char self[64];
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    return inotify_add_watch(f->notify, self, IN_MODIFY);
}

bool follow_open(struct follow *f, const char *path, int fd, struct error *error)
{
    f->path = path;
    f->notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    f->watch = f->notify < 0 ? -1 : watch_file(f, fd);
    if (f->watch >= 0 && watch_folder(f))
        return true;
    error_set(error, "cannot follow it: %s", strerror(errno));
    follow_close(f);
    return false;
}

void follow_close(struct follow *f)
{
    if (f->notify >= 0)
        close(f->notify);
    f->notify = -1;
}

void follow_exchange(struct follow *f, int fd)
{
    inotify_rm_watch(f->notify, f->watch);
    f->watch = watch_file(f, fd);
}

static bool is_other(const struct stat *a, const struct stat *b)
{
    return a->st_dev != b->st_dev || a->st_ino != b->st_ino;
}

/* An empty file under the name is not a successor yet: rotation makes one at once, while the writer still has the old one open
 * and goes on there for a moment. What is written to it is notified from here on. */
enum follow_state follow_look(struct follow *f, int fd, off_t offset)
{
    struct stat ours, named;
    if (fstat(fd, &ours) < 0)
        return FOLLOW_SAME;
    if (ours.st_size < offset)
        return FOLLOW_CUT;
    for (int look = 0; look < 2; look++) {
        if (stat(f->path, &named) < 0 || !S_ISREG(named.st_mode) || !is_other(&ours, &named))
            return FOLLOW_SAME;
        if (named.st_size > 0)
            return FOLLOW_REPLACED;
        inotify_add_watch(f->notify, f->path, IN_MODIFY); /* before the second look */
    }
    return FOLLOW_SAME;
}

void follow_clear(struct follow *f)
{
    char events[4096];
    while (read(f->notify, events, sizeof events) > 0)
        ; /* what changed does not matter: a look tells */
}
