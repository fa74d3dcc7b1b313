#include "dns.h"

#include "../reader.h"

enum {
    HEADER_LEN = 12,
    LABEL_KIND = 0xc0, /* the two bits that say what a length octet is */
    LABEL_PLAIN = 0x00,
    LABEL_POINTER = 0xc0, /* the other 14 bits are an offset */
};

static struct reader reader_at(const uint8_t *message, uint32_t limit, uint32_t at)
{
    struct reader r = reader_over(message, limit);
    reader_take(&r, at);
    return r;
}

/* Follows the pointers at `labels->at`, if any, to a plain label or the root. */
static bool follow_pointers(struct dns_labels *labels)
{
    while (labels->at < labels->limit &&
           (labels->message[labels->at] & LABEL_KIND) == LABEL_POINTER) {
        struct reader r = reader_at(labels->message, labels->limit, labels->at);
        uint16_t target = reader_be16(&r) & 0x3fff;
        if (r.bad)
            return false;
        if (labels->pointers == 0)
            labels->after = labels->at + 2;
        if (++labels->pointers > DNS_POINTERS_MAX)
            return false;
        labels->at = target;
    }
    return labels->at < labels->limit;
}

bool dns_labels_next(struct dns_labels *labels, struct octets *label)
{
    if (labels->done || !follow_pointers(labels))
        return false;
    uint32_t len = labels->message[labels->at];
    if (len == 0) {
        labels->done = true;
        if (labels->pointers == 0)
            labels->after = labels->at + 1;
        return false;
    }
    if ((len & LABEL_KIND) != LABEL_PLAIN || len >= labels->limit - labels->at)
        return false;
    labels->octets += len + 1;
    if (labels->octets >= DNS_NAME_WIRE_MAX)
        return false;
    *label = (struct octets){.data = labels->message + labels->at + 1, .len = len};
    labels->at += len + 1;
    return true;
}

/* Moves behind a sound name without pointers, which most are. False, and `*at` stays, for any other. */
static bool pass_plain(const uint8_t *message, uint32_t limit, uint32_t *at)
{
    uint32_t here = *at;
    uint32_t most = limit - here < DNS_NAME_WIRE_MAX ? limit : here + DNS_NAME_WIRE_MAX;
    while (here < most) {
        uint32_t len = message[here];
        here += len + 1;
        if (len == 0) {
            *at = here;
            return true;
        }
        if (len & LABEL_KIND)
            return false;
    }
    return false;
}

bool dns_name_pass(const uint8_t *message, uint32_t limit, uint32_t *at)
{
    if (*at < limit && pass_plain(message, limit, at))
        return true;
    struct dns_labels labels =
        dns_labels_of((struct dns_name){.message = message, .at = *at, .limit = limit});
    struct octets label;

    while (dns_labels_next(&labels, &label))
        ;
    if (labels.done)
        *at = labels.after;
    return labels.done;
}

/* How an octet of a label is written: as it is, behind a backslash, or in decimal. */
enum escape { PLAIN, BACKSLASH, DECIMAL };

static enum escape escape_of(uint8_t octet)
{
    static const uint8_t special[128] = {
        ['.'] = 1, [' '] = 1, ['\''] = 1, ['@'] = 1,  [';'] = 1,
        ['('] = 1, [')'] = 1, ['"'] = 1,  ['\\'] = 1,
    };
    if (octet < ' ' || octet > '~')
        return DECIMAL;
    return special[octet] ? BACKSLASH : PLAIN;
}

/* Letters, digits, hyphen and underscore: nearly all there is in names. */
static const bool is_plain[256] = {
    ['-'] = 1, ['_'] = 1, ['0'] = 1, ['1'] = 1, ['2'] = 1, ['3'] = 1, ['4'] = 1, ['5'] = 1, ['6'] = 1,
    ['7'] = 1, ['8'] = 1, ['9'] = 1, ['A'] = 1, ['B'] = 1, ['C'] = 1, ['D'] = 1, ['E'] = 1, ['F'] = 1,
    ['G'] = 1, ['H'] = 1, ['I'] = 1, ['J'] = 1, ['K'] = 1, ['L'] = 1, ['M'] = 1, ['N'] = 1, ['O'] = 1,
    ['P'] = 1, ['Q'] = 1, ['R'] = 1, ['S'] = 1, ['T'] = 1, ['U'] = 1, ['V'] = 1, ['W'] = 1, ['X'] = 1,
    ['Y'] = 1, ['Z'] = 1, ['a'] = 1, ['b'] = 1, ['c'] = 1, ['d'] = 1, ['e'] = 1, ['f'] = 1, ['g'] = 1,
    ['h'] = 1, ['i'] = 1, ['j'] = 1, ['k'] = 1, ['l'] = 1, ['m'] = 1, ['n'] = 1, ['o'] = 1, ['p'] = 1,
    ['q'] = 1, ['r'] = 1, ['s'] = 1, ['t'] = 1, ['u'] = 1, ['v'] = 1, ['w'] = 1, ['x'] = 1, ['y'] = 1,
    ['z'] = 1,
};

