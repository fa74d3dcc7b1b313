/* What the numbers of events are called; NULL where a number has no name. Constant tables. */
#ifndef BRIDGE_ENCODE_EVENT_NAMES_H
#define BRIDGE_ENCODE_EVENT_NAMES_H

#include <stdint.h>

const char *event_type_name(uint64_t type); /* CACHE_EXPIRY */
const char *event_line_name(uint64_t type); /* cache-expiry */
const char *event_outcome_name(uint64_t outcome);
const char *event_category_name(uint64_t category);

#endif
