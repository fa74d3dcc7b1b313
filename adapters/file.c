/* Files, and standard input and output: PATH, file:PATH, -. */
#include "file.h"

#include <string.h>

static const char *const schemes[] = {"file", NULL};

static const struct option_spec source_options[] = {
    {.name = "loop", .type = OPTION_COUNT, .fallback = "1", .max = 1000000000000,
     .meaning = "read the file this many times (0: without end)"},
    {.name = "rate", .type = OPTION_RATE, .min = 1, .max = 1000000000,
     .meaning = "messages per second (unset: as fast as the sinks take them)"},
    {.name = "follow", .type = OPTION_FLAG,
     .meaning = "at the end wait for more, like tail -F: also where the file is moved, replaced or cut"},
    {0},
};

static const struct option_spec sink_options[] = {
    {.name = "rotate-size", .type = OPTION_SIZE, .min = 4096, .max = (uint64_t)1 << 50,
     .meaning = "begin the next file before this one is larger (packed: up to a MiB of messages later)"},
    {.name = "rotate-every", .type = OPTION_DURATION, .min = 1000, .max = (uint64_t)366 * 24 * 3600 * 1000,
     .meaning = "begin the next file at each multiple of this time, in UTC"},
    {.name = "fsync", .type = OPTION_CHOICE, .choices = "no|close|each", .fallback = "no",
     .meaning = "have files on the disk: left to the system, when whole, or before messages count as delivered"},
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
    .sink_summary = "writes Frame Streams, JSON, YAML or text; .gz and .zst pack, %Y%m%d puts in the time",
    .source = &file_source_ops,
    .sink = &file_sink_ops,
    .source_options = source_options,
    .sink_options = sink_options,
};
