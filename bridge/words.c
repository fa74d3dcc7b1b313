#include "words.h"

#include <string.h>

enum { WORD_MAX = 63 };

static unsigned least_of(unsigned a, unsigned b, unsigned c)
{
    unsigned least = a < b ? a : b;
    return least < c ? least : c;
}

unsigned words_apart(const char *a, const char *b)
{
    size_t a_len = strlen(a), b_len = strlen(b);
    unsigned row[WORD_MAX + 1]; /* distances of the letters of `a` so far to each beginning of `b` */
    if (a_len > WORD_MAX || b_len > WORD_MAX)
        return WORD_MAX + 1;
    for (unsigned k = 0; k <= b_len; k++)
        row[k] = k;
    for (unsigned i = 1; i <= a_len; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned k = 1; k <= b_len; k++) {
            unsigned above = row[k];
            row[k] = least_of(diagonal + (a[i - 1] != b[k - 1]), row[k - 1] + 1, above + 1);
            diagonal = above;
        }
    }
    return row[b_len];
}
