/* A ledger as a table for people, and as JSON. */
#include <inttypes.h>
#include <stdio.h>

#include "json.h"
#include "ledger_copy.h"

static void write_route(const struct route_copy *route, bool rejects, struct buffer *out)
{
    const struct tally *t = &route->tally;
    buffer_printf(out, "  %s -> %s", route->source.url, route->sink.url);
    if (route->name)
        buffer_printf(out, " (%s)", route->name);
    buffer_printf(out, "\n  %12" PRIu64 " %12" PRIu64 " %12" PRIu64 " %12" PRIu64, t->received, t->delivered, t->dropped,
                  t->filtered);
    if (rejects)
        buffer_printf(out, " %12" PRIu64, t->rejected);
    buffer_printf(out, " %12" PRIu64 " %12" PRIu64 " %12" PRIu64 "\n", t->malformed, t->failed, t->in_flight);
}

static void write_hop(const struct hop_ledger *h, struct buffer *out)
{
    const struct tally *t = &h->tally;
    buffer_printf(out, "    hop %-12s received %" PRIu64 " = delivered %" PRIu64 " + dropped %" PRIu64 " + filtered %" PRIu64, h->hop,
                  t->received, t->delivered, t->dropped, t->filtered);
    if (t->rejected)
        buffer_printf(out, " + rejected %" PRIu64, t->rejected);
    buffer_printf(out, " + malformed %" PRIu64 " + failed %" PRIu64 " + in flight %" PRIu64 "; lost before it %" PRIu64 "\n",
                  t->malformed, t->failed, t->in_flight, h->lost);
}

static void write_link(const char *source, const struct link_copy *link, struct buffer *out)
{
    buffer_printf(out, "  upstream of %s: hop %s, instance %016" PRIx64 "%s\n", source, link->sender.hop, link->sender.instance,
                  link->finished ? ", ended" : "");
    buffer_printf(out, "    link: joined at %" PRIu64 ", received %" PRIu64 ", lost %" PRIu64, link->joined_at, link->received,
                  link->lost);
    if (link->duplicates)
        buffer_printf(out, ", twice %" PRIu64, link->duplicates);
    buffer_put_string(out, link->shared ? " (shared with other receivers: gaps are not judged)\n" : "\n");
    for (unsigned i = 0; i < link->hop_count; i++)
        write_hop(&link->hops[i], out);
    write_hop(&link->sender, out);
    if (link->hops_left_out)
        buffer_put_string(out, "    (further hops before it are not shown)\n");
}

void ledger_write_text(const struct ledger_copy *copy, struct buffer *out)
{
    bool rejects = copy->sum.rejected > 0; /* a column only where a policy sends messages elsewhere */
    buffer_printf(out, "ledger of hop %s after %.1f s\n", copy->hop, copy->seconds);
    buffer_printf(out, "  %12s %12s %12s %12s", "received", "= delivered", "+ dropped", "+ filtered");
    if (rejects)
        buffer_printf(out, " %12s", "+ rejected");
    buffer_printf(out, " %12s %12s %12s\n", "+ malformed", "+ failed", "+ in flight");
    for (unsigned i = 0; i < copy->route_count; i++)
        write_route(&copy->routes[i], rejects, out);
    for (unsigned i = 0; i < copy->source_count; i++) {
        const struct source_copy *source = &copy->sources[i];
        for (unsigned k = 0; k < source->link_count; k++)
            write_link(source->name.url, &source->links[k], out);
    }
    buffer_printf(out, "  lost before this hop: %" PRIu64 "\n", copy->lost);
    if (copy->failed)
        buffer_put_string(out, "  (out of memory: this ledger is not whole)\n");
}

static void tally_json(struct buffer *out, const struct tally *tally)
{
    json_number(out, "received", tally->received);
    json_number(out, "delivered", tally->delivered);
    json_number(out, "dropped", tally->dropped);
    json_number(out, "filtered", tally->filtered);
    json_number(out, "rejected", tally->rejected);
    json_number(out, "malformed", tally->malformed);
    json_number(out, "failed", tally->failed);
    json_number(out, "in_flight", tally->in_flight);
}

static void instance_json(struct buffer *out, uint64_t instance)
{
    char text[17];
    snprintf(text, sizeof text, "%016" PRIx64, instance);
    json_text(out, "instance", text);
}

static void route_json(const struct route_copy *route, struct buffer *out)
{
    json_open(out, NULL, '{');
    json_text(out, "source", route->source.url);
    json_text(out, "sink", route->sink.url);
    if (route->name)
        json_text(out, "name", route->name);
    tally_json(out, &route->tally);
    json_number(out, "ring", route->ring);
    json_number(out, "ring_capacity", route->ring_capacity);
    json_close(out, '}');
}

static void hop_json(const struct hop_ledger *hop, struct buffer *out)
{
    json_open(out, NULL, '{');
    json_text(out, "hop", hop->hop);
    instance_json(out, hop->instance);
    tally_json(out, &hop->tally);
    json_number(out, "lost", hop->lost);
    json_close(out, '}');
}

void link_write_json(const char *source, const struct link_copy *link, struct buffer *out)
{
    json_open(out, NULL, '{');
    json_text(out, "source", source);
    json_text(out, "hop", link->sender.hop);
    instance_json(out, link->sender.instance);
    json_number(out, "joined_at", link->joined_at);
    json_number(out, "next", link->next);
    json_number(out, "received", link->received);
    json_number(out, "lost", link->lost);
    json_number(out, "duplicates", link->duplicates);
    json_bool(out, "shared", link->shared);
    json_bool(out, "finished", link->finished);
    json_open(out, "path", '[');
    for (unsigned i = 0; i < link->hop_count; i++)
        hop_json(&link->hops[i], out);
    hop_json(&link->sender, out);
    json_close(out, ']');
    if (link->hops_left_out)
        json_bool(out, "path_cut", true);
    json_close(out, '}');
}

void ledger_write_json(const struct ledger_copy *copy, struct buffer *out)
{
    json_open(out, NULL, '{');
    json_text(out, "hop", copy->hop);
    json_number(out, "seconds", (uint64_t)copy->seconds);
    json_open(out, "routes", '[');
    for (unsigned i = 0; i < copy->route_count; i++)
        route_json(&copy->routes[i], out);
    json_close(out, ']');
    json_open(out, "upstream", '[');
    for (unsigned i = 0; i < copy->source_count; i++) {
        const struct source_copy *source = &copy->sources[i];
        for (unsigned k = 0; k < source->link_count; k++)
            link_write_json(source->name.url, &source->links[k], out);
    }
    json_close(out, ']');
    json_number(out, "lost", copy->lost);
    json_close(out, '}');
    out->failed = out->failed || copy->failed;
}
