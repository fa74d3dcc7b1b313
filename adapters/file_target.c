#include "file_target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "file.h"
#include "log.h"

static bool refuse_taken(struct error *error)
{
    return error_set(error, "exists and is not empty; remove it, name another file, or put the time into its name (%%Y%%m%%d)");
}

bool file_target_init(struct file_target *t, const struct place *place,
                      const struct file_kind *kind, struct error *error)
{
    const char *pattern = place->address;
    struct stat st;
    bool rotates = options_number(place->options, "rotate-size") > 0 ||
                   options_number(place->options, "rotate-every") > 0;
    bool regular = !file_is_standard(pattern) && (stat(pattern, &st) < 0 || S_ISREG(st.st_mode));
    *t = (struct file_target){
        .url = place->url,
        .pattern = pattern,
        .regular = regular,
        .direct = !regular || (!rotates && kind->packing == PACKING_NONE),
        .numbered = regular && (rotates || file_name_timed(pattern)),
        .framed = kind->framed,
    };
    if (!regular && rotates)
        return error_set(error, "is not a regular file, so it cannot be rotated");
    return !regular || file_name_check(pattern, error);
}

bool file_target_check_place(const struct place *place, struct error *error)
{
    struct file_target t;
    const struct file_kind kind = {0};
    bool ok = file_target_init(&t, place, &kind, error);
    file_target_free(&t);
    return ok;
}

void file_target_free(struct file_target *t)
{
    free(t->name);
    free(t->stem);
}

/* A stalled reader must not hold our thread beyond `interrupt`, so a pipe or terminal is opened
 * anew, not blocking: the flag is then ours alone and not shared with others who hold it. A regular file never blocks, and
 * opened anew it would have a position of its own, from which we would write over what others write behind us. */
static int open_standard_output(void)
{
    struct stat st;
    int flags = fcntl(STDOUT_FILENO, F_GETFL);
    if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY) { /* it was closed before we began (main.c) */
        errno = EBADF;
        return -1;
    }
    if (fstat(STDOUT_FILENO, &st) == 0 && S_ISREG(st.st_mode))
        return fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
    int fd = open("/proc/self/fd/1", O_WRONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    return fd >= 0 ? fd : fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
}

static int open_special(const char *path, struct error *error)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        error_set(error, errno == ENXIO ? "nobody reads this pipe" : "cannot write it: %s", strerror(errno));
    return fd;
}

/* The lock tells others that somebody writes here. It goes with the process, however that ends. */
static int open_locked(const char *path, int flags, struct error *error)
{
    struct stat st;
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0666);
    if (fd < 0) {
        error_set(error, "cannot write %s: %s", path, strerror(errno));
        return -1;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
        error_set(error, "another process writes %s", path);
    else if (fstat(fd, &st) == 0 && st.st_size > 0)
        refuse_taken(error);
    else
        return fd;
    close(fd);
    return -1;
}

const char *file_target_path(const struct file_target *t, char room[FILE_PATH_MAX])
{
    if (!t->regular || !t->name)
        return NULL;
    snprintf(room, FILE_PATH_MAX, "%s%s", t->name, t->direct ? "" : FILE_PART);
    return room;
}

/* Exchanges a string for a copy of another. False: out of memory. */
static bool set_text(char **text, const char *value)
{
    free(*text);
    *text = strdup(value);
    return *text != NULL;
}

/* The name that the clock gives now, with a number where there are others. False with errno. */
static bool choose_name(struct file_target *t)
{
    char stem[FILE_NAME_MAX], chosen[FILE_NAME_MAX];
    struct timespec now; /* time() may still be in the second before */
    clock_gettime(CLOCK_REALTIME, &now);
    errno = ENAMETOOLONG;
    if (!file_name_at(t->pattern, now.tv_sec, stem))
        return false;
    if (!t->stem || strcmp(t->stem, stem) != 0)
        t->number = 0;
    if (t->numbered && !file_name_free(stem, &t->number, chosen))
        return false;
    return set_text(&t->stem, stem) && set_text(&t->name, t->numbered ? chosen : stem);
}

