#include "http_retry.h"

enum verdict verdict_of(CURLcode code, long status)
{
    if (code != CURLE_OK || status == 408 || status == 429 || status >= 500)
        return VERDICT_RETRY;
    if (status >= 200 && status < 300)
        return VERDICT_TAKEN;
    return status == 413 ? VERDICT_TOO_MUCH : VERDICT_REJECTED;
}

int64_t retry_delay_ms(unsigned attempts, uint32_t random)
{
    int64_t step = RETRY_FIRST_MS;
    while (--attempts > 0 && step < RETRY_MAX_MS)
        step *= 2;
    step = step < RETRY_MAX_MS ? step : RETRY_MAX_MS;
    return step / 2 + random % (step / 2 + 1);
}

int64_t retry_after_ms(int64_t seconds)
{
    return (seconds < RETRY_AFTER_MAX_S ? seconds : RETRY_AFTER_MAX_S) * 1000;
}
