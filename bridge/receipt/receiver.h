/* The receipts of a source on a bus: an account for each sender, cut where the sender cuts. All
 * calls by the source's thread, but open, memory and free (main thread). Every call takes NULL, for
 * a source without receipts, and does nothing. */
#ifndef RECEIPT_RECEIVER_H
#define RECEIPT_RECEIVER_H

#include "envelope.h"
#include "receipt/options.h"

struct receipt_receiver;

enum {
    RECEIPT_LINKS = 256
}; /* senders at once: of more, the one that is silent for longest is closed */

/* With `*receiver` NULL where none are asked for. False with the error. */
bool receipt_receiver_open(struct receipt_receiver **receiver, const struct place *place,
                           struct error *error);

/* A batch came in this envelope on this topic: its frames; or NULL, for they were refused. Or, with
 * a count of 0, the envelope came alone. */
void receipt_receiver_note(struct receipt_receiver *receiver, const struct envelope *envelope,
                           const char *topic, const uint8_t *data, size_t len);

/* Writes lines of senders that are silent. The milliseconds until there may be another, -1: never.
 */
int receipt_receiver_idle(struct receipt_receiver *receiver);

/* Nothing is read any more: writes what is open. */
void receipt_receiver_end(struct receipt_receiver *receiver);
void receipt_receiver_free(struct receipt_receiver *receiver);

/* Octets of memory with these options. */
uint64_t receipt_receiver_memory(const struct options *options);

#endif
