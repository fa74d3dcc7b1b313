/* What the two ends of a link write, against a plain list of all messages that says what came:
 * random streams with drops, repetitions and late batches, through the real sender, receiver, files
 * and comparison. */
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "harness.h"
#include "json.h"
#include "noise.h"
#include "receipt/interval.h"
#include "receipt/receiver.h"
#include "receipt/report.h"
#include "receipt/sender.h"
#include "receipt/tail.h"

enum { BATCHES = 400, MESSAGES_MAX = BATCHES * 200 };

static char folder[] = "/tmp/dnstap-receipts-XXXXXX";

static const char *path_of(const char *name)
{
    static char paths[4][128];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static int make_folder(void **state)
{
    struct error error;
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    return receipt_key_make(path_of("key"), &error) ? 0 : -1;
}

static int remove_folder(void **state)
{
    static const char *const names[] = {"key", "key.pub", "a", "b"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unlink(path_of(names[i]));
    return rmdir(folder);
}

static const struct option_spec specs[] = {RECEIPT_OPTIONS, {0}};

/* One end: its options, and the place that they belong to. */
struct end {
    struct options options;
    struct place place;
};

static void end_init(struct end *end, const char *file)
{
    const struct option_spec *tables[OPTION_TABLES] = {specs};
    char text[400];
    struct error error;
    snprintf(text, sizeof text, "receipts=%s,receipts-key=%s,receipts-every=24h", path_of(file),
             path_of("key"));
    assert_true(options_parse(&end->options, tables, text, &error));
    end->place = (struct place){.url = "test:", .options = &end->options};
}

static struct receipt_sender *open_sender(struct end *end, const struct sink_host *host)
{
    struct receipt_sender *sender;
    struct error error = {{0}};
    end_init(end, "a");
    assert_true(receipt_sender_open(&sender, &end->place, host, "t", &error));
    return sender;
}

static struct receipt_receiver *open_receiver(struct end *end)
{
    struct receipt_receiver *receiver;
    struct error error = {{0}};
    end_init(end, "b");
    assert_true(receipt_receiver_open(&receiver, &end->place, &error));
    return receiver;
}

struct batch_made {
    struct envelope envelope;
    struct buffer frames;
};

/* What the link did to each message, for the slow reference. */
struct link_made {
    struct postmark postmark;
    struct batch_made batches[BATCHES];
    uint8_t came[MESSAGES_MAX];
    uint8_t broken[MESSAGES_MAX];
};

static void put_frame(struct buffer *frames, uint64_t number, uint64_t *noise)
{
    uint8_t header[4];
    uint32_t len = 8 + noise_below(noise, 60);
    uint8_t body[80];
    memset(body, (int)(number & 0xff), sizeof body);
    memcpy(body, &number, sizeof number);
    store_be32(header, len);
    buffer_put(frames, header, sizeof header);
    buffer_put(frames, body, len);
}

static const char *policy;

static const char *current_policy(void *arg)
{
    (void)arg;
    return policy;
}

/* A batch sent. The policy changes now and then, which ends an interval. */
static void send(struct link_made *l, struct receipt_sender *sender, unsigned i, uint64_t *noise)
{
    static const char other[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    struct batch_made *b = &l->batches[i];
    uint32_t count = 1 + noise_below(noise, 199);
    if (noise_below(noise, 40) == 0)
        policy = policy ? NULL : other;
    for (uint32_t k = 0; k < count; k++)
        put_frame(&b->frames, l->postmark.sequence + k, noise);
    receipt_sender_stamp(sender, &l->postmark);
    b->envelope = (struct envelope){.sequence = l->postmark.sequence,
                                    .count = count,
                                    .has_interval = true,
                                    .interval = l->postmark.interval,
                                    .has_policy = l->postmark.has_policy};
    memcpy(b->envelope.policy, l->postmark.policy, POLICY_OCTETS);
    const struct hop_ledger self = {.hop = "near", .instance = l->postmark.instance};
    envelope_add_hop(&b->envelope, &self);
    receipt_sender_note(sender, l->postmark.sequence, count, b->frames.data, b->frames.len);
    l->postmark.sequence += count;
}

static void arrive(struct link_made *l, struct receipt_receiver *receiver, unsigned i, bool broken)
{
    const struct batch_made *b = &l->batches[i];
    receipt_receiver_note(receiver, &b->envelope, "t", broken ? NULL : b->frames.data,
                          b->frames.len);
    for (uint32_t k = 0; k < b->envelope.count; k++) {
        uint64_t n = b->envelope.sequence + k;
        if (broken && !l->came[n])
            l->broken[n] = 1;
        if (!broken)
            l->came[n] = 1;
    }
}

static void say_goodbye(struct link_made *l, struct receipt_receiver *receiver)
{
    struct envelope e = {.sequence = l->postmark.sequence,
                         .final = true,
                         .has_interval = true,
                         .interval = l->postmark.interval};
    const struct hop_ledger self = {.hop = "near", .instance = l->postmark.instance};
    envelope_add_hop(&e, &self);
    e.has_policy = l->postmark.has_policy;
    memcpy(e.policy, l->postmark.policy, POLICY_OCTETS);
    receipt_receiver_note(receiver, &e, "t", NULL, 0);
}

static void compare(struct receipt_comparison *found)
{
    struct receipt_reader *a, *b, *bad;
    static struct receipt_links of_a, of_b;
    static char link[LINK_NAME_MAX];
    struct error error = {{0}};
    a = receipt_reader_open(path_of("a"), NULL, &error);
    b = receipt_reader_open(path_of("b"), NULL, &error);
    assert_true(a && b);
    if (!receipt_links_read(&of_a, a, &error) || !receipt_links_read(&of_b, b, &error))
        fail_msg("%s", error.text);
    assert_int_equal(of_a.count, 1);
    assert_true(receipt_links_have(&of_b, of_a.names[0]));
    snprintf(link, sizeof link, "%s", of_a.names[0]);
    if (!receipt_compare(found, link, a, b, &bad, &error))
        fail_msg("%s", error.text);
    receipt_links_free(&of_a);
    receipt_links_free(&of_b);
    receipt_reader_free(a);
    receipt_reader_free(b);
}

static const struct receipt_finding *covering(const struct receipt_comparison *found, uint64_t n,
                                              enum receipt_finding_kind kind)
{
    for (unsigned i = 0; i < found->finding_count; i++) {
        const struct receipt_finding *f = &found->findings[i];
        if (f->kind == kind && f->first <= n && n <= f->last)
            return f;
    }
    return NULL;
}

/* Every single message is judged as the plain list says. */
static void check(const struct link_made *l, const struct receipt_comparison *found)
{
    uint64_t missing = 0, refused = 0;
    for (uint64_t n = 0; n < l->postmark.sequence; n++) {
        missing += !l->came[n] && !l->broken[n];
        refused += !l->came[n] && l->broken[n];
        if (found->more_findings > 0)
            continue;
        assert_true(!l->came[n] ==
                    (covering(found, n, FINDING_MISSING) || covering(found, n, FINDING_REFUSED)));
    }
    assert_int_equal(found->totals[FINDING_MISSING].messages, missing);
    assert_int_equal(found->totals[FINDING_REFUSED].messages, refused);
    assert_int_equal(found->totals[FINDING_DIFFERS].messages, 0);
    assert_int_equal(found->totals[FINDING_POLICY].messages, 0);
    assert_int_equal(found->totals[FINDING_UNSENT].messages, 0);
    assert_int_equal(found->totals[FINDING_UNRECEIVED].messages, 0);
    assert_int_equal(found->sent, l->postmark.sequence);
    assert_int_equal(found->same + found->totals[FINDING_UNCOMPARED].messages + missing + refused,
                     l->postmark.sequence);
}

/* `drop`, `again`, `late`, `bad`: one in so many batches; 0: none. */
static void run(uint64_t seed, uint32_t drop, uint32_t again, uint32_t late, uint32_t bad)
{
    static struct receipt_comparison found;
    struct link_made *l = calloc(1, sizeof *l);
    struct end near = {0}, far = {0};
    const struct sink_host host = {.hop = "near", .policy = current_policy};
    uint64_t noise = seed;
    int held = -1;
    l->postmark.instance = seed;
    struct receipt_sender *sender = open_sender(&near, &host);
    struct receipt_receiver *receiver = open_receiver(&far);
    for (unsigned i = 0; i < BATCHES; i++) {
        send(l, sender, i, &noise);
        bool first = i == 0; /* a receiver judges nothing before it joined */
        if (drop && !first && noise_below(&noise, drop) == 0)
            continue;
        if (late && !first && held < 0 && noise_below(&noise, late) == 0) {
            held = (int)i;
            continue;
        }
        arrive(l, receiver, i, bad && !first && noise_below(&noise, bad) == 0);
        if (held >= 0 && noise_below(&noise, 3) == 0) {
            arrive(l, receiver, (unsigned)held, false);
            held = -1;
        }
        if (again && noise_below(&noise, again) == 0)
            arrive(l, receiver, i - (i > 3 ? noise_below(&noise, 3) : 0), false);
    }
    say_goodbye(l, receiver);
    receipt_sender_free(sender);
    receipt_receiver_free(receiver);
    compare(&found);
    check(l, &found);
    if (!drop && !late && !bad)
        assert_int_equal(receipt_verdict_of(&found), VERDICT_SAME);
    for (unsigned i = 0; i < BATCHES; i++)
        buffer_free(&l->batches[i].frames);
    free(l);
    options_free(&near.options);
    options_free(&far.options);
    unlink(path_of("a"));
    unlink(path_of("b"));
}

static void what_comes_whole_is_the_same(void **state)
{
    (void)state;
    run(7, 0, 0, 0, 0);
    run(8, 0, 9, 0, 0);
}

static void every_lost_message_is_named(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= work_for_build(40) + 2; seed++)
        run(seed, 20, 0, 0, 0);
}

static void late_and_repeated_and_broken_ones_too(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= work_for_build(80) + 4; seed++)
        run(seed * 31, seed % 2 ? 15 : 0, seed % 3 ? 11 : 0, seed % 5 ? 12 : 0, 0);
    for (uint64_t seed = 1; seed <= work_for_build(20) + 2; seed++)
        run(seed * 77, 15, 0, 0, 25);
}

static void more_ranges_than_a_line_holds_are_counted(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++)
        run(seed * 5, 2, 0, 0, 0); /* some 100 ranges an interval */
}

