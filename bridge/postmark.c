#include "postmark.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

bool postmark_init(struct postmark *postmark, struct error *error)
{
    if (getrandom(&postmark->instance, sizeof postmark->instance, 0) != sizeof postmark->instance)
        return error_set(error, "no random number for the instance");
    return true;
}

void postmark_share(struct postmark *postmark, bool shared)
{
    if (shared != postmark->shared)
        postmark->epoch++;
    postmark->shared = shared;
}

/* The envelope that the batch came in brings the hops before us; the closing one (no batch) brings the
 * last that we heard of them. We add ourselves. */
void postmark_fill(struct postmark *postmark, const struct sink_host *host, const struct batch *batch,
                   uint32_t count)
{
    struct hop_ledger self = {.instance = postmark->instance};
    struct envelope *e = &postmark->envelope;
    if (!batch || !batch->envelope || !envelope_read(e, batch->envelope, batch->envelope_len))
        e->hops = 0;
    if (!batch)
        host->path(host->arg, e);
    snprintf(self.hop, sizeof self.hop, "%s", host->hop);
    host->ledger(host->arg, &self.tally, &self.lost);
    envelope_add_hop(e, &self);
    e->sequence = postmark->sequence;
    e->count = count;
    e->shared = postmark->shared;
    e->epoch = postmark->epoch;
    e->final = !batch;
    e->has_interval = postmark->has_interval;
    e->interval = postmark->interval;
    e->has_policy = postmark->has_policy;
    memcpy(e->policy, postmark->policy, sizeof e->policy);
}
