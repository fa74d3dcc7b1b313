/* Posts loads to an HTTP server until it has taken them, so many at once.
 *
 *     load ──► slot ──► slot ...      at most `inflight`, a load each
 *
 * A load is in one request at a time, so that at most one is in doubt whatever breaks. It settles
 * its records by their tickets when the answer is there. By libcurl's multi interface, on the
 * sink's thread; only poster_rouse and poster_reload may be called by any. */
#ifndef ADAPTERS_HTTP_POSTER_H
#define ADAPTERS_HTTP_POSTER_H

#include "adapter.h"
#include "http_load.h"

struct poster;

/* For a place with the adapter's options; `hop` names us. NULL with the error. */
/* Judges address and options without opening anything. False with the error. */
bool poster_check(const struct place *place, struct error *error);

struct poster *poster_new(const struct place *place, const char *hop, struct error *error);

/* What is under way is cut off, and stays unsettled. */
void poster_free(struct poster *poster);

/* Reads the files of certificates anew, for the requests to come; says in the log what came of it. Any thread. */
void poster_reload(struct poster *poster);

/* Takes the load, and gives an empty one for it. False: no slot is free. */
bool poster_offer(struct poster *poster, struct load **load);

/* Moves all requests on, without waiting: the milliseconds until one is to be tried again, -1: none
 * is. */
int poster_move(struct poster *poster);

/* Sleeps until a request moves, poster_rouse is called, or the time is over (-1: without end). */
void poster_wait(struct poster *poster, int timeout_ms);
void poster_rouse(struct poster *poster);

unsigned poster_free_slots(const struct poster *poster);
bool poster_is_idle(const struct poster *poster);    /* all slots are free */
size_t poster_size_max(const struct poster *poster); /* octets that a load should have at most */

/* The most octets of memory that one takes, with loads of `size` octets. */
uint64_t poster_memory(const struct options *options, uint64_t size);

#endif