/* --- files larger than a window of the comparison --- */

static void add(struct interval *it, uint64_t first, uint32_t count, const struct buffer *frames)
{
    const uint8_t *data = frames->data;
    assert_int_equal(interval_add(it, first, count, &data, frames->data + frames->len, 1000),
                     count);
    assert_ptr_equal(data, frames->data + frames->len);
}

/* A block of one message, whose digest is of this octet alone. */
static void add_block(struct interval *it, uint64_t number, uint8_t octet)
{
    struct block *block = &it->blocks[it->count++];
    *block = (struct block){.first = number, .last = number};
    memset(block->sha256, octet, sizeof block->sha256);
    it->first = it->messages == 0 ? number : it->first;
    it->last = number;
    it->messages++;
}

enum { FAR_BLOCKS = 70000, DROPPED = 66000, ALTERED = 65537 };

static void append(struct receipt_tail *tail, const struct receipt_key *key,
                   const struct buffer *fields)
{
    struct buffer line = {0};
    receipt_line_write(&tail->chain, key, fields, &line);
    assert_true(receipt_tail_append(tail, &line));
    buffer_free(&line);
}

static void append_interval(struct receipt_tail *tail, const struct receipt_key *key,
                            struct interval *it, bool sender)
{
    struct buffer fields = {0};
    receipt_fields_begin(&fields, "interval", sender);
    json_text(&fields, "link", "l");
    interval_write(it, &fields);
    append(tail, key, &fields);
    buffer_free(&fields);
}

