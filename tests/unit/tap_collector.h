/* A Frame Streams receiver for tests: one thread, one connection at a time, and it may misbehave.
 */
#ifndef TESTS_TAP_COLLECTOR_H
#define TESTS_TAP_COLLECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct collector {
    int listener;
    int fd;        /* the connection, or -1 */
    uint8_t *data; /* received behind START: data frames, whole and the torn last one */
    size_t len, cap;
    size_t at;      /* where collector_next reads */
    size_t scanned; /* up to here there is no STOP */
    bool stopped;   /* STOP was received */
};

/* A directory for this test's sockets and files; removed by test_dir_remove. */
const char *test_dir(void);
void test_dir_remove(void);
/* A path in it; good until the fourth next call. */
const char *test_path(const char *name);

bool collector_listen(struct collector *c, const char *path);
/* Listens on a free port of 127.0.0.1; returns it. */
uint16_t collector_listen_tcp(struct collector *c);
void collector_unlisten(struct collector *c);

/* The next connection, accepted but not spoken to. False after `timeout_ms`. */
bool collector_accept(struct collector *c, int timeout_ms);
/* READY, ACCEPT, START. `type` is the content type accepted. */
bool collector_handshake(struct collector *c, const char *type);
bool collector_greet(struct collector *c, int timeout_ms); /* both, as a good collector does */

/* Receives `octets` more at most, or to STOP or the end. Returns how many. */
size_t collector_receive(struct collector *c, size_t octets, int timeout_ms);
bool collector_finish(struct collector *c);
/* Drops the connection and forgets what was received. */
void collector_drop(struct collector *c);

/* The next whole data frame received. */
bool collector_next(struct collector *c, const uint8_t **data, size_t *len);

/* The number that numbered_emit put into a message, and whether all of it is as sent. */
struct tap_lane;
bool numbered_emit(struct tap_lane *lane, uint32_t number, uint32_t len);
bool numbered_check(const uint8_t *data, size_t len, uint32_t *number);

static inline uint32_t load_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

int64_t test_now_ms(void);
void test_sleep_ms(unsigned ms);

#endif
