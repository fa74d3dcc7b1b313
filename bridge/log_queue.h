/* What waits for standard error, and the thread that writes it (log.h says why). Any thread. */
#ifndef BRIDGE_LOG_QUEUE_H
#define BRIDGE_LOG_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_kind {
    LOG_KIND_LINE, /* dropped where LOG_QUEUE_OCTETS wait */
    LOG_KIND_TEXT, /* dropped where LOG_TEXTS wait */
    LOG_KIND_DRAW, /* dropped where anything waits */
};

/* Starts the thread; `note` appends the line that says how many were dropped. False: the caller has to write. */
bool log_queue_start(size_t (*note)(char *out, size_t room, uint64_t dropped));

/* Queues a copy. False: the thread does not run, and the caller has to write. What is dropped is dropped here. */
bool log_queue_put(enum log_kind kind, const char *text, size_t len);

/* Waits until one more text would be taken, `patience_ms` at most. */
void log_queue_wait_for_text(int patience_ms);

/* As log_stop. */
bool log_queue_stop(int patience_ms);

uint64_t log_queue_dropped(void);

/* Writes all of it to standard error, waiting as long as it takes. */
void log_write_out(const char *text, size_t len);

#endif
