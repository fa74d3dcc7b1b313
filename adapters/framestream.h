/* What the two halves of the Frame Streams adapter share. */
#ifndef ADAPTERS_FRAMESTREAM_H
#define ADAPTERS_FRAMESTREAM_H

#include "adapter.h"

extern const struct source_ops framestream_source_ops;
extern const struct sink_ops framestream_sink_ops;

#endif
