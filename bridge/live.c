#include "live.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"

enum { PERIOD_MS = 1000 };

static bool a_sink_writes_there(const struct config *config)
{
    for (unsigned i = 0; i < config->sink_count; i++) {
        if (strcmp(config->sinks[i]->address, "-") == 0)
            return isatty(STDOUT_FILENO);
    }
    return false;
}

void live_start(struct live *live, const struct config *config)
{
    *live = (struct live){
        .shown = isatty(STDERR_FILENO) && !config->quiet && !a_sink_writes_there(config)};
    log_over_a_line(live->shown);
}

/* 950, 12.3k, 4.56M. */
static void put_rate(char *out, size_t room, uint64_t messages, int64_t ms)
{
    double rate = ms > 0 ? (double)messages * 1000 / (double)ms : 0;
    if (rate >= 1e6)
        snprintf(out, room, "%.2fM/s", rate / 1e6);
    else if (rate >= 1e4)
        snprintf(out, room, "%.1fk/s", rate / 1e3);
    else
        snprintf(out, room, "%.0f/s", rate);
}

static void draw(struct live *live, struct hop *hop, int64_t ms)
{
    char in[32], out[32], line[256];
    struct tally now;
    uint64_t lost;
    hop_sum(hop, &now, &lost);
    put_rate(in, sizeof in, now.received - live->before.received, ms);
    put_rate(out, sizeof out, now.delivered - live->before.delivered, ms);
    live->before = now;
    int len = snprintf(line, sizeof line,
                       "\r\033[Kin %s  out %s  in flight %" PRIu64 "  dropped %" PRIu64 "  failed %" PRIu64
                       "  malformed %" PRIu64 "  lost %" PRIu64,
                       in, out, now.in_flight, now.dropped, now.failed, now.malformed, lost);
    if (len > 0)
        log_draw(line, (size_t)len < sizeof line ? (size_t)len : sizeof line - 1);
}

int live_draw(struct live *live, struct hop *hop)
{
    if (!live->shown)
        return -1;
    int64_t now = clock_ms(CLOCK_MONOTONIC), gone = now - live->drawn_ms;
    if (live->drawn_ms != 0 && gone < PERIOD_MS)
        return (int)(PERIOD_MS - gone);
    draw(live, hop, live->drawn_ms ? gone : 0);
    live->drawn_ms = now;
    return PERIOD_MS;
}

void live_end(struct live *live)
{
    log_erase();
    live->shown = false;
    log_over_a_line(false);
}
