/* HTTP servers: http://, https://. */
#include "http.h"

#include "http_body.h"
#include "pem.h"

static const char *const schemes[] = {"http", "https", NULL};

static const struct option_spec sink_options[] = {
    {.name = "body", .type = OPTION_CHOICE, .choices = body_kinds, .fallback = "ndjson",
     .meaning = "what a request carries"},
    {.name = "index", .type = OPTION_STRING, 
     .meaning = "elastic: the index or data stream (default: the URL's); %Y, %m, %d and %H stand for the document's time, in UTC"},
    {.name = "label", .type = OPTION_STRING, .repeats = true,
     .meaning = "loki: a label, NAME=VALUE, may be given again (default: job=dnstap and hop)"},
    {.name = "inflight", .type = OPTION_COUNT, .fallback = "4", .min = 1, .max = 256, .meaning = "requests at once"},
    {.name = "batch-size", .type = OPTION_SIZE, .fallback = "1MiB", .min = 1024, .max = 256 << 20,
     .meaning = "octets of records in a request, before packing"},
    {.name = "batch-count", .type = OPTION_COUNT, .fallback = "10000", .min = 1, .max = 1000000,
     .meaning = "records in a request"},
    {.name = "linger", .type = OPTION_DURATION, .fallback = "200ms", .max = 3600 * 1000,
     .meaning = "how long a record waits for others to fill a request"},
    {.name = "compress", .type = OPTION_CHOICE, .choices = "no|gzip|zstd", .fallback = "no",
     .meaning = "Content-Encoding of the requests"},
    {.name = "timeout", .type = OPTION_DURATION, .fallback = "30s", .min = 1, .max = 24 * 3600 * 1000,
     .meaning = "give up on a request that is not answered after this time, and try again"},
    {.name = "retry-for", .type = OPTION_DURATION, .max = (uint64_t)366 * 24 * 3600 * 1000,
     .meaning = "try a request again for this long, then its records are failed (unset: without end)"},
    {.name = "header", .type = OPTION_STRING, .secret = true, .repeats = true,
     .meaning = "a header, NAME:VALUE, may be given again; VALUE may be file:PATH or env:NAME"},
    {.name = "bearer", .type = OPTION_STRING, .secret = true, .meaning = "a token: file:PATH, env:NAME, or itself"},
    {.name = "user", .type = OPTION_STRING, .meaning = "basic authentication: the name"},
    {.name = "password", .type = OPTION_STRING, .secret = true,
     .meaning = "and the password: file:PATH, env:NAME, or itself"},
    {.name = "ca", .type = OPTION_STRING, .meaning = "certificates to trust, in PEM, or `system`, the default"},
    CERTIFICATE_OPTIONS(""),
    {0},
};

const struct adapter http_adapter = {
    .schemes = schemes,
    .address = "//HOST[:PORT][/PATH]",
    .sink_summary = "posts batches of records",
    .sink = &http_sink_ops,
    .sink_options = sink_options,
};
