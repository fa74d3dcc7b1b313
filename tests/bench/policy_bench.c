/* policy_bench FILE [LOOPS [ROUNDS]]: what each step of a policy costs, in nanoseconds of processor
 * time per message of the file: batches go through policy_run, and what passes is counted. The
 * first line is the same without a policy; each number is the median of the rounds, which take
 * turns. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "capture.h"
#include "policy/policy.h"

static const struct {
    const char *name, *text;
} cases[] = {
    {"no policy", NULL},
    {"keep type", "- keep: { type: [CLIENT_QUERY, CLIENT_RESPONSE, AUTH_QUERY, AUTH_RESPONSE, "
                  "RESOLVER_RESPONSE] }"},
    {"drop client", "- drop: { client: [10.0.0.0/8, 192.168.0.0/16, \"2001:db8::/32\"] }"},
    {"keep qname",
     "- keep: { qname: [\"*.example\", \"*.com\", \"*.test\", www.example.org, \"*.arpa\"] }"},
    {"keep qname, 1,000,000 names", "- drop: { qname: \"file:%s\" }"},
    {"drop rcode", "- drop: { rcode: [SERVFAIL, BADVERS] }"},
    {"sample", "- sample: { one-in: 10 }"},
    {"limit", "- limit: { rate: 1000000/s }"},
    {"anonymise client: prefix", "- anonymise: { client: prefix }"},
    {"anonymise client: crypto-pan",
     "- anonymise: { client: crypto-pan, key: "
     "000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f }"},
    {"anonymise client: pseudonym",
     "- anonymise: { client: pseudonym, key: "
     "000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f }"},
    {"anonymise qname: registered", "- anonymise: { qname: registered }"},
    {"dedupe", "- dedupe: { window: 1s, memory: 64MiB }"},
    {"validate", "- validate: { bailiwick: answers }"},
};
enum { CASES = sizeof cases / sizeof cases[0], BATCHES = 4096, ROUNDS_MAX = 99 };

static uint64_t passed;

static void pass(void *arg, struct batch *batch, struct account *account)
{
    (void)arg;
    (void)account;
    passed += batch->count;
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static char names_path[] = "/tmp/policy-bench-XXXXXX";

static void write_names(void)
{
    int fd = mkstemp(names_path);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    for (int i = 0; file && i < 1000000; i++)
        fprintf(file, "%shost-%d.domain-%d.invalid\n", i % 3 ? "" : "*.", i, i % 1000);
    if (file)
        fclose(file);
}

static struct policy *make(const char *text)
{
    char path[] = "/tmp/policy-bench-XXXXXX";
    struct plan plan = {0};
    struct error error = {{0}};
    FILE *file = fdopen(mkstemp(path), "w");
    if (!file)
        return NULL;
    fprintf(file, text, names_path);
    fclose(file);
    struct policy *policy = plan_read_file(&plan, path, &error) ? policy_new(&plan, &error) : NULL;
    if (!policy)
        fprintf(stderr, "%s\n", error.text);
    else
        policy_connect(policy, &(struct policy_exits){.pass = pass});
    unlink(path);
    return policy;
}

static unsigned load(const char *path, struct batch **batches, unsigned *messages)
{
    static struct buffer file;
    struct frame frame;
    unsigned count = 0;
    struct batch_builder *builder = batch_builder_new();
    if (!capture_load(path, &file))
        return 0;
    struct reader r = reader_over(file.data, file.len);
    while (capture_next(&r, &frame) && count < BATCHES - 1) {
        size_t have;
        uint8_t *space = batch_builder_space(builder, frame.len + FRAME_HEADER, &have);
        if (!space) {
            batches[count++] = batch_builder_seal(builder);
            space = batch_builder_space(builder, frame.len + FRAME_HEADER, &have);
        }
        store_be32(space, frame.len);
        memcpy(space + FRAME_HEADER, frame.data, frame.len);
        batch_builder_commit(builder, frame.len + FRAME_HEADER, 1);
        ++*messages;
    }
    batches[count++] = batch_builder_seal(builder);
    return count;
}

static double run(struct policy *policy, struct batch *const *batches, unsigned count,
                  unsigned loops)
{
    static struct account account;
    double before = seconds();
    for (unsigned i = 0; i < loops; i++) {
        for (unsigned k = 0; k < count; k++) {
            if (policy)
                policy_run(policy, batches[k], &account);
            else
                pass(NULL, batches[k], &account);
        }
    }
    if (policy)
        policy_tick(policy, true);
    return seconds() - before;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    static struct batch *batches[BATCHES];
    static double times[CASES][ROUNDS_MAX];
    struct policy *policies[CASES] = {NULL};
    unsigned messages = 0, loops = argc > 2 ? (unsigned)atoi(argv[2]) : 10,
             rounds = argc > 3 ? (unsigned)atoi(argv[3]) : 5;
    unsigned count = argc > 1 ? load(argv[1], batches, &messages) : 0;
    if (count == 0 || rounds < 1 || rounds > ROUNDS_MAX) {
        fprintf(stderr, "policy_bench FILE [LOOPS [ROUNDS]]\n");
        return 2;
    }
    write_names();
    for (int i = 0; i < CASES; i++) {
        if (cases[i].text && !(policies[i] = make(cases[i].text)))
            return 2;
    }
    unlink(names_path);
    for (unsigned r = 0; r < rounds; r++) {
        for (int i = 0; i < CASES; i++)
            times[i][r] =
                run(policies[i], batches, count, loops) * 1e9 / ((double)messages * loops);
    }
    for (int i = 0; i < CASES; i++) {
        qsort(times[i], rounds, sizeof times[i][0], compare);
        printf("%-32s %8.1f ns a message\n", cases[i].name, times[i][rounds / 2]);
        policy_free(policies[i]);
    }
    for (unsigned k = 0; k < count; k++)
        batch_unref(batches[k]);
    return passed > 0 ? 0 : 1;
}
