/* Any octets as a message, through every step of a policy: what comes out can be read, every
 * message is accounted for, and a client that was to be left out is. A DNS message that could be read still
 * can, and anonymising makes it no longer, unless names are written anew. The first two octets choose the
 * policy: one of the list, or anonymise with each setting beside each other one. */
#include <stdio.h>
#include <unistd.h>

#include "fuzz.h"
#include "policy/policy.h"
#include "scan/dns_check.h"

static const char *const texts[] = {
    "- keep: { qname: [\"*.example\", \"*.com\", \"*\"], rcode: [NOERROR, NXDOMAIN, BADVERS, "
    "REFUSED, FORMERR] }\n",
    "- drop: { client: [10.0.0.0/8, \"2001:db8::/32\"], bailiwick: \"*.org\", rejects: other }\n- "
    "sample: { one-in: 2 }\n",
    "- anonymise: { client: remove, ports: remove, identity: remove }\n- validate: { rejects: "
    "other }\n",
    "- anonymise: { client: prefix, subnet: prefix, ipv4: 20, ipv6: 33, qname: registered }\n",
    "- anonymise: { client: crypto-pan, server: pseudonym, key: "
    "000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f }\n",
    "- validate: { rejects: other }\n- dedupe: { memory: 1MiB, rejects: other }\n- limit: { rate: "
    "1000000/s }\n",
    "- dedupe: { key: [client, server, identity, protocol, qname, answers], memory: 1MiB }\n",
};
enum { LISTED = sizeof texts / sizeof texts[0], REMOVES = 2, LISTED_REGISTERED = 3 };
static const char *const clients[] = {"keep", "prefix",
                                      "crypto-pan, key: 000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f"};
static const char *const subnets[] = {"keep", "prefix", "remove"};
static const char *const switches[] = {"cookies", "padding", "options", "signatures"};
enum {
    REGISTERED = 1 << 4, /* above the switches */
    MADE = (REGISTERED << 1) * 9,
    POLICIES = LISTED + MADE,
};

static struct policy *policies[POLICIES];
static uint64_t passed, rejected;
static size_t chosen;
static struct dnstap_view given; /* the message before the policy */

static bool cuts_names(void)
{
    return chosen == LISTED_REGISTERED || (chosen >= LISTED && (chosen - LISTED) & REGISTERED);
}

static void check_dns(struct octets before, struct octets after)
{
    must(cuts_names() || after.len <= before.len);
    must(after.len == 0 || !dns_message_ok(before) || dns_message_ok(after));
}

static void check(struct batch *batch)
{
    struct reader r = reader_over(batch->data, batch->len);
    struct frame frame;
    struct dnstap_view view;
    while (frame_next(&r, &frame)) {
        must(dnstap_scan(frame, &view));
        must(chosen != REMOVES ||
             !(view.has & (DNSTAP_HAS_QUERY_ADDRESS | DNSTAP_HAS_QUERY_PORT | DNSTAP_HAS_EXTRA)));
        check_dns(given.query_message, view.query_message);
        check_dns(given.response_message, view.response_message);
    }
    must(!r.bad);
}

static void pass(void *arg, struct batch *batch, struct account *account)
{
    (void)arg;
    check(batch);
    passed += batch->count;
    account_settle(account, OUTCOME_DELIVERED, batch->count);
}

static bool reject(void *arg, unsigned nth, struct batch *batch, struct account *account)
{
    (void)account;
    (void)arg;
    must(nth == 0);
    check(batch);
    rejected += batch->count;
    return true;
}

/* The nth of anonymise's settings. */
static const char *anonymise_text(size_t n, char *text, size_t size)
{
    size_t used = (size_t)snprintf(text, size, "- anonymise: { ports: remove, qname: %s, client: %s, subnet: %s",
                                   n & REGISTERED ? "registered" : "keep", clients[n / (REGISTERED << 1) % 3],
                                   subnets[n / (REGISTERED << 1) / 3]);
    for (unsigned i = 0; i < sizeof switches / sizeof switches[0]; i++)
        used += (size_t)snprintf(text + used, size - used, ", %s: %s", switches[i],
                                 n >> i & 1 ? "keep" : "remove");
    snprintf(text + used, size - used, " }\n");
    return text;
}

static struct policy *make(const char *text)
{
    char path[] = "/tmp/fuzz-policy-XXXXXX";
    struct plan plan = {0};
    struct error error = {{0}};
    int fd = mkstemp(path);
    must(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
    must(plan_read_file(&plan, path, &error));
    unlink(path);
    struct policy *policy = policy_new(&plan, &error);
    if (!policy)
        fprintf(stderr, "%s\n", error.text);
    must(policy != NULL);
    policy_connect(policy, &(struct policy_exits){.pass = pass, .reject = reject});
    return policy;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct account account;
    char text[400];
    if (size < 3)
        return 0;
    chosen = ((size_t)data[0] << 8 | data[1]) % POLICIES;
    data++;
    size--;
    struct policy **policy = &policies[chosen];
    if (!*policy)
        *policy = make(chosen < LISTED ? texts[chosen] : anonymise_text(chosen - LISTED, text, sizeof text));
    dnstap_scan((struct frame){data + 1, (uint32_t)size - 1}, &given);
    struct batch *batch = batch_alloc((uint32_t)(size - 1 + FRAME_HEADER));
    uint8_t *at = (uint8_t *)(batch + 1);
    batch->count = 1;
    store_be32(at, (uint32_t)size - 1);
    memcpy(at + FRAME_HEADER, data + 1, size - 1);
    for (int times = 0; times < 2; times++) {
        account_received(&account, 1);
        policy_run(*policy, batch, &account);
    }
    batch_unref(batch);
    policy_tick(*policy, true);
    struct tally t = account_read(&account);
    must(t.in_flight == 0 && t.delivered == passed && t.rejected == rejected && t.failed == 0);
    return 0;
}
