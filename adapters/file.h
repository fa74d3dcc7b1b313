/* What the two halves of the file adapter share. */
#ifndef ADAPTERS_FILE_H
#define ADAPTERS_FILE_H

#include "adapter.h"

extern const struct source_ops file_source_ops;
extern const struct sink_ops file_sink_ops;

/* Is this address standard input or output? */
bool file_is_standard(const char *address);

#endif
