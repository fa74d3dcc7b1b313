/* Where a hop begins or ends: a URL with its options, understood and checked, nothing opened yet. */
#ifndef BRIDGE_ENDPOINT_H
#define BRIDGE_ENDPOINT_H

#include "adapters/adapter.h"
#include "policy/policy.h"

enum direction { DIRECTION_SOURCE, DIRECTION_SINK };

struct endpoint {
    const struct adapter *adapter;
    struct place place; /* points into what is below */
    char *url;          /* without the options; a password in it shows as *** */
    char *address;
    struct options options;
    struct plan plan;                /* of a sink, while it is read */
    struct policy *policy;           /* made of it; NULL: there is none, or what runs it has taken it over */
    char policy_state[PLAN_HASH]; /* changes when anything in it does, its secrets too */
    char policy_hash[PLAN_HASH];     /* "" without one */
};

/* The options that every source, and every sink, has. */
extern const struct option_spec source_common_options[];
extern const struct option_spec sink_common_options[];

/* Reads URL#options. False with the error, which names the valid schemes or options. The endpoint must
 * stay where it is while it is used. Free in either case. */
bool endpoint_parse(struct endpoint *endpoint, enum direction direction, const char *text,
                    struct error *error);
void endpoint_free(struct endpoint *endpoint);

/* Of one that stands in memory of its own (config_add): that goes, too. NULL is fine. And who takes it over from where it is
 * kept leaves NULL there. */
void endpoint_delete(struct endpoint *endpoint);
struct endpoint *endpoint_take(struct endpoint **endpoint);

/* The same in steps, for those who write options otherwise: the URL, which may have no '#'; then
 * options_give on `endpoint->options`; then what is settled and judged at the end. */
bool endpoint_begin(struct endpoint *endpoint, enum direction direction, const char *url,
                    struct error *error);
bool endpoint_end(struct endpoint *endpoint, enum direction direction, struct error *error);

/* A source's choice or default for full rings. */
bool endpoint_blocks_when_full(const struct endpoint *source);

#endif
