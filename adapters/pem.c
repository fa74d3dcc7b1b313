#include "pem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
