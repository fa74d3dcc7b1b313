/* The names of the files that a sink writes: the address's pattern with the time put in (strftime,
 * UTC), and a number before the extensions where a file of that name is there already:
 *
 *     dns-%Y%m%d-%H.fstrm.zst     dns-20260131-14.fstrm.zst, dns-20260131-14-1.fstrm.zst, ...
 *
 * While it is written a file may stand under NAME.part. Any thread. */
#ifndef ADAPTERS_FILE_NAME_H
#define ADAPTERS_FILE_NAME_H

#include <stdbool.h>
#include <time.h>

#include "error.h"

#define FILE_PART ".part"

enum { FILE_NAME_MAX = 4096 };

/* Is the pattern one that can be used: known conversions, and only in the file's name? */
bool file_name_check(const char *pattern, struct error *error);

/* Does the pattern hold a time? */
bool file_name_timed(const char *pattern);

/* The name at a time. False: it is too long. */
bool file_name_at(const char *pattern, time_t now, char out[FILE_NAME_MAX]);

/* The first that is free, alone and with .part, of NAME, NAME with 1, with 2 ..., from `*number`
 * on, which becomes its number. False: too long, or too many. */
bool file_name_free(const char *name, unsigned *number, char out[FILE_NAME_MAX]);

/* Gives a file that is whole its name, and never takes another's: where `name` is there already, a
 * number is added. What it came to be called is in `out`. False with errno. */
bool file_name_give(const char *from, const char *name, char out[FILE_NAME_MAX]);

/* Calls `found` with each left-over of a writer with this pattern (NAME.part) and with its NAME, in
 * the order of their names. False with the error where the folder cannot be read. */
bool file_name_each_part(const char *pattern,
                         void (*found)(void *arg, const char *part, const char *name), void *arg,
                         struct error *error);

/* The name's extension below .gz or .zst: "json" of a/dns.json.gz. Its length in `len`; NULL: none.
 */
const char *file_name_extension(const char *name, size_t *len);

#endif
