/* What a comparison found, in a sentence for people, and the list behind it. Main thread. */
#ifndef RECEIPT_REPORT_H
#define RECEIPT_REPORT_H

#include "receipt/compare.h"

enum receipt_verdict { VERDICT_SAME = 0, VERDICT_DIFFERENT = 1, VERDICT_UNKNOWN = 2 };

enum receipt_verdict receipt_verdict_of(const struct receipt_comparison *comparison);

/* The sentence, with its full stop, without a line feed. `sender` and `receiver`: what the files
 * are called. */
void receipt_report_sentence(const struct receipt_comparison *comparison, const char *sender,
                             const char *receiver, FILE *out);

/* A link's name, which somebody else chose: nothing in it moves a terminal. */
void receipt_report_link(const char *link, FILE *out);

/* A line for each finding. */
void receipt_report_details(const struct receipt_comparison *comparison, const char *sender,
                            const char *receiver, FILE *out);

/* 1234567 as 1,234,567. Returns `out`. */
enum { RECEIPT_DIGITS = 32 };
const char *receipt_digits(uint64_t number, char out[RECEIPT_DIGITS]);

#endif