/* Opens the file whose name the clock gives now. An existing one is somebody's data and never
 * overwritten. */
static int open_next(struct file_target *t, struct error *error)
{
    char room[FILE_PATH_MAX];
    struct stat st;
    if (!choose_name(t)) {
        error_set(error, "cannot name its file: %s", strerror(errno));
        return -1;
    }
    if (!t->numbered && stat(t->name, &st) == 0 && st.st_size > 0) {
        if (!t->live) {
            refuse_taken(error);
            return -1;
        }
        t->numbered = true; /* a service goes on beside what it wrote before its restart */
        return open_next(t, error);
    }
    return open_locked(file_target_path(t, room), t->direct ? 0 : O_EXCL, error);
}

int file_target_open(struct file_target *t, struct error *error)
{
    error->text[0] = '\0';
    if (t->regular)
        return open_next(t, error);
    if (!file_is_standard(t->pattern))
        return open_special(t->pattern, error);
    int fd = open_standard_output();
    if (fd < 0)
        error_set(error, "cannot write it: %s", errno == EBADF ? "standard output is closed" : strerror(errno));
    if (fd >= 0 && t->framed && isatty(fd)) {
        error_set(error, "is a terminal; add #format=text, or redirect it");
        close(fd);
        fd = -1;
    }
    return fd;
}

static void sync_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    free(folder);
}

void file_target_keep(struct file_target *t, bool sync)
{
    char room[FILE_PATH_MAX], given[FILE_NAME_MAX];
    const char *path = file_target_path(t, room);
    if (path && !t->direct && !file_name_give(path, t->name, given))
        log_line(LOG_ERROR, "sink %s: cannot rename %s: %s; it is whole as it is", t->url, path,
                 strerror(errno));
    if (path && sync)
        sync_folder(path);
}

/* The folder of a path, or ".". */
static void folder_of(const char *path, char folder[FILE_NAME_MAX])
{
    const char *slash = strrchr(path, '/');
    snprintf(folder, FILE_NAME_MAX, "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
}

static void note_part(void *arg, const char *part, const char *name)
{
    (void)part;
    (void)name;
    *(bool *)arg = true;
}

/* Did a crash leave something that is mended first? Then a number is added. */
static bool has_leftover(const struct file_target *t)
{
    struct error error;
    bool found = false;
    return !t->direct && file_name_each_part(t->pattern, note_part, &found, &error) && found;
}

bool file_target_check(const struct file_target *t, struct error *error)
{
    char name[FILE_NAME_MAX], folder[FILE_NAME_MAX];
    struct stat st;
    if (file_is_standard(t->pattern)) {
        int fd = open_standard_output();
        if (fd < 0)
            return error_set(error, "cannot write it: %s", errno == EBADF ? "standard output is closed" : strerror(errno));
        close(fd);
        return true;
    }
    if (stat(t->pattern, &st) == 0 && S_ISDIR(st.st_mode))
        return error_set(error, "is a directory; name a file");
    if (!t->regular)
        return access(t->pattern, W_OK) == 0 || error_set(error, "cannot write it: %s", strerror(errno));
    folder_of(t->pattern, folder);
    if (access(folder, W_OK | X_OK) < 0)
        return error_set(error, "cannot write in folder %s: %s", folder, strerror(errno));
    if (t->numbered || t->live || !file_name_at(t->pattern, time(NULL), name) || stat(name, &st) < 0 || st.st_size == 0)
        return true;
    return has_leftover(t) || refuse_taken(error);
}

bool file_target_drop(struct file_target *t)
{
    char room[FILE_PATH_MAX];
    const char *path = file_target_path(t, room);
    return path && unlink(path) == 0;
}
