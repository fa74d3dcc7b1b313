#include "entries.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef bool add_entry(void *arg, const char *entry, struct error *error);

/* Cuts a comment and the space around; NULL: nothing is left. */
static const char *trim(char *line)
{
    line[strcspn(line, "#\r\n")] = '\0';
    line += strspn(line, " \t");
    size_t len = strlen(line);
    while (len > 0 && strchr(" \t", line[len - 1]))
        line[--len] = '\0';
    return len ? line : NULL;
}

static bool read_lines(FILE *file, const char *path, add_entry *add, void *arg, struct error *error)
{
    char *line = NULL;
    size_t room = 0;
    bool ok = true;
    for (unsigned long number = 1; ok && getline(&line, &room, file) >= 0; number++) {
        const char *entry = trim(line);
        ok = !entry || add(arg, entry, error);
        if (!ok) {
            char place[300];
            snprintf(place, sizeof place, "%.250s:%lu", path, number);
            error_prefix(error, place);
        }
    }
    if (ok && ferror(file))
        ok = error_set(error, "%s: cannot be read: %s", path, strerror(errno));
    free(line);
    return ok;
}

static bool read_file(const char *path, add_entry *add, void *arg, struct error *error)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return error_set(error, "%s: cannot be read: %s", path, strerror(errno));
    bool ok = read_lines(file, path, add, arg, error);
    fclose(file);
    return ok;
}

bool entries_read(const char *list, const char *text, add_entry *add, void *arg,
                  struct error *error)
{
    bool ok = true;
    while (ok && *text) {
        size_t len = strcspn(text, "\n");
        char *entry = strndup(text, len);
        if (!entry)
            return error_set(error, "out of memory");
        ok = strncmp(entry, "file:", 5) == 0 ? read_file(entry + 5, add, arg, error)
                                             : add(arg, entry, error);
        free(entry);
        text += len + (text[len] == '\n');
    }
    return ok || error_prefix(error, list);
}
