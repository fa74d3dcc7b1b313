/* Where a sink's files stand: which one is opened next, and under what name it stands while it is
 * written and when it is whole.
 *
 * A file that is rotated or packed is written as NAME.part and takes its NAME when it is whole. A
 * plain one stands under its name from the first octet on, so that it can be watched while it
 * grows. */
#ifndef ADAPTERS_FILE_TARGET_H
#define ADAPTERS_FILE_TARGET_H

#include "adapter.h"
#include "file_name.h"
#include "file_out.h"

enum { FILE_PATH_MAX = FILE_NAME_MAX + sizeof FILE_PART };

struct file_target {
    const char *url;
    const char *pattern;
    bool regular;    /* not a pipe, a device or standard output */
    bool direct;     /* never .part: not regular, or plain */
    bool numbered;   /* where the name is there already, a number is added; else that is an error */
    bool framed;     /* not for a terminal */
    bool live;       /* where the plain name is taken at the start, a number is added then, too */
    char *name;      /* of the file opened last, when it is whole: */
    char *stem;      /* what the clock made of the pattern, */
    unsigned number; /* and the number that was added; numbers are not used again */
};

/* What the place and its options ask for; nothing is opened. False with the error. Free in either
 * case. */
bool file_target_init(struct file_target *target, const struct place *place,
                      const struct file_kind *kind, struct error *error);
/* Judges the name and the options, as file_target_init does. False with the error. */
bool file_target_check_place(const struct place *place, struct error *error);

void file_target_free(struct file_target *target);

/* Would the first file open, as things stand? Opens nothing. False with the error. */
bool file_target_check(const struct file_target *target, struct error *error);

/* Opens the next file, empty and locked, or the pipe or device: its descriptor, or -1 with the
 * error. An existing file is never overwritten. */
int file_target_open(struct file_target *target, struct error *error);

/* The path of the file opened last while it is written; NULL where it is no regular file. In
 * `room`. */
const char *file_target_path(const struct file_target *target, char room[FILE_PATH_MAX]);

/* The file opened last is whole: it takes its name; with `sync`, for good. Is of no use: it goes.
 */
void file_target_keep(struct file_target *target, bool sync);
bool file_target_drop(struct file_target *target);

#endif
