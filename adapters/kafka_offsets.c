#include "kafka_offsets.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "log.h"
#include "pledge.h"

struct position {
    int32_t partition;
    int64_t next;
};

struct entry {
    struct pledge pledge;
    struct offsets *offsets;
    struct entry *next;
    bool released;
    bool kept;
    unsigned count;
    struct position positions[];
};

struct offsets {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    rd_kafka_t *rk; /* NULL once closed */
    const char *url;
    char *topic;
    bool hold;
    bool stuck; /* something was not settled well: no offset moves any more */
    struct entry *oldest, *newest;

    struct position *noted; /* since the last entry; the source's thread alone */
    unsigned noted_count, noted_cap;
    bool spoiled;
};

struct offsets *offsets_new(rd_kafka_t *rk, const char *url, const char *topic, bool hold)
{
    struct offsets *o = calloc(1, sizeof *o);
    if (!o)
        return NULL;
    o->topic = strdup(topic);
    if (!o->topic) {
        free(o);
        return NULL;
    }
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&o->lock, NULL);
    pthread_cond_init(&o->moved, &monotonic);
    pthread_condattr_destroy(&monotonic);
    o->rk = rk;
    o->url = url;
    o->hold = hold;
    return o;
}

static void offsets_free(struct offsets *o)
{
    pthread_mutex_destroy(&o->lock);
    pthread_cond_destroy(&o->moved);
    free(o->topic);
    free(o->noted);
    free(o);
}

void offsets_close(struct offsets *o)
{
    pthread_mutex_lock(&o->lock);
    o->rk = NULL;
    bool last = !o->oldest;
    pthread_mutex_unlock(&o->lock);
    if (last)
        offsets_free(o);
}

void offsets_note(struct offsets *o, int32_t partition, int64_t next)
{
    for (unsigned i = 0; i < o->noted_count; i++) {
        if (o->noted[i].partition == partition) {
            o->noted[i].next = next;
            return;
        }
    }
    if (o->noted_count == o->noted_cap) {
        unsigned cap = o->noted_cap ? o->noted_cap * 2 : 16;
        struct position *noted = realloc(o->noted, cap * sizeof *noted);
        if (!noted) {
            o->spoiled = true;
            return;
        }
        o->noted = noted;
        o->noted_cap = cap;
    }
    o->noted[o->noted_count++] = (struct position){.partition = partition, .next = next};
}

void offsets_spoil(struct offsets *o)
{
    o->spoiled = true;
}

static void store(struct offsets *o, const struct entry *entry)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)entry->count);
    for (unsigned i = 0; i < entry->count; i++)
        rd_kafka_topic_partition_list_add(list, o->topic, entry->positions[i].partition)->offset =
            entry->positions[i].next;
    /* a partition that was taken from us refuses: its next owner begins where we committed */
    rd_kafka_offsets_store(o->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
}

static void hold_offsets(struct offsets *o)
{
    o->stuck = true;
    log_line(
        LOG_ERROR,
        "source %s: a sink failed or dropped messages, or they could not be delivered in time: the "
        "offsets stay before them, and a restart repeats from there (on-failure=skip goes on)",
        o->url);
}

/* Under the lock: the entries that are through, oldest first. */
static void advance(struct offsets *o)
{
    while (o->oldest && o->oldest->released) {
        struct entry *entry = o->oldest;
        o->oldest = entry->next;
        if (!o->oldest)
            o->newest = NULL;
        if (o->rk && !o->stuck && !entry->kept && o->hold)
            hold_offsets(o);
        if (o->rk && !o->stuck)
            store(o, entry);
        free(entry);
    }
    pthread_cond_broadcast(&o->moved);
}

static void release(struct pledge *pledge)
{
    struct entry *entry = (struct entry *)(void *)pledge; /* its first member */
    struct offsets *o = entry->offsets;
    pthread_mutex_lock(&o->lock);
    entry->released = true;
    entry->kept = entry->kept && pledge_kept(pledge);
    advance(o);
    bool last = !o->rk && !o->oldest;
    pthread_mutex_unlock(&o->lock);
    if (last)
        offsets_free(o);
}

/* Where memory runs out, nothing that follows may move the offsets over what is not watched. */
static void lose_track(struct offsets *o)
{
    pthread_mutex_lock(&o->lock);
    hold_offsets(o);
    pthread_mutex_unlock(&o->lock);
}

struct pledge *offsets_pledge(void *arg)
{
    struct offsets *o = arg;
    struct entry *entry = calloc(1, sizeof *entry + o->noted_count * sizeof entry->positions[0]);
    if (!entry) {
        lose_track(o);
        return NULL;
    }
    pledge_init(&entry->pledge, release);
    entry->offsets = o;
    entry->kept = !o->spoiled;
    entry->count = o->noted_count;
    memcpy(entry->positions, o->noted, o->noted_count * sizeof entry->positions[0]);
    o->noted_count = 0;
    o->spoiled = false;
    pthread_mutex_lock(&o->lock);
    if (o->newest)
        o->newest->next = entry;
    else
        o->oldest = entry;
    o->newest = entry;
    pthread_mutex_unlock(&o->lock);
    return &entry->pledge;
}

void offsets_settle_rest(struct offsets *o)
{
    if (o->noted_count == 0)
        return;
    struct pledge *pledge = offsets_pledge(o);
    pledge_promise(pledge, 0);
    pledge_unref(pledge);
}

bool offsets_wait(struct offsets *o, unsigned timeout_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    pthread_mutex_lock(&o->lock);
    int result = 0;
    while (o->oldest && result == 0)
        result = pthread_cond_timedwait(&o->moved, &o->lock, &until);
    bool all = !o->oldest;
    pthread_mutex_unlock(&o->lock);
    return all;
}
