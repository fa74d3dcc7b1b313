/* A dnstap message written anew from what a scan found in it: what the schema does not know is left
 * out. */
#ifndef BRIDGE_POLICY_REBUILD_H
#define BRIDGE_POLICY_REBUILD_H

#include "../buffer.h"
#include "../scan/dnstap.h"
#include "../scan/event.h"

/* Appends the Dnstap. `out->failed` when memory runs out. */
void dnstap_rebuild(const struct dnstap_view *view, struct buffer *out);

/* Appends the Event that stands in a Dnstap. */
void event_rebuild(const struct event_view *view, struct buffer *out);

#endif
