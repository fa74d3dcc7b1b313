/* A file that is read while others write it: what became of it at its end. Rotation moves it away and makes a new one, or cuts
 * it to zero and writes it anew; either is noticed, after the rest of the old one was read. Owned by one thread. */
#ifndef ADAPTERS_FILE_FOLLOW_H
#define ADAPTERS_FILE_FOLLOW_H

#include <sys/types.h>

#include "error.h"

struct follow {
    const char *path; /* borrowed */
    int notify;       /* of inotify, readable when something may have changed; -1: not open */
    int watch;        /* of the file that is read */
};

enum follow_state {
    FOLLOW_SAME,     /* nothing more yet */
    FOLLOW_CUT,      /* it is shorter than what was read of it: begin at its beginning */
    FOLLOW_REPLACED, /* its name leads to another file, which has been begun */
};

/* Watches the file at `path`, open as `fd`, and the folder that it stands in. False with the error. */
bool follow_open(struct follow *follow, const char *path, int fd, struct error *error);
void follow_close(struct follow *follow);

/* The file that is read now, in place of the one before. */
void follow_exchange(struct follow *follow, int fd);

/* How it stands, `offset` octets into it. */
enum follow_state follow_look(struct follow *follow, int fd, off_t offset);

/* Forgets what was notified: to be called before follow_look, so that what changes after it is notified anew. */
void follow_clear(struct follow *follow);

#endif