/* Writes a label and its dot; `to` has room for four characters an octet and the dot. */
static uint8_t *write_label(uint8_t *to, struct octets label)
{
    uint32_t plain = 0;
    while (plain < label.len && is_plain[label.data[plain]])
        plain++;
    memcpy(to, label.data, plain);
    to += plain;
    for (uint32_t i = plain; i < label.len; i++) {
        uint8_t octet = label.data[i];
        enum escape escape = escape_of(octet);
        if (escape != PLAIN)
            *to++ = '\\';
        if (escape == DECIMAL) {
            *to++ = (uint8_t)('0' + octet / 100);
            *to++ = (uint8_t)('0' + octet / 10 % 10);
            *to++ = (uint8_t)('0' + octet % 10);
        } else {
            *to++ = octet;
        }
    }
    *to++ = '.';
    return to;
}

bool dns_name_put(struct dns_name name, struct buffer *out)
{
    struct dns_labels labels = dns_labels_of(name);
    struct octets label;
    uint8_t *start = out->data + out->len;
    if (out->cap - out->len < DNS_NAME_TEXT_MAX && !(start = buffer_reserve(out, DNS_NAME_TEXT_MAX)))
        return false;

    uint8_t *to = start;
    while (dns_labels_next(&labels, &label))
        to = write_label(to, label);
    if (!labels.done)
        return false;
    if (to == start)
        *to++ = '.';
    out->len += (size_t)(to - start);
    return true;
}

bool dns_walk_begin(struct dns_walk *walk, struct octets message)
{
    struct reader r = reader_over(message.data, message.len);

    *walk = (struct dns_walk){.message = message, .at = HEADER_LEN, .section = DNS_QUESTION};
    walk->header.id = reader_be16(&r);
    walk->header.flags = reader_be16(&r);
    for (int i = 0; i < DNS_SECTIONS; i++)
        walk->header.count[i] = reader_be16(&r);
    walk->bad = r.bad;
    if (reader_left(&r) > 0)
        walk->left = walk->header.count[DNS_QUESTION];
    return !walk->bad;
}

static bool walk_break(struct dns_walk *walk)
{
    walk->bad = true;
    return false;
}

bool dns_walk_question(struct dns_walk *walk, struct dns_question *question)
{
    if (walk->bad || walk->section != DNS_QUESTION || walk->left == 0)
        return false;
    question->name = (struct dns_name){walk->message.data, walk->at, walk->message.len};
    if (!dns_name_pass(walk->message.data, walk->message.len, &walk->at))
        return walk_break(walk);

    struct reader r = reader_at(walk->message.data, walk->message.len, walk->at);
    question->type = 0;
    question->class = 0;
    if (reader_left(&r) == 1)
        return walk_break(walk);
    if (reader_left(&r) > 0)
        question->type = reader_be16(&r);
    if (reader_left(&r) == 1)
        reader_u8(&r); /* half a class is none */
    else if (reader_left(&r) > 0)
        question->class = reader_be16(&r);
    walk->at = walk->message.len - (uint32_t)reader_left(&r);
    walk->left--;
    return true;
}

/* Moves to a section that has something left, past what is left of the questions. False when the
 * message is over. */
static bool find_record(struct dns_walk *walk)
{
    struct dns_question question;

    while (dns_walk_question(walk, &question))
        ;
    while (!walk->bad && walk->left == 0 && walk->section != DNS_ADDITIONAL)
        walk->left = walk->header.count[++walk->section];
    return !walk->bad && walk->left > 0 && walk->at < walk->message.len;
}

bool dns_walk_record(struct dns_walk *walk, struct dns_record *record)
{
    if (!find_record(walk))
        return false;
    record->section = walk->section;
    record->owner = (struct dns_name){walk->message.data, walk->at, walk->message.len};
    if (!dns_name_pass(walk->message.data, walk->message.len, &walk->at))
        return walk_break(walk);

    struct reader r = reader_at(walk->message.data, walk->message.len, walk->at);
    record->type = reader_be16(&r);
    record->class = reader_be16(&r);
    record->ttl = reader_be32(&r);
    record->rdata_len = reader_be16(&r);
    record->rdata = walk->message.len - (uint32_t)reader_left(&r);
    reader_take(&r, record->rdata_len);
    if (r.bad)
        return walk_break(walk);
    walk->at = walk->message.len - (uint32_t)reader_left(&r);
    walk->left--;
    return true;
}
