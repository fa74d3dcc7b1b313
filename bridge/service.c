#include "service.h"

#include <stdint.h>
#include <systemd/sd-daemon.h>

void service_ready(void)
{
    sd_notify(0, "READY=1");
}

void service_stopping(void)
{
    sd_notify(0, "STOPPING=1");
}

int service_alive(void)
{
    uint64_t patience_us;
    if (sd_watchdog_enabled(0, &patience_us) <= 0)
        return -1;
    sd_notify(0, "WATCHDOG=1");
    uint64_t half_ms = patience_us / 2000; /* as sd_watchdog_enabled(3) advises */
    return half_ms > INT32_MAX ? INT32_MAX : half_ms < 1 ? 1 : (int)half_ms;
}
