/* A clock that was ahead, and is set back: files go on being rotated. */
#include <dirent.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "endpoint.h"
#include "harness.h"

static _Atomic int64_t ahead; /* seconds that the wall clock is wrong by */

int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    int res = __real_clock_gettime(clock, now);
    if (clock == CLOCK_REALTIME)
        now->tv_sec += ahead;
    return res;
}

static unsigned count_files(const char *folder)
{
    unsigned count = 0;
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

static void write_one(const struct sink_ops *ops, struct sink *sink)
{
    static const uint8_t octets[] = {0, 0, 0, 1, 'x'};
    struct account account = {0};
    struct batch *batch = batch_alloc(sizeof octets);
    memcpy(batch + 1, octets, sizeof octets);
    account_received(&account, 1);
    const struct parcel parcel = {.batch = batch, .data = batch->data, .len = sizeof octets, .count = 1, .account = &account};
    ops->write(sink, &parcel);
    assert_int_equal(account_read(&account).delivered, 1);
    batch_unref(batch);
}

static void a_file_of_the_future_is_ended(void **state)
{
    (void)state;
    char folder[] = "/tmp/dnstap-bridge-clock-XXXXXX", url[200], command[200];
    assert_non_null(mkdtemp(folder));
    snprintf(url, sizeof url, "%s/dns.fstrm#rotate-every=1h", folder);
    struct endpoint e;
    struct error error = {{0}};
    const struct sink_host host = {.hop = "h"};
    ahead = 10 * 365 * 24 * 3600; /* a machine that starts in 2036, before it hears of the time */
    assert_true(endpoint_parse(&e, DIRECTION_SINK, url, &error));
    const struct sink_ops *ops = e.adapter->sink;
    struct sink *sink = ops->open(&e.place, &host, &error);
    assert_non_null(sink);
    write_one(ops, sink);
    write_one(ops, sink);
    assert_int_equal(count_files(folder), 1);
    ahead = 0;
    write_one(ops, sink); /* begins the file of this hour */
    assert_int_equal(count_files(folder), 2);
    ahead = -5; /* a small step back is not worth a file */
    write_one(ops, sink);
    assert_int_equal(count_files(folder), 2);
    ops->finish(sink);
    ops->free(sink);
    endpoint_free(&e);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_of_the_future_is_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