/* One message in each of many blocks. */
static void write_large(const char *path, bool sender)
{
    static struct interval it;
    struct receipt_tail tail;
    struct error error;
    struct buffer fields = {0};
    struct receipt_key *key = receipt_key_read(path_of("key"), &error);
    assert_true(key && receipt_tail_open(&tail, path, true, &error) && interval_init(&it));
    receipt_fields_begin(&fields, "open", sender);
    json_text(&fields, "public_key", receipt_key_public(key));
    json_text(&fields, "after", "nothing");
    append(&tail, key, &fields);
    for (uint64_t i = 0; i < FAR_BLOCKS; i++) {
        if (!sender && i == DROPPED) {
            gaps_add(&it.missing, (struct gap){.from = i, .to = i + 1});
            continue;
        }
        add_block(&it, i, !sender && i == ALTERED ? 2 : 1);
        if (it.count < BLOCKS_MAX)
            continue;
        append_interval(&tail, key, &it, sender);
        interval_begin(&it, 0, it.part + 1);
    }
    append_interval(&tail, key, &it, sender);
    receipt_tail_close(&tail);
    receipt_key_free(key);
    interval_free(&it);
    buffer_free(&fields);
}

static void a_file_of_many_windows_is_compared_to_its_end(void **state)
{
    static struct receipt_comparison found;
    (void)state;
    write_large(path_of("a"), true);
    write_large(path_of("b"), false);
    compare(&found);
    assert_int_equal(found.sent, FAR_BLOCKS);
    assert_int_equal(found.same, FAR_BLOCKS - 2);
    assert_int_equal(found.finding_count, 2);
    assert_non_null(covering(&found, DROPPED, FINDING_MISSING));
    assert_non_null(covering(&found, ALTERED, FINDING_DIFFERS));
    unlink(path_of("a"));
    unlink(path_of("b"));
}

