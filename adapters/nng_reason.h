/* Why an nng dialer or listener has no peer, as far as libnng's statistics tell: counts of what went wrong, by kind. */
#ifndef ADAPTERS_NNG_REASON_H
#define ADAPTERS_NNG_REASON_H

#include <nng/nng.h>
#include <stdbool.h>
#include <stdint.h>

enum { NNG_REASONS = 7 };

/* What went wrong so far, of each kind. */
struct nng_troubles {
    uint64_t counts[NNG_REASONS];
};

/* Of the dialers, or the listeners, of a socket: their sum. All are 0 where the library counts nothing. */
struct nng_troubles nng_troubles_of(nng_socket socket, bool listens);

/* What has gone wrong since `before`, in words, the most frequent kind; NULL: nothing has. */
const char *nng_reason(const struct nng_troubles *now, const struct nng_troubles *before, bool listens, uint64_t *times);

#endif
