/* Which offsets of a consumer may be stored: those of records that every route has settled, and of
 * no record behind one that has not been. Records are noted as they are taken; each batch closes an
 * entry, whose pledge (pledge.h) tells when all of it is settled, in any order; offsets move in the
 * order of the entries.
 *
 * The source's thread calls all but what pledges call by themselves, from any thread. */
#ifndef ADAPTERS_KAFKA_OFFSETS_H
#define ADAPTERS_KAFKA_OFFSETS_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>

struct offsets;
struct pledge;

/* `url` is borrowed, and `rk`, until offsets_close. `hold`: what was not settled well holds all
 * offsets from there on. NULL: out of memory. */
struct offsets *offsets_new(rd_kafka_t *rk, const char *url, const char *topic, bool hold);

/* No offset is stored from here on; it frees itself when the last pledge is released. */
void offsets_close(struct offsets *offsets);

/* A record of the batch being built, or one that is malformed: `next` is the offset behind it. */
void offsets_note(struct offsets *offsets, int32_t partition, int64_t next);

/* A record noted since the last entry cannot be called settled, whatever becomes of its batch. */
void offsets_spoil(struct offsets *offsets);

/* What was noted is in the batch that is now closed: for intake_on_seal; `offsets` is the argument.
 */
struct pledge *offsets_pledge(void *offsets);

/* What was noted and is in no batch (malformed) is settled. After a flush. */
void offsets_settle_rest(struct offsets *offsets);

/* Waits until all entries are settled, `timeout_ms` at most. */
bool offsets_wait(struct offsets *offsets, unsigned timeout_ms);

#endif
