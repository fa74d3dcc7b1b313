/* A receipt file that lines are put into. A thread of its own signs and writes them, so that
 * neither a source nor a sink ever waits for a disk. A line that the disk does not take whole is
 * tried again when the next one comes; those that come meanwhile wait, up to a bound, and the first
 * that is taken behind some that were given up says so. */
#ifndef RECEIPT_FILE_H
#define RECEIPT_FILE_H

#include "receipt/line.h"

struct receipt_file;

/* Octets of lines that wait for the disk; further ones are given up. A receiver may have to close
 * the lines of all its senders at once. */
enum { RECEIPT_QUEUE_SENDER = 2 << 20, RECEIPT_QUEUE_RECEIVER = 16 << 20 };

/* Opens the file, new or to go on behind its last line, which must be of this key; takes over the
 * key. `url` names the end of the link. Nobody else may have it open. NULL with the error, the key
 * freed. */
struct receipt_file *receipt_file_open(const char *path, struct receipt_key *key, bool sender,
                                       const char *url, struct error *error);

/* Fields for every line: begins them with `type`. */
void receipt_fields_begin(struct buffer *fields, const char *type, bool sender);

/* Puts a line of these fields in, and empties them; never waits. One thread. */
void receipt_file_put(struct receipt_file *file, struct buffer *fields);

/* Writes what waits, and the closing line. */
void receipt_file_close(struct receipt_file *file);

/* Appends the line that names another key, signed by the old one. The file must be at rest. */
bool receipt_file_rotate(const char *path, const struct receipt_key *old,
                         const struct receipt_key *new, struct error *error);

#endif
