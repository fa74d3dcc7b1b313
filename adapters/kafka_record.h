/* What a record says beside its value: when, and whose. Views are borrowed; any thread. */
#ifndef ADAPTERS_KAFKA_RECORD_H
#define ADAPTERS_KAFKA_RECORD_H

#include "frame.h"
#include "scan/dns.h"

enum record_key { RECORD_KEY_NONE, RECORD_KEY_IDENTITY, RECORD_KEY_CLIENT, RECORD_KEY_QNAME };

struct record_facts {
    int64_t time_ms; /* the message's own: of the response, else of the query; 0: it has none */
    const uint8_t *key;
    size_t key_len;                  /* 0: the message has no such thing */
    uint8_t name[DNS_NAME_WIRE_MAX]; /* where a lower-cased name stands */
};

/* `option`: what key= says. */
enum record_key record_key_of(const char *option);

/* False where the message is no dnstap message; then there is no time and no key. The key of a
 * qname is the name in wire form in lower case, whatever its case on the wire. */
bool record_facts(struct frame message, enum record_key kind, struct record_facts *facts);

/* What is left of a record's value once the framing that clients of a schema registry put before a
 * protobuf (0, 4 octets of schema id, message index) is taken off; without such, all of it. A
 * Dnstap never begins with 0. False: it begins so, but is torn. */
bool record_unframe(struct frame *value);

#endif
