/* Files, and standard input and output: PATH, file:PATH, -. */
#include "file.h"

#include <string.h>

static const char *const schemes[] = {"file", NULL};

static const struct option_spec source_options[] = {
    {.name = "loop", .type = OPTION_COUNT, .fallback = "1",
     .meaning = "read the file this many times (0: without end)"},
    {.name = "rate", .type = OPTION_RATE, .min = 1, .max = 1000000000,
     .meaning = "messages per second (unset: as fast as the sinks take them)"},
    {.name = "follow", .type = OPTION_FLAG,
     .meaning = "at the end of the file wait for more, like tail -f"},
    {0},
};

bool file_is_standard(const char *address)
{
    return strcmp(address, "-") == 0;
}

const struct adapter file_adapter = {
    .schemes = schemes,
    .address = "PATH (or - for standard input and output)",
    .source_summary = "reads Frame Streams, also gzip or zstd, to the end",
    .sink_summary = "writes Frame Streams, JSON, YAML or lines of text",
    .source = &file_source_ops,
    .sink = &file_sink_ops,
    .source_options = source_options,
};