/* --- a disk that takes nothing for a while --- */

static void limit_files(rlim_t octets)
{
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = octets < limit.rlim_max ? octets : limit.rlim_max;
    setrlimit(RLIMIT_FSIZE, &limit);
}

static void put_line(struct receipt_file *file, unsigned part)
{
    static struct interval it;
    struct buffer fields = {0};
    assert_true(interval_init(&it));
    it.part = part;
    receipt_fields_begin(&fields, "interval", true);
    json_text(&fields, "link", "l");
    interval_write(&it, &fields);
    receipt_file_put(file, &fields);
    buffer_free(&fields);
    interval_free(&it);
}

static void lines_wait_for_a_full_disk_up_to_a_bound_and_the_rest_is_told(void **state)
{
    static struct receipt_line line;
    struct error error = {{0}};
    const unsigned count = 2 * RECEIPT_QUEUE_SENDER / 400;
    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    struct receipt_key *key = receipt_key_read(path_of("key"), &error);
    struct receipt_file *file = receipt_file_open(path_of("a"), key, true, "test:", &error);
    assert_non_null(file);
    limit_files(0);
    for (unsigned i = 0; i < count; i++)
        put_line(file, i);
    limit_files(RLIM_INFINITY);
    usleep(100000); /* one that was on its way has failed by now */
    put_line(file,
             count); /* given up, too, for there is no room yet; but what waits is tried again */
    receipt_file_close(file);
    struct receipt_reader *reader = receipt_reader_open(path_of("a"), NULL, &error);
    enum receipt_found found;
    uint64_t lines = 0, next = 0;
    while ((found = receipt_reader_next(reader, NULL, &line, &error)) == RECEIPT_FOUND) {
        if (line.kind != RECEIPT_INTERVAL)
            continue;
        assert_true(line.part == next || line.unwritten == line.part - next);
        next = line.part + 1;
        lines++;
    }
    assert_int_equal(found, RECEIPT_AT_END);
    const struct receipt_facts *facts = receipt_reader_facts(reader);
    assert_true(facts->closed);
    assert_true(lines > 500 && lines < count);
    assert_int_equal(lines + facts->unwritten, count + 1);
    receipt_reader_free(reader);
    unlink(path_of("a"));
}

/* --- one interval --- */

