/* The one interface of everything that messages come from or go to. An adapter is one line in the
 * table (table.c), with a vtable for its source, its sink, or both. It knows batches and its own
 * library; nothing of other adapters, of routes or of configuration files. */
#ifndef ADAPTERS_ADAPTER_H
#define ADAPTERS_ADAPTER_H

#include "error.h"
#include "intake.h"
#include "options.h"
#include "parcel.h"

struct source;
struct sink;

/* Where to open: the parts of a URL. Borrowed; outlives what is opened on it. */
struct place {
    const char *url;     /* whole, without options: names the source or sink in every message */
    const char *scheme;  /* "file" for a bare path */
    const char *address; /* what follows the scheme's colon */
    const struct options *options;
};

struct source_ops {
    /* Its upstream keeps what is not read: it waits for full rings unless told otherwise. */
    bool upstream_keeps;

    /* Its messages come in envelopes, or numbered otherwise: it keeps an account of the hops before it (upstream.h). */
    bool has_links;

    /* Does a source with these options end by itself? NULL: never. */
    bool (*is_finite)(const struct options *options);

    /* Claims what the source needs (binds, opens), so that mistakes show before anything runs.
     * NULL with the error. Main thread. */
    struct source *(*open)(const struct place *place, struct error *error);

    /* The source's thread: puts what comes into the intake, flushed, until there is no more or `stop`
     * was called; then returns with nothing held back. Never waits for a sink but inside the intake. */
    void (*run)(struct source *source, struct intake *intake);

    /* Judges address and options without opening anything: what --check answers. False with the error. NULL:
     * the tables have judged all that there is. Main thread. */
    bool (*check)(const struct place *place, struct error *error);

    /* Makes `run` return soon. Any thread, once or more. */
    void (*stop)(struct source *source);

    /* Asked from outside (SIGHUP) to read what it keeps of files anew, for what is to come: who is connected
     * goes on undisturbed, and a file with a mistake leaves all as it was, with a line in the log. Main thread,
     * while `run` may be running. NULL: there is nothing to reload. */
    void (*reload)(struct source *source);

    /* After `run` has returned, or was never called. A thread of the hop's own, which waits for nobody else; it should
     * still come back in seconds, for whatever replaces this source waits for it. */
    void (*free)(struct source *source);

    /* The most octets of memory that a source with these options takes, beside rings and builder. */
    uint64_t (*memory)(const struct options *options);

    /* How many senders are connected now. Any thread. NULL: it does not know. */
    uint64_t (*connections)(const struct source *source);

    /* How many were not let in: too many, not allowed, the wrong certificate. As `connections`. */
    uint64_t (*turned_away)(const struct source *source);
};

/* What the hop tells a sink. Borrowed; outlives the sink. */
struct sink_host {
    const char *hop;
    bool successor; /* a sink of this hop has just ended here: what it left is ours, and no mistake */
    bool live;      /* some source goes on without end: this is a service, which outlives its restarts */
    /* The sum of the routes into this sink, and what its sources lost, now. The sink's thread. */
    void (*ledger)(void *arg, struct tally *tally, uint64_t *lost);
    /* Adds the hops before this one, as last heard of, to the path. The sink's thread. */
    void (*path)(void *arg, struct envelope *envelope);
    /* SHA-256 in hex of the policy that messages pass now, NULL: there is none. The sink's thread; may be NULL. */
    const char *(*policy)(void *arg);
    /* What the sink writes to went away for good, such as a pipe whose reader has ended: everything from here on fails, and
     * a run without another sink ends. The sink's thread; may be NULL. */
    void (*gone)(void *arg);
    void *arg;
};

struct sink_ops {
    /* Claims what the sink needs without waiting for a peer. NULL with the error. Main thread. */
    struct sink *(*open)(const struct place *place, const struct sink_host *host,
                         struct error *error);

    /* The sink's thread: takes the records, waiting for its peer as long as it must, and settles each
     * one by parcel_settle, or later by a ticket taken here, from any call on its thread. After
     * `interrupt` it may leave records unsettled. */
    void (*write)(struct sink *sink, const struct parcel *parcel);

    /* The sink's thread: no batch waits; send what is held back, do what is due. The milliseconds after
     * which to call again if no batch comes before, -1: only then. NULL: nothing is ever held back. */
    int (*idle)(struct sink *sink);

    /* For a sink with descriptors of its own to wait on while no batch waits; NULL, both: it has none.
     * `wait`, the sink's thread, sleeps until one of them is ready, `rouse` was called, or `timeout_ms`
     * went by (-1: without end); `idle` is called next. `rouse`, any thread, ends the wait that runs or
     * the next one. */
    void (*wait)(struct sink *sink, int timeout_ms);
    void (*rouse)(struct sink *sink);

    /* The sink's thread: nothing will follow. Says goodbye to the peer as its protocol knows it, and
     * waits until all is settled, or `interrupt`. NULL: nothing to do. */
    void (*finish)(struct sink *sink);

    /* Ends all waiting in the sink, for good. Any thread, once or more. */
    void (*interrupt)(struct sink *sink);

    /* After its thread has ended, or never ran. As a source's. */
    void (*free)(struct sink *sink);

    /* The most octets of memory that a sink with these options takes, where no batch is larger than
     * `batch_max` octets. */
    uint64_t (*memory)(const struct options *options, uint64_t batch_max);

    /* As a source's. */
    bool (*check)(const struct place *place, struct error *error);

    /* The same for a run as it will be: `live` as in sink_host. NULL: it makes no difference. */
    bool (*check_run)(const struct place *place, bool live, struct error *error);

    /* Takes format=frames: a batch of data frames as one record. */
    bool takes_frames;

    /* Does a sink with these options reach only readers that know the schema's events? NULL: it does not,
     * and the route takes them out of what it sends as format=dnstap. */
    bool (*knows_events)(const struct options *options);

    /* The format that an address or the options ask for, where `format=` is not given; NULL, or no
     * function: dnstap. */
    const char *(*format_of)(const struct place *place);

    /* The sink's thread, between batches: asked from outside (SIGHUP) to finish what it writes to and begin
     * anew. NULL: there is nothing to reopen. */
    void (*reopen)(struct sink *sink);

    /* As a source's: it helps also a sink that waits for a peer. Main thread. */
    void (*reload)(struct sink *sink);
};

struct adapter {
    const char *const *schemes; /* ends with NULL */
    const char *address;        /* what the address looks like, for help: "HOST:PORT" */
    const char *source_summary; /* one line each, NULL where there is no such direction */
    const char *sink_summary;
    const struct source_ops *source;
    const struct sink_ops *sink;
    const struct option_spec *source_options; /* beside the common ones; may be NULL */
    const struct option_spec *sink_options;
    /* Does what a sink sends to one place come in again by a source on the other? NULL: it does not. */
    bool (*loops)(const struct place *source, const struct place *sink);
};

/* For `loops`: the same scheme and the same address. */
bool place_is_same(const struct place *source, const struct place *sink);

extern const struct adapter file_adapter;
extern const struct adapter framestream_adapter;
extern const struct adapter nmsg_adapter;
extern const struct adapter nng_adapter;
extern const struct adapter http_adapter;
extern const struct adapter kafka_adapter;

/* All adapters, ending with NULL; and the one that knows the scheme, or NULL. */
extern const struct adapter *const adapters[];
const struct adapter *adapter_find(const char *scheme, size_t len);

#endif
