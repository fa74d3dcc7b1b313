/* The receipts of a sink on a bus: numbers the intervals, says the number in each envelope, and
 * accounts for what the bus took. All calls by the sink's thread, but open, memory and free (main
 * thread). Every call takes NULL, for a sink without receipts, and does nothing. */
#ifndef RECEIPT_SENDER_H
#define RECEIPT_SENDER_H

#include "postmark.h"
#include "receipt/options.h"

struct receipt_sender;

/* With `*sender` NULL where none are asked for. `topic` is borrowed. False with the error. */
bool receipt_sender_open(struct receipt_sender **sender, const struct place *place,
                         const struct sink_host *host, const char *topic, struct error *error);

/* Before postmark_fill: the next batch's interval. */
void receipt_sender_stamp(struct receipt_sender *sender, struct postmark *postmark);

/* The bus took these frames, the first of which has this number. */
void receipt_sender_note(struct receipt_sender *sender, uint64_t first, uint32_t count,
                         const uint8_t *data, size_t len);

/* Closes the interval where its time is over. The milliseconds until it is, -1: none is open. */
int receipt_sender_idle(struct receipt_sender *sender);

/* Nothing follows. */
void receipt_sender_end(struct receipt_sender *sender);
void receipt_sender_free(struct receipt_sender *sender);

/* Octets of memory with these options. */
uint64_t receipt_sender_memory(const struct options *options);

#endif
