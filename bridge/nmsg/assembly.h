/* Puts NMSG fragments together again, within bounds of memory and of age. Owned by one thread. */
#ifndef BRIDGE_NMSG_ASSEMBLY_H
#define BRIDGE_NMSG_ASSEMBLY_H

#include "container.h"

enum { ASSEMBLIES_MAX = 64, ASSEMBLY_PIECES_MAX = 8192 };

struct nmsg_assembly;

enum nmsg_assembled {
    ASSEMBLED_NOT_YET,
    ASSEMBLED_WHOLE,
    ASSEMBLED_BROKEN, /* the pieces contradict each other, or the CRC does not match: all of them
                         are gone */
};

/* At most `memory_max` octets of pieces that wait; a container whose pieces are `age_ms` apart is
 * given up. NULL when memory runs out. */
struct nmsg_assembly *nmsg_assembly_new(size_t memory_max, uint64_t age_ms);
void nmsg_assembly_free(struct nmsg_assembly *assembly);

/* Takes a fragment that came from `sender` (any number that tells senders apart) with its
 * datagram's flags. With ASSEMBLED_WHOLE `*whole` is the body and `*flags` its flags, borrowed
 * until the next call. */
enum nmsg_assembled nmsg_assembly_put(struct nmsg_assembly *assembly, uint64_t sender,
                                      uint64_t now_ms, const struct nmsg_fragment *fragment,
                                      uint8_t *flags, struct octets *whole);

/* Containers given up since the last call: pieces never came, or had to make room. */
uint64_t nmsg_assembly_given_up(struct nmsg_assembly *assembly, uint64_t now_ms);

#endif