static void blocks_end_at_multiples_and_are_the_same_however_batches_fall(void **state)
{
    static struct interval one, many;
    static struct buffer all, part;
    uint64_t noise = 99;
    (void)state;
    assert_true(interval_init(&one) && interval_init(&many));
    size_t ends[10000];
    for (uint32_t i = 0; i < 10000; i++) {
        put_frame(&all, 3000 + i, &noise);
        ends[i] = all.len;
    }
    add(&one, 3000, 10000, &all);
    for (uint32_t i = 0; i < 10000;) {
        uint32_t n = 1 + noise_below(&noise, 300);
        n = n < 10000 - i ? n : 10000 - i;
        size_t from = i ? ends[i - 1] : 0;
        buffer_clear(&part);
        buffer_put(&part, all.data + from, ends[i + n - 1] - from);
        add(&many, 3000 + i, n, &part);
        i += n;
    }
    struct buffer a = {0}, b = {0};
    interval_write(&one, &a);
    interval_write(&many, &b);
    assert_int_equal(a.len, b.len);
    assert_memory_equal(a.data, b.data, a.len);
    assert_int_equal(one.count, 12999 / BLOCK_MESSAGES - 3000 / BLOCK_MESSAGES + 1);
    assert_int_equal(one.blocks[0].last, 3071);
    assert_int_equal(one.blocks[1].first, 3072);
    assert_int_equal(one.blocks[one.count - 1].last, 12999);
    buffer_free(&a);
    buffer_free(&b);
    buffer_free(&all);
    buffer_free(&part);
    interval_free(&one);
    interval_free(&many);
}

static void a_line_has_an_end(void **state)
{
    static struct interval it;
    static struct buffer frame, out;
    uint64_t noise = 5, at = (uint64_t)1 << 61;
    (void)state;
    assert_true(interval_init(&it));
    put_frame(&frame, 0, &noise);
    const uint8_t *data = frame.data;
    for (unsigned i = 0; i < BLOCKS_MAX; i++, at += 2)
        add(&it, at, 1, &frame);
    assert_int_equal(interval_add(&it, at, 1, &data, frame.data + frame.len, 1), 0);
    for (unsigned i = 0; i < 2 * GAPS_MAX; i++) {
        gaps_add(&it.missing, (struct gap){.from = at + 3 * i, .to = at + 3 * i + 2});
        gaps_add(&it.refused, (struct gap){.from = at + 3 * i, .to = at + 3 * i + 2});
    }
    interval_write(&it, &out);
    buffer_put_char(&out, '\0');
    assert_true(out.len < 80 * 1024 - LINK_NAME_MAX - 1024);
    assert_non_null(strstr((char *)out.data, "\"more_missing\":{\"ranges\":64,\"messages\":128}"));
    buffer_free(&frame);
    buffer_free(&out);
    interval_free(&it);
}

static void numbers_beyond_all_bounds_and_strange_names_harm_nobody(void **state)
{
    static struct receipt_comparison found;
    struct end near = {0}, far = {0};
    struct sink_host host = {.hop = "n\"\\\n\xff"};
    struct buffer frame = {0};
    struct postmark postmark = {.instance = 1};
    uint64_t noise = 1;
    (void)state;
    put_frame(&frame, 0, &noise);
    struct receipt_sender *sender = open_sender(&near, &host);
    struct receipt_receiver *receiver = open_receiver(&far);
    receipt_sender_stamp(sender, &postmark);
    receipt_sender_note(sender, 0, 1, frame.data, frame.len);
    struct envelope e = {.sequence = UINT64_MAX, .count = 1, .has_interval = true};
    struct hop_ledger self = {.instance = 1};
    snprintf(self.hop, sizeof self.hop, "%s", host.hop);
    envelope_add_hop(&e, &self);
    receipt_receiver_note(receiver, &e, "t", frame.data, frame.len);
    e.sequence = 0;
    e.interval = UINT64_MAX;
    receipt_receiver_note(receiver, &e, "t", frame.data, frame.len);
    e.interval = 0;
    receipt_receiver_note(receiver, &e, "t", frame.data, frame.len);
    e.has_interval = false; /* a sender of another program, that numbers no intervals */
    e.sequence = 1;
    e.path[0].instance = 2;
    receipt_receiver_note(receiver, &e, "t", frame.data, frame.len);
    receipt_sender_free(sender);
    receipt_receiver_free(receiver);
    compare(&found);
    assert_int_equal(receipt_verdict_of(&found), VERDICT_SAME);
    assert_int_equal(found.same, 1);
    char *said = NULL;
    size_t len;
    FILE *out = open_memstream(&said, &len);
    receipt_report_details(&found, "A", "B", out);
    receipt_report_link("a\x1b[2J\x7f\xc2\x9b\xc3\xa9", out);
    fclose(out);
    assert_non_null(strstr(said, "  n\"\\?\xef\xbf\xbd:0000000000000001:t\n"));
    assert_non_null(strstr(said, "a?[2J??\xc3\xa9"));
    free(said);
    buffer_free(&frame);
    options_free(&near.options);
    options_free(&far.options);
    unlink(path_of("a"));
    unlink(path_of("b"));
}

