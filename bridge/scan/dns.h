/* A walk through a wire-format DNS message: header, questions, records, section by section, and the
 * names in them, compressed or not.
 *
 *     struct dns_walk walk;
 *     struct dns_question question;
 *     struct dns_record record;
 *     if (!dns_walk_begin(&walk, message))
 *         return;                                   // no header
 *     while (dns_walk_question(&walk, &question))
 *         ...
 *     while (dns_walk_record(&walk, &record))       // answer, authority, additional
 *         ...
 *     if (walk.bad)                                 // it ended early: broken from here on
 *
 * What counts as broken is what the Go library miekg/dns counts, since the tools that people
 * compare with are built on it. Its rules that surprise: records may be missing at the end of a
 * message, so that counts in the header are upper limits; a message that ends after its header is
 * whole; a question may end before its type or class; octets behind the last record are no error.
 * What is inside the RDATA is the business of dns_check.h.
 *
 * All views are borrowed and offsets are into the message. Any thread; no allocation but a buffer's
 * growth. */
#ifndef BRIDGE_SCAN_DNS_H
#define BRIDGE_SCAN_DNS_H

#include <stdbool.h>

#include "../buffer.h"
#include "octets.h"

enum dns_section { DNS_QUESTION, DNS_ANSWER, DNS_AUTHORITY, DNS_ADDITIONAL, DNS_SECTIONS };

enum {
    DNS_NAME_WIRE_MAX = 255,  /* octets of a name, with the root's */
    DNS_NAME_TEXT_MAX = 1016, /* characters of a name in presentation form, if all are escaped */
    DNS_POINTERS_MAX = 126,   /* compression pointers in one name */
};

/* A name at `at`. Its labels, wherever compression takes it, end before `limit`. */
struct dns_name {
    const uint8_t *message;
    uint32_t at;
    uint32_t limit;
};

struct dns_header {
    uint16_t id;
    uint16_t flags; /* as on the wire: QR, opcode, AA, TC, RD, RA, Z, AD, CD, rcode */
    uint16_t count[DNS_SECTIONS];
};

struct dns_question {
    struct dns_name name;
    uint16_t type;  /* 0 where the message ends before it */
    uint16_t class; /* likewise */
};

struct dns_record {
    enum dns_section section;
    struct dns_name owner;
    uint16_t type;
    uint16_t class;
    uint32_t ttl;
    uint32_t rdata; /* where it begins */
    uint16_t rdata_len;
};

/* Labels of one name, one after the other. */
struct dns_labels {
    const uint8_t *message;
    uint32_t limit;
    uint32_t at;
    uint32_t after;    /* where the name ends in the place where it began; once `done` */
    uint32_t pointers; /* followed so far */
    uint32_t octets;   /* of labels so far, with their lengths */
    bool done;         /* the root was reached */
};

struct dns_walk {
    struct octets message;
    struct dns_header header;
    uint32_t at;
    enum dns_section section;
    uint32_t left; /* questions or records that the header still promises in `section` */
    bool bad;      /* something was broken; the walk is over */
    bool question_plain; /* the name behind the header was passed, sound and without pointers */
};

/* Begins at the header. False where the message is too short to have one (then `walk->bad`). */
bool dns_walk_begin(struct dns_walk *walk, struct octets message);

/* The next question. False when there are no more, or with `walk->bad`. */
bool dns_walk_question(struct dns_walk *walk, struct dns_question *question);

/* The next record of any section; passes what is left of the questions. False when there are no
 * more, or with `walk->bad`. The RDATA is inside the message, and not looked into. */
bool dns_walk_record(struct dns_walk *walk, struct dns_record *record);

static inline struct dns_labels dns_labels_of(struct dns_name name)
{
    return (struct dns_labels){.message = name.message, .limit = name.limit, .at = name.at};
}

/* The next label, at least one octet. False at the end of the name: with `done` if the name is
 * sound, without if it is broken (torn, too long, too many pointers, a reserved label type). */
bool dns_labels_next(struct dns_labels *labels, struct octets *label);

/* Checks the name at `*at` and moves `*at` behind it. False, and `*at` stays, if it is broken. */
bool dns_name_pass(const uint8_t *message, uint32_t limit, uint32_t *at);

/* Appends a name in presentation form with a dot at its end: `\.` and alike for characters that
 * mean something in zone files, `\DDD` for what does not print. False, and nothing appended, where
 * the name is broken or memory runs out (then `out->failed`). */
bool dns_name_put(struct dns_name name, struct buffer *out);

/* The same, which also tells whether there is a backslash in it. */
enum dns_name_text { DNS_NAME_BROKEN, DNS_NAME_PLAIN, DNS_NAME_ESCAPED };
enum dns_name_text dns_name_write(struct dns_name name, struct buffer *out);

#endif
