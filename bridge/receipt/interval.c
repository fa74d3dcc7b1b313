#include "receipt/interval.h"

#include <stdio.h>
#include <time.h>

#include "frame.h"
#include "json.h"

bool interval_init(struct interval *it)
{
    memset(it, 0, sizeof *it);
    it->run = EVP_MD_CTX_new();
    it->look = EVP_MD_CTX_new();
    interval_begin(it, 0, 0);
    if (it->run && it->look)
        return true;
    interval_free(it);
    return false;
}

void interval_free(struct interval *it)
{
    EVP_MD_CTX_free(it->run);
    EVP_MD_CTX_free(it->look);
    it->run = it->look = NULL;
}

void interval_begin(struct interval *it, uint64_t number, uint32_t part)
{
    it->number = number;
    it->part = part;
    it->messages = it->octets = it->duplicates = 0;
    it->first = it->last = 0;
    it->missing = it->refused = (struct gaps){0};
    it->from_ms = it->to_ms = 0;
    it->count = 0;
    it->open = false;
    memcpy(it->running_before, it->running, sizeof it->running);
}

bool interval_is_empty(const struct interval *it)
{
    return it->messages == 0 && it->duplicates == 0 && it->missing.count == 0 &&
           it->missing.forgotten == 0 && it->refused.count == 0;
}

/* The digest so far of the block that is open; it may go on. */
static void look_at_open(struct interval *it)
{
    if (it->open && EVP_MD_CTX_copy_ex(it->look, it->run) == 1)
        EVP_DigestFinal_ex(it->look, it->blocks[it->open_at].sha256, NULL);
}

/* The block that `first` belongs to is the open one. False: it needs another, and there is no room.
 */
static bool open_block(struct interval *it, uint64_t first)
{
    if (it->open && it->blocks[it->open_at].last + 1 == first && first % BLOCK_MESSAGES != 0)
        return true;
    if (it->count == BLOCKS_MAX)
        return false;
    look_at_open(it);
    EVP_DigestInit_ex(it->run, EVP_sha256(), NULL);
    it->open_at = it->count++;
    it->blocks[it->open_at] = (struct block){.first = first, .last = first - 1};
    it->open = true;
    return true;
}

/* Did others come before, whose block is not to be cut in two by these? */
static bool is_late(const struct interval *it, uint64_t first)
{
    return it->open && first <= it->blocks[it->open_at].last;
}

/* A block of its own, beside the open one. */
static bool add_late(struct interval *it, uint64_t first, uint32_t count, const uint8_t *data,
                     size_t len)
{
    if (it->count == BLOCKS_MAX)
        return false;
    struct block *block = &it->blocks[it->count++];
    *block = (struct block){.first = first, .last = first + count - 1};
    EVP_DigestInit_ex(it->look, EVP_sha256(), NULL);
    EVP_DigestUpdate(it->look, data, len);
    EVP_DigestFinal_ex(it->look, block->sha256, NULL);
    return true;
}

static bool add_next(struct interval *it, uint64_t first, uint32_t count, const uint8_t *data,
                     size_t len)
{
    if (!open_block(it, first))
        return false;
    EVP_DigestUpdate(it->run, data, len);
    it->blocks[it->open_at].last += count;
    return true;
}

/* The octets of the first `count` frames. */
static size_t octets_of(const uint8_t *data, size_t len, uint32_t count)
{
    struct reader r = reader_over(data, len);
    struct frame frame;
    while (count > 0 && frame_next(&r, &frame))
        count--;
    return (size_t)(r.at - data);
}

static void count_in(struct interval *it, uint64_t first, uint32_t count, size_t len,
                     int64_t now_ms)
{
    uint64_t last = first + count - 1;
    if (it->messages == 0 || first < it->first)
        it->first = first;
    if (it->messages == 0 || last > it->last)
        it->last = last;
    if (it->from_ms == 0)
        it->from_ms = now_ms;
    it->to_ms = now_ms;
    it->messages += count;
    it->octets += len - (size_t)count * FRAME_HEADER;
}

