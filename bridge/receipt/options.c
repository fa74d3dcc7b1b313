#include "receipt/options.h"

#include <sys/stat.h>

#include "log.h"

bool receipt_wanted(const struct options *options)
{
    return options_string(options, "receipts") != NULL;
}

bool receipt_check(const struct place *place, struct error *error)
{
    const char *key = options_string(place->options, "receipts-key");
    if (!receipt_wanted(place->options)) {
        if (key || options_given(place->options, "receipts-every"))
            return error_set(error,
                             "options 'receipts-key' and 'receipts-every' go with receipts=FILE");
        return true;
    }
    if (!key)
        return error_set(error,
                         "option 'receipts' needs receipts-key=FILE, the key that signs them");
    struct receipt_key *read = receipt_key_read(key, error);
    receipt_key_free(read);
    return read != NULL;
}

/* A key that others can read proves nothing. */
static void warn_of_readers(const char *url, const char *path)
{
    struct stat st;
    if (stat(path, &st) == 0 && (st.st_mode & (S_IRWXG | S_IRWXO)))
        log_line(LOG_WARN, "%s: others may read %s, and sign as we do: chmod 600 it", url, path);
}

struct receipt_file *receipt_open_file(const struct place *place, bool sender, struct error *error)
{
    const struct options *options = place->options;
    const char *path = options_string(options, "receipts-key");
    struct receipt_key *key = receipt_key_read(path, error);
    if (key)
        warn_of_readers(place->url, path);
    return key ? receipt_file_open(options_string(options, "receipts"), key, sender, place->url,
                                   error)
               : NULL;
}
