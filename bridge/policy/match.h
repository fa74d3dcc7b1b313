/* What `keep` and `drop` ask of a message: of each list that is given, one entry must fit. An entry
 * `file:PATH` stands for the lines of a file. Made on the main thread, then only read. */
#ifndef BRIDGE_POLICY_MATCH_H
#define BRIDGE_POLICY_MATCH_H

#include "../options.h"
#include "subject.h"

struct match;

/* A message may hold a query and a response with another question. Which of the two must fit the lists of
 * what was asked: to keep a message, both; to drop it, either. */
enum match_questions { MATCH_BOTH, MATCH_EITHER };

/* The lists, as the table of options of a step; ends with {0}. */
extern const struct option_spec match_options[];

/* NULL with the error: an entry that is none, with its file and line, or nothing asked at all. */
struct match *match_new(const struct options *options, enum match_questions questions,
                        struct error *error);
void match_free(struct match *match);

/* Does the message fit? It is a dnstap message. A message that lacks what a list asks for does not
 * fit. */
bool match_fits(const struct match *match, struct subject *subject);

/* Appends what is asked, however it was written: for the policy's hash. */
void match_put_canonical(const struct match *match, struct buffer *out);

uint64_t match_memory(const struct match *match);

#endif