uint32_t interval_add(struct interval *it, uint64_t first, uint32_t count, const uint8_t **data,
                      const uint8_t *end, int64_t now_ms)
{
    uint32_t taken = 0;
    if (it->shared) {
        count_in(it, first, count, (size_t)(end - *data), now_ms);
        *data = end;
        return count;
    }
    while (taken < count) {
        uint64_t room = BLOCK_MESSAGES - first % BLOCK_MESSAGES;
        uint32_t n = count - taken < room ? count - taken : (uint32_t)room;
        size_t left = (size_t)(end - *data);
        size_t len = n == count - taken ? left : octets_of(*data, left, n);
        bool (*add)(struct interval *, uint64_t, uint32_t, const uint8_t *, size_t) =
            is_late(it, first) ? add_late : add_next;
        if (!add(it, first, n, *data, len))
            break;
        count_in(it, first, n, len, now_ms);
        first += n;
        taken += n;
        *data += len;
    }
    return taken;
}

static void store_be64(uint8_t *p, uint64_t value)
{
    store_be32(p, (uint32_t)(value >> 32));
    store_be32(p + 4, (uint32_t)value);
}

static void run_on(struct interval *it)
{
    EVP_DigestInit_ex(it->look, EVP_sha256(), NULL);
    EVP_DigestUpdate(it->look, it->running_before, sizeof it->running_before);
    for (unsigned i = 0; i < it->count; i++) {
        uint8_t numbers[16];
        store_be64(numbers, it->blocks[i].first);
        store_be64(numbers + 8, it->blocks[i].last);
        EVP_DigestUpdate(it->look, numbers, sizeof numbers);
        EVP_DigestUpdate(it->look, it->blocks[i].sha256, SHA256_OCTETS);
    }
    EVP_DigestFinal_ex(it->look, it->running, NULL);
}

static void write_time(struct buffer *out, const char *name, int64_t ms)
{
    char text[40];
    struct tm utc;
    time_t seconds = (time_t)(ms / 1000);
    gmtime_r(&seconds, &utc);
    size_t len = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(text + len, sizeof text - len, ".%03dZ", (int)(ms % 1000));
    json_text(out, name, text);
}

/* Ranges as [first,last]. What could not be kept is said, not left out. */
static void write_gaps(struct buffer *out, const char *name, const struct gaps *gaps)
{
    json_open(out, name, '[');
    for (unsigned i = 0; i < gaps->count; i++) {
        json_open(out, NULL, '[');
        json_number(out, NULL, gaps->at[i].from);
        json_number(out, NULL, gaps->at[i].to - 1);
        json_close(out, ']');
    }
    json_close(out, ']');
    if (gaps->forgotten == 0)
        return;
    char more[32];
    snprintf(more, sizeof more, "more_%s", name);
    json_open(out, more, '{');
    json_number(out, "ranges", gaps->forgotten);
    json_number(out, "messages", gaps->forgotten_numbers);
    json_close(out, '}');
}

static void write_blocks(struct buffer *out, const struct interval *it)
{
    char hex[SHA256_HEX + 1];
    json_open(out, "blocks", '[');
    for (unsigned i = 0; i < it->count; i++) {
        json_open(out, NULL, '[');
        json_number(out, NULL, it->blocks[i].first);
        json_number(out, NULL, it->blocks[i].last);
        hex_write(it->blocks[i].sha256, SHA256_OCTETS, hex);
        json_text(out, NULL, hex);
        json_close(out, ']');
    }
    json_close(out, ']');
}

void interval_write(struct interval *it, struct buffer *out)
{
    char hex[SHA256_HEX + 1];
    look_at_open(it);
    run_on(it);
    json_number(out, "interval", it->number);
    json_number(out, "part", it->part);
    if (it->messages > 0) {
        json_number(out, "first", it->first);
        json_number(out, "last", it->last);
        write_time(out, "from", it->from_ms);
        write_time(out, "to", it->to_ms);
    }
    json_number(out, "messages", it->messages);
    json_number(out, "octets", it->octets);
    json_number(out, "duplicates", it->duplicates);
    json_bool(out, "shared", it->shared);
    json_number(out, "epoch", it->epoch);
    json_text(out, "policy", it->policy[0] ? it->policy : "none");
    write_gaps(out, "missing", &it->missing);
    write_gaps(out, "refused", &it->refused);
    hex_write(it->running, sizeof it->running, hex);
    json_text(out, "running", hex);
    write_blocks(out, it);
}
