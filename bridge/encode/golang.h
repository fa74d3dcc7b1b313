/* Whole messages as the Go `dnstap` 0.4 prints them: `dnstap -j` and `dnstap -y`. Any thread. */
#ifndef BRIDGE_ENCODE_GOLANG_H
#define BRIDGE_ENCODE_GOLANG_H

#include "../scan/dnstap.h"
#include "encoder.h"
#include "moment.h"

/* What both need beside the output. Zeroed is ready; free with golang_free. */
struct golang {
    struct moment moment;
    struct buffer dig; /* the DNS message as text */
};

void golang_free(struct golang *golang);

/* Whether the Go tool prints the message at all: it must be a MESSAGE. ENCODE_FILTERED for another
 * type, ENCODE_MALFORMED where the Dnstap cannot be read, has no message, or (`json`) has an
 * address that the tool stops at, since it is neither 4 nor 16 octets. */
enum encode_result golang_scan(struct frame message, bool json, struct dnstap_view *view);

/* The DNS message as text in `golang->dig`, or "parse failed: ..." (then false). */
bool golang_dig(struct golang *golang, struct octets dns);

/* The same of a name in wire format. */
bool golang_name(struct golang *golang, struct octets wire);

/* What the tool calls a protocol: the newer ones it writes as numbers, so NULL. */
const char *golang_protocol_name(int32_t protocol);

/* Appends `{...}` and a line end. */
void golang_json_put(struct golang *golang, const struct dnstap_view *view, struct buffer *out);

#endif
