/* Is this message one of the project's events (dnstap.proto, docs/events.md), which a reader of the published
 * schema takes for broken? Asked of every message on its way to such a reader, so it looks at the tags of
 * the outermost fields alone: three or four steps. */
#ifndef BRIDGE_SCAN_EVENT_H
#define BRIDGE_SCAN_EVENT_H

#include <stdbool.h>

#include "../frame.h"

/* False also for what is no dnstap message at all. Any thread. */
bool frame_is_event(struct frame frame);

#endif
