/* What the parts of the HTTP adapter share. */
#ifndef ADAPTERS_HTTP_H
#define ADAPTERS_HTTP_H

#include "adapter.h"

extern const struct sink_ops http_sink_ops;

#endif
