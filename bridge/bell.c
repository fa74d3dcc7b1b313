#include "bell.h"

#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

void bell_wait(struct bell *bell, uint32_t seen, int timeout_ms)
{
    struct timespec limit = {.tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1000000L};
    /* seq_cst, paired with bell_ring: either the ringer sees this sleeper and wakes it, or the kernel
     * sees that `rings` has moved on and does not put it to sleep. */
    atomic_fetch_add_explicit(&bell->sleepers, 1, memory_order_seq_cst);
    syscall(SYS_futex, &bell->rings, FUTEX_WAIT_PRIVATE, seen, timeout_ms < 0 ? NULL : &limit, NULL,
            0);
    atomic_fetch_sub_explicit(&bell->sleepers, 1, memory_order_seq_cst);
}

bool bell_doze(struct bell *bell, uint32_t seen)
{
    /* seq_cst, paired with bell_ring as in bell_wait; here we look at `rings`, not the kernel */
    atomic_fetch_add_explicit(&bell->sleepers, 1, memory_order_seq_cst);
    return atomic_load_explicit(&bell->rings, memory_order_seq_cst) == seen;
}

void bell_up(struct bell *bell)
{
    atomic_fetch_sub_explicit(&bell->sleepers, 1, memory_order_seq_cst);
}

void bell_ring(struct bell *bell)
{
    atomic_fetch_add_explicit(&bell->rings, 1, memory_order_seq_cst);
    if (atomic_load_explicit(&bell->sleepers, memory_order_seq_cst) == 0)
        return;
    if (bell->rouse)
        bell->rouse(bell->arg);
    else
        syscall(SYS_futex, &bell->rings, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}