/* A partner that changes its policy with each batch does not decide how much we sign and write. */
static void a_partner_that_ends_each_line_at_once_is_bounded(void **state)
{
    struct end far = {0};
    struct buffer frame = {0};
    uint64_t noise = 1, lines = 0;
    const uint64_t batches = 5000;
    static struct receipt_line line;
    struct error error = {{0}};
    enum receipt_found found;
    (void)state;
    put_frame(&frame, 0, &noise);
    struct receipt_receiver *receiver = open_receiver(&far);
    for (uint64_t i = 0; i < batches; i++) {
        struct envelope e = {.sequence = i, .count = 1, .has_interval = true, .has_policy = true, .policy = {(uint8_t)i}};
        const struct hop_ledger self = {.hop = "h", .instance = 1};
        envelope_add_hop(&e, &self);
        receipt_receiver_note(receiver, &e, "t", frame.data, frame.len);
    }
    receipt_receiver_free(receiver);
    struct receipt_reader *b = receipt_reader_open(path_of("b"), NULL, &error);
    assert_non_null(b);
    while ((found = receipt_reader_next(b, NULL, &line, &error)) == RECEIPT_FOUND) {
        assert_int_equal(line.missing.count, 0); /* what got no receipt is not called missing */
        lines++;
    }
    assert_int_equal(found, RECEIPT_AT_END);
    assert_true(lines > 250 && lines < batches / 2); /* 256 at once, and 16 for each second that this took */
    receipt_reader_free(b);
    buffer_free(&frame);
    options_free(&far.options);
    unlink(path_of("b"));
}

static void more_senders_than_are_followed_make_room(void **state)
{
    struct end far = {0};
    struct buffer frame = {0};
    uint64_t noise = 1;
    static struct receipt_links links;
    struct error error = {{0}};
    (void)state;
    put_frame(&frame, 0, &noise);
    struct receipt_receiver *receiver = open_receiver(&far);
    for (uint64_t i = 0; i < RECEIPT_LINKS + 50; i++) {
        struct envelope e = {.count = 1, .has_interval = true};
        const struct hop_ledger self = {.hop = "h", .instance = i};
        envelope_add_hop(&e, &self);
        receipt_receiver_note(receiver, &e, "t", frame.data, frame.len);
    }
    receipt_receiver_free(receiver);
    struct receipt_reader *b = receipt_reader_open(path_of("b"), NULL, &error);
    assert_non_null(b);
    assert_true(receipt_links_read(&links, b, &error));
    assert_int_equal(links.count, RECEIPT_LINKS + 50);
    receipt_links_free(&links);
    receipt_reader_free(b);
    buffer_free(&frame);
    options_free(&far.options);
    unlink(path_of("b"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_comes_whole_is_the_same),
        cmocka_unit_test(every_lost_message_is_named),
        cmocka_unit_test(late_and_repeated_and_broken_ones_too),
        cmocka_unit_test(more_ranges_than_a_line_holds_are_counted),
        cmocka_unit_test(a_file_of_many_windows_is_compared_to_its_end),
        cmocka_unit_test(lines_wait_for_a_full_disk_up_to_a_bound_and_the_rest_is_told),
        cmocka_unit_test(blocks_end_at_multiples_and_are_the_same_however_batches_fall),
        cmocka_unit_test(a_line_has_an_end),
        cmocka_unit_test(numbers_beyond_all_bounds_and_strange_names_harm_nobody),
        cmocka_unit_test(more_senders_than_are_followed_make_room),
        cmocka_unit_test(a_partner_that_ends_each_line_at_once_is_bounded),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
