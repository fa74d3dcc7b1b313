#include "entries.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char blanks[] = " \t";

/* Cuts a comment and the space around; NULL: nothing is left. */
static char *trim(char *line)
{
    line[strcspn(line, "#\r\n")] = '\0';
    for (char *at = line; (at = strchr(at, ';')) != NULL; at++) {
        if (at == line || strchr(blanks, at[-1])) {
            *at = '\0';
            break;
        }
    }
    line += strspn(line, blanks);
    size_t len = strlen(line);
    while (len > 0 && strchr(blanks, line[len - 1]))
        line[--len] = '\0';
    return len ? line : NULL;
}

static bool is_address(const char *text)
{
    char address[INET6_ADDRSTRLEN];
    uint8_t octets[16];
    size_t len = strcspn(text, "%"); /* fe80::1%lo0 */
    if (len >= sizeof address)
        return false;
    memcpy(address, text, len);
    address[len] = '\0';
    return inet_pton(AF_INET, address, octets) == 1 || inet_pton(AF_INET6, address, octets) == 1;
}

/* A line of a hosts file; 0.0.0.0 may stand for itself there. */
static bool add_host(const struct entry_list *list, char *line, struct error *error)
{
    char *rest = NULL;
    char *word = strtok_r(line, blanks, &rest);
    if (!is_address(word))
        return error_set(error, "'%.200s' is followed by something else; expected one name, or an address and names",
                         word);
    while ((word = strtok_r(NULL, blanks, &rest)) != NULL) {
        if (!is_address(word) && !list->add(list->arg, word, error))
            return false;
    }
    return true;
}

static bool add_line(const struct entry_list *list, char *entry, struct error *error)
{
    if (list->of_names && strpbrk(entry, blanks))
        return add_host(list, entry, error);
    return list->add(list->arg, entry, error);
}

static bool read_line(const struct entry_list *list, char *line, size_t len, bool first,
                      unsigned long *entries, struct error *error)
{
    static const char mark[] = "\xef\xbb\xbf";
    if (strlen(line) != len)
        return error_set(error, "a NUL stands in this line; expected UTF-8 text");
    char *entry = trim(first && strncmp(line, mark, 3) == 0 ? line + 3 : line);
    *entries += entry != NULL;
    return !entry || add_line(list, entry, error);
}

static bool read_lines(FILE *file, const char *path, const struct entry_list *list,
                       struct error *error)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t len;
    unsigned long entries = 0;
    bool ok = true;
    for (unsigned long number = 1; ok && (len = getline(&line, &room, file)) >= 0; number++) {
        ok = read_line(list, line, (size_t)len, number == 1, &entries, error);
        if (!ok) {
            char place[300];
            snprintf(place, sizeof place, "%.250s:%lu", path, number);
            error_prefix(error, place);
        }
    }
    if (ok && ferror(file))
        ok = error_set(error, "%s: cannot be read: %s", path, strerror(errno));
    if (ok && entries == 0)
        ok = error_set(error, "%s: has no entry; a list needs one at least", path);
    free(line);
    return ok;
}

static bool read_file(const char *path, const struct entry_list *list, struct error *error)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return error_set(error, "%s: cannot be read: %s", path, strerror(errno));
    bool ok = read_lines(file, path, list, error);
    fclose(file);
    return ok;
}

bool entries_read(const struct entry_list *list, const char *text, struct error *error)
{
    bool ok = true;
    while (ok && *text) {
        size_t len = strcspn(text, "\n");
        char *entry = strndup(text, len);
        if (!entry)
            return error_set(error, "out of memory");
        ok = strncmp(entry, "file:", 5) == 0 ? read_file(entry + 5, list, error)
                                             : list->add(list->arg, entry, error);
        free(entry);
        text += len + (text[len] == '\n');
    }
    return ok || error_prefix(error, list->name);
}
