#include "apart.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

/* Held by the thread that works and by the one that waits; the last frees it. */
struct job {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    void (*work)(void *arg);
    void *arg;
    int holders;
    bool done;
};

static struct job *job_new(void (*work)(void *arg), void *arg)
{
    struct job *job = calloc(1, sizeof *job);
    if (!job)
        return NULL;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&job->lock, NULL);
    pthread_cond_init(&job->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    job->work = work;
    job->arg = arg;
    job->holders = 1;
    return job;
}

/* Under the lock, which it gives back. */
static void let_go(struct job *job)
{
    bool last = --job->holders == 0;
    pthread_mutex_unlock(&job->lock);
    if (!last)
        return;
    pthread_mutex_destroy(&job->lock);
    pthread_cond_destroy(&job->changed);
    free(job);
}

static void *run_job(void *arg)
{
    struct job *job = arg;
    job->work(job->arg);
    pthread_mutex_lock(&job->lock);
    job->done = true;
    pthread_cond_signal(&job->changed);
    let_go(job);
    return NULL;
}

static bool start_thread(struct job *job)
{
    pthread_attr_t attributes;
    pthread_t thread;
    if (pthread_attr_init(&attributes) != 0)
        return false;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    job->holders++; /* before the thread is there */
    bool started = pthread_create(&thread, &attributes, run_job, job) == 0;
    pthread_attr_destroy(&attributes);
    return started;
}

static struct timespec in_ms(int ms)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += ms / 1000;
    at.tv_nsec += ms % 1000 * 1000000L;
    if (at.tv_nsec >= 1000000000L) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000L;
    }
    return at;
}

bool run_apart(void (*work)(void *arg), void *arg, int timeout_ms)
{
    struct job *job = job_new(work, arg);
    if (!job)
        return false;
    struct timespec end = in_ms(timeout_ms);
    bool started = start_thread(job);
    pthread_mutex_lock(&job->lock);
    if (!started)
        job->holders--;
    while (started && !job->done && pthread_cond_timedwait(&job->changed, &job->lock, &end) != ETIMEDOUT)
        ;
    bool done = job->done;
    let_go(job);
    return done;
}
