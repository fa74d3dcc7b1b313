#include "pem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PEM_MAX = 1 << 20 };

char *pem_read(const char *option, const char *path, struct error *error)
{
    FILE *file = fopen(path, "re");
    char *text = calloc(1, PEM_MAX + 1);
    size_t len = file && text ? fread(text, 1, PEM_MAX, file) : 0;
    if (len == 0)
        error_set(error, "option '%s': cannot read %s: %s", option, path,
                  file ? "it is empty" : strerror(errno));
    if (file)
        fclose(file);
    if (len > 0)
        return text;
    free(text);
    return NULL;
}

void pem_free(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}
