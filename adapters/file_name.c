#include "file_name.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "buffer.h"
#include "pack.h"

enum { NUMBER_MAX = 1000000 };

static const char conversions[] = "YmdHMSjsFyGVu%";

static const char *base_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

bool file_name_check(const char *pattern, struct error *error)
{
    const char *base = base_of(pattern);
    for (const char *at = pattern; (at = strchr(at, '%')); at += 2) {
        if (!at[1] || !strchr(conversions, at[1]))
            return error_set(error,
                             "the name holds %%%.1s; valid: %%Y %%m %%d %%H %%M %%S %%j %%s %%F "
                             "%%y %%G %%V %%u, and %%%% for a %%",
                             at + 1);
        if (at < base)
            return error_set(error, "a time can stand in the file's name, not in its folder's");
    }
    return true;
}

bool file_name_timed(const char *pattern)
{
    for (const char *at = pattern; (at = strchr(at, '%')); at += 2) {
        if (at[1] != '%')
            return true;
    }
    return false;
}

bool file_name_at(const char *pattern, time_t now, char out[FILE_NAME_MAX])
{
    struct tm tm;
    gmtime_r(&now, &tm);
    return strftime(out, FILE_NAME_MAX, pattern, &tm) > 0;
}

/* Where the extensions of a name begin, .gz or .zst included; its end where there are none. */
static const char *extensions_of(const char *name)
{
    const char *base = base_of(name), *end = name + strlen(name);
    size_t packed;
    packing_of_name(name, &packed);
    const char *dot = memrchr(base, '.', (size_t)(end - base) - packed);
    if (!dot || dot == base)
        dot = end - packed;
    return dot > base ? dot : end;
}

const char *file_name_extension(const char *name, size_t *len)
{
    const char *at = extensions_of(name);
    size_t packed;
    packing_of_name(name, &packed);
    if (strlen(at) <= packed + 1)
        return NULL;
    *len = strlen(at) - packed - 1;
    return at + 1;
}

static bool number_name(const char *name, unsigned number, char out[FILE_NAME_MAX])
{
    const char *extensions = extensions_of(name);
    char digits[16] = "";
    if (number)
        snprintf(digits, sizeof digits, "-%u", number);
    int len = snprintf(out, FILE_NAME_MAX, "%.*s%s%s", (int)(extensions - name), name, digits,
                       extensions);
    return len > 0 && len < FILE_NAME_MAX - (int)sizeof FILE_PART;
}

/* Where it cannot be looked at, opening it will tell why. */
static bool is_taken(const char *name)
{
    char part[FILE_NAME_MAX + sizeof FILE_PART];
    struct stat st;
    snprintf(part, sizeof part, "%s%s", name, FILE_PART);
    return lstat(name, &st) == 0 || lstat(part, &st) == 0;
}

bool file_name_free(const char *name, unsigned *number, char out[FILE_NAME_MAX])
{
    for (; *number < NUMBER_MAX; ++*number) {
        if (!number_name(name, *number, out))
            return false;
        if (!is_taken(out))
            return true;
    }
    return false;
}

/* Not every file system knows how to rename without replacing. */
static bool rename_apart(const char *from, const char *to)
{
    struct stat st;
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return true;
    if (errno != EINVAL && errno != ENOSYS)
        return false;
    if (lstat(to, &st) == 0) {
        errno = EEXIST;
        return false;
    }
    return rename(from, to) == 0;
}

bool file_name_give(const char *from, const char *name, char out[FILE_NAME_MAX])
{
    for (unsigned number = 0; number < NUMBER_MAX; number++) {
        errno = ENAMETOOLONG;
        if (!number_name(name, number, out))
            return false;
        if (rename_apart(from, out))
            return true;
        if (errno != EEXIST)
            return false;
    }
    return false;
}

static void put_literal(struct buffer *out, char c)
{
    if (strchr("\\^$.[]|()*+?{}", c))
        buffer_put_char(out, '\\');
    buffer_put_char(out, c);
}

/* A regular expression for the names of left-overs, from a pattern's last component. */
static void put_expression(const char *base, struct buffer *out)
{
    const char *extensions = extensions_of(base);
    buffer_put_char(out, '^');
    for (const char *at = base;; at++) {
        if (at == extensions)
            buffer_put_string(out, "(-[0-9]+)?");
        if (!*at)
            break;
        if (*at != '%')
            put_literal(out, *at);
        else if (*++at == '%')
            put_literal(out, '%');
        else
            buffer_put_string(out, *at == 'F' ? "[0-9-]+" : "[0-9]+");
    }
    buffer_put_string(out, "\\.part$");
    buffer_put_char(out, '\0');
}

static void each_match(const char *folder, struct dirent **entries, int count,
                       const regex_t *expression, void (*found)(void *, const char *, const char *),
                       void *arg)
{
    for (int i = 0; i < count; i++) {
        char part[FILE_NAME_MAX], name[FILE_NAME_MAX];
        if (regexec(expression, entries[i]->d_name, 0, NULL, 0) == 0) {
            int len = snprintf(part, sizeof part, "%s%s", folder, entries[i]->d_name);
            snprintf(name, sizeof name, "%.*s", len - (int)strlen(FILE_PART), part);
            found(arg, part, name);
        }
        free(entries[i]);
    }
    free(entries);
}

bool file_name_each_part(const char *pattern,
                         void (*found)(void *arg, const char *part, const char *name), void *arg,
                         struct error *error)
{
    char folder[FILE_NAME_MAX];
    const char *base = base_of(pattern);
    struct buffer text = {0};
    struct dirent **entries;
    regex_t expression;
    snprintf(folder, sizeof folder, "%.*s", (int)(base - pattern), pattern);
    put_expression(base, &text);
    if (text.failed || regcomp(&expression, (const char *)text.data, REG_EXTENDED | REG_NOSUB)) {
        buffer_free(&text);
        return error_set(error, "out of memory");
    }
    buffer_free(&text);
    int count = scandir(*folder ? folder : ".", &entries, NULL, versionsort);
    if (count >= 0)
        each_match(folder, entries, count, &expression, found, arg);
    regfree(&expression);
    return count >= 0 || error_set(error, "cannot look for what was left in %s: %s",
                                   *folder ? folder : ".", strerror(errno));
}
