/* What a writer that was killed left behind: NAME.part. Its whole messages are kept, a torn one at
 * its end is cut off, it is ended and takes its name. One that is no file of this kind is set aside
 * as NAME.broken. Each is told in one line of the log. A file that a living writer holds is left
 * alone. */
#ifndef ADAPTERS_FILE_MEND_H
#define ADAPTERS_FILE_MEND_H

#include "file_out.h"

/* How records follow each other in a file that is no Frame Streams: what ends each. */
const char *file_record_end(const char *format);

/* Mends what files of this pattern were left; how many got their name. `url` names the sink in the
 * log. Before the sink writes. */
unsigned file_mend_all(const char *url, const char *pattern, const char *format,
                       const struct file_kind *kind);

#endif
