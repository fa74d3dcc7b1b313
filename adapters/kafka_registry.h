/* A schema registry, as its REST API is spoken (POST /subjects/SUBJECT/versions): where readers of
 * a topic find out what its records are. */
#ifndef ADAPTERS_KAFKA_REGISTRY_H
#define ADAPTERS_KAFKA_REGISTRY_H

#include <stdint.h>

#include "adapter.h"
#include "waker.h"

/* Registers dnstap.proto for the topic's values, or finds it registered, and says by which id.
 * Waits for the answer, some seconds at most, or until `waker` is woken. False with the error. `auth` is USER:PASSWORD or
 * NULL. */
bool registry_register(const char *url, const char *auth, const char *topic, const struct waker *waker, uint32_t *id,
                       struct error *error);

#endif
