/* When a request that was not taken is tried again: exponential steps with jitter, or when the
 * server says. */
#ifndef ADAPTERS_HTTP_RETRY_H
#define ADAPTERS_HTTP_RETRY_H

#include <stdint.h>

#include <curl/curl.h>

enum {
    RETRY_FIRST_MS = 200,
    RETRY_MAX_MS = 30000,
    RETRY_AFTER_MAX_S = 600, /* a server cannot silence a sink for longer than this at a time */
};

/* What came of a request, by how it ended and by its status. */
enum verdict {
    VERDICT_TAKEN,    /* 2xx */
    VERDICT_RETRY,    /* no whole answer; 408, 429, 5xx */
    VERDICT_TOO_MUCH, /* 413 */
    VERDICT_REJECTED, /* anything else */
};

enum verdict verdict_of(CURLcode code, long status);

/* The milliseconds to wait after the `attempts`-th try (from 1 on): half to all of a step that
 * doubles each time. `random` is any number. */
int64_t retry_delay_ms(unsigned attempts, uint32_t random);

/* The milliseconds of a Retry-After, RETRY_AFTER_MAX_S at the most. */
int64_t retry_after_ms(int64_t seconds);

#endif
