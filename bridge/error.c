#include "error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { PREFIX_LEAST = 100 }; /* octets of a prefix that are kept beside the longest sentence */

bool error_set(struct error *error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(error->text, sizeof error->text, format, args);
    va_end(args);
    return false;
}

bool error_add(struct error *error, const char *format, ...)
{
    size_t used = strlen(error->text);
    va_list args;
    if (used > 0 && used + sizeof "; " < sizeof error->text) {
        memcpy(error->text + used, "; ", sizeof "; ");
        used += 2;
    }
    va_start(args, format);
    vsnprintf(error->text + used, sizeof error->text - used, format, args);
    va_end(args);
    return false;
}

bool error_prefix(struct error *error, const char *prefix)
{
    char text[sizeof error->text];
    memcpy(text, error->text, sizeof text);
    /* a long prefix is cut rather than the sentence, which says what to do */
    int sentence = (int)strnlen(text, sizeof text - PREFIX_LEAST - sizeof ": ");
    int room = (int)(sizeof text - sizeof ": ") - sentence;
    snprintf(error->text, sizeof error->text, "%.*s: %.*s", room, prefix, sentence, text);
    return false;
}
