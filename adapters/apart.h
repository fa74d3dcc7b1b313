/* For calls of libraries that may take long or never return, such as the closing of a client: they run on a thread of their
 * own, which is left behind when its time is over. */
#ifndef ADAPTERS_APART_H
#define ADAPTERS_APART_H

#include <stdbool.h>

/* Calls `work(arg)` on a thread of its own and waits for its end, `timeout_ms` at most. False: it still runs, or no thread could
 * be had and it never will; `arg`, and all that it leads to, is then the work's for good, so that it must hold nothing that is
 * borrowed. Any thread that may block. */
bool run_apart(void (*work)(void *arg), void *arg, int timeout_ms);

#endif
