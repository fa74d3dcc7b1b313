#include "dns.h"

#include "../reader.h"

enum {
    HEADER_LEN = 12,
    FIXED_LEN = 10, /* type, class, TTL and length, between a record's name and RDATA */
    LABEL_KIND = 0xc0, /* the two bits that say what a length octet is */
    LABEL_PLAIN = 0x00,
    LABEL_POINTER = 0xc0, /* the other 14 bits are an offset */
};

/* Follows the pointers at `labels->at`, if any, to a plain label or the root. */
static bool follow_pointers(struct dns_labels *labels)
{
    while (labels->at < labels->limit &&
           (labels->message[labels->at] & LABEL_KIND) == LABEL_POINTER) {
        if (labels->limit - labels->at < 2)
            return false;
        const uint8_t *pointer = labels->message + labels->at;
        uint32_t target = (uint32_t)(pointer[0] & 0x3f) << 8 | pointer[1];
        if (labels->pointers == 0)
            labels->after = labels->at + 2;
        if (++labels->pointers > DNS_POINTERS_MAX)
            return false;
        labels->at = target;
    }
    return labels->at < labels->limit;
}

/* Inline here, so that a loop over a name keeps all of it in registers. */
static inline bool labels_next(struct dns_labels *labels, struct octets *label)
{
    if (labels->done || labels->at >= labels->limit)
        return false;
    if (labels->message[labels->at] >= LABEL_POINTER && !follow_pointers(labels))
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

bool dns_labels_next(struct dns_labels *labels, struct octets *label)
{
    return labels_next(labels, label);
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

    while (labels_next(&labels, &label))
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

/* Of the first `len` of eight octets in a word, the first in the lowest bits: do all stand for themselves?
 * The top bit of each octet of `plain` says so: it is ASCII, no less than '-', and none of those that differ
 * from all others in that x ^ c is 0, which alone does not carry into the top bit when 0x7f is added. No for
 * a few that could be yes, such as '+': those go the slow way. */
static bool all_plain(uint64_t x, uint32_t len)
{
    const uint64_t each = 0x0101010101010101;
    uint64_t plain = ~x & (x + each * (0x80 - '-')) & ((x ^ each * '.') + each * 0x7f) &
                     ((x ^ each * ';') + each * 0x7f) & ((x ^ each * '@') + each * 0x7f) &
                     ((x ^ each * '\\') + each * 0x7f) & ((x ^ each * 0x7f) + each * 0x7f);
    uint64_t special = ~plain & each * 0x80;
    return (len < 8 ? special << (64 - 8 * len) : special) == 0;
}

/* Copies what is plain of a label, eight octets at a time while the message has so many; how much. Up to
 * WORD - 1 octets behind it are written, too. */
enum { WORD = 8 };
static uint32_t copy_plain(uint8_t *to, struct octets label, const uint8_t *end)
{
    uint32_t done = 0;
    while (done < label.len && end - label.data - done >= WORD) {
        uint64_t word = load_le64(label.data + done);
        if (!all_plain(word, label.len - done))
            break;
        memcpy(to + done, label.data + done, WORD);
        done += WORD;
    }
    return done < label.len ? done : label.len;
}

static uint8_t *write_escaped(uint8_t *to, struct octets label, bool *escaped)
{
    for (uint32_t i = 0; i < label.len; i++) {
        uint8_t octet = label.data[i];
        enum escape escape = escape_of(octet);
        *escaped |= escape != PLAIN;
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
    return to;
}

/* Writes a label and its dot; `to` has room for four characters an octet, the dot and a word. `end` is that
 * of the message. */
static inline uint8_t *write_label(uint8_t *to, struct octets label, const uint8_t *end, bool *escaped)
{
    uint32_t plain = copy_plain(to, label, end);
    to += plain;
    if (plain < label.len)
        to = write_escaped(to, (struct octets){label.data + plain, label.len - plain}, escaped);
    *to++ = '.';
    return to;
}

enum dns_name_text dns_name_write(struct dns_name name, struct buffer *out)
{
    struct dns_labels labels = dns_labels_of(name);
    struct octets label;
    bool escaped = false;
    uint8_t *start = buffer_room(out, DNS_NAME_TEXT_MAX + WORD);
    if (!start)
        return DNS_NAME_BROKEN;

    uint8_t *to = start;
    while (labels_next(&labels, &label))
        to = write_label(to, label, name.message + name.limit, &escaped);
    if (!labels.done)
        return DNS_NAME_BROKEN;
    if (to == start)
        *to++ = '.';
    buffer_grow_to(out, to);
    return escaped ? DNS_NAME_ESCAPED : DNS_NAME_PLAIN;
}

bool dns_name_put(struct dns_name name, struct buffer *out)
{
    return dns_name_write(name, out) != DNS_NAME_BROKEN;
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
    bool plain = walk->at < walk->message.len && pass_plain(walk->message.data, walk->message.len, &walk->at);
    if (!plain && !dns_name_pass(walk->message.data, walk->message.len, &walk->at))
        return walk_break(walk);
    if (question->name.at == HEADER_LEN)
        walk->question_plain = plain;

    const uint8_t *rest = walk->message.data + walk->at;
    uint32_t left = walk->message.len - walk->at;
    if (left == 1)
        return walk_break(walk);
    question->type = left >= 2 ? load_be16(rest) : 0;
    question->class = left >= 4 ? load_be16(rest + 2) : 0; /* half a class is none */
    walk->at += left < 4 ? left : 4;
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

/* Most owners are a pointer to the first question's name, which was found sound before. */
static bool pass_owner(struct dns_walk *walk)
{
    const uint8_t *at = walk->message.data + walk->at;
    if (walk->question_plain && walk->message.len - walk->at >= 2 && at[0] == LABEL_POINTER &&
        at[1] == HEADER_LEN) {
        walk->at += 2;
        return true;
    }
    return dns_name_pass(walk->message.data, walk->message.len, &walk->at);
}

bool dns_walk_record(struct dns_walk *walk, struct dns_record *record)
{
    if (!find_record(walk))
        return false;
    record->section = walk->section;
    record->owner = (struct dns_name){walk->message.data, walk->at, walk->message.len};
    if (!pass_owner(walk))
        return walk_break(walk);

    const uint8_t *fixed = walk->message.data + walk->at;
    if (walk->message.len - walk->at < FIXED_LEN)
        return walk_break(walk);
    record->type = load_be16(fixed);
    record->class = load_be16(fixed + 2);
    record->ttl = load_be32(fixed + 4);
    record->rdata_len = load_be16(fixed + 8);
    record->rdata = walk->at + FIXED_LEN;
    if (walk->message.len - record->rdata < record->rdata_len)
        return walk_break(walk);
    walk->at = record->rdata + record->rdata_len;
    walk->left--;
    return true;
}
