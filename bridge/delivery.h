/* From a batch to what a sink takes: its frames, or records of the sink's format, in parcels of a
 * bounded size. Owned by one outlet's thread. */
#ifndef BRIDGE_DELIVERY_H
#define BRIDGE_DELIVERY_H

#include "endpoint.h"

struct delivery;

/* Makes the encoder that the endpoint's format asks for. `interrupted` ends a batch halfway; all is
 * borrowed. NULL with the error. Main thread. */
struct delivery *delivery_new(const struct endpoint *endpoint, const _Atomic bool *interrupted,
                              struct error *error);
void delivery_free(struct delivery *delivery);

/* Before the first batch: where it all goes. */
void delivery_connect(struct delivery *delivery, struct sink *sink);

/* Encodes the batch and has it written, on this account. */
void delivery_batch(struct delivery *delivery, struct batch *batch, struct account *account);

/* Of a format that makes records of many messages (gather.h): the milliseconds until some are due,
 * -1: none are held. Writes what is due, with `all` everything; and settles the messages of records
 * that are settled. */
int delivery_due(const struct delivery *delivery);
void delivery_release(struct delivery *delivery, bool all);
void delivery_settle(struct delivery *delivery);

#endif
