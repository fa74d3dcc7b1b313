#include "sequence.h"

uint64_t sequence_note(struct sequence *s, uint64_t first, uint32_t count, bool shared,
                       uint32_t epoch)
{
    uint64_t end = first + count;
    s->received += count;
    if (!s->joined) {
        s->joined = true;
        s->joined_at = s->next = first;
        s->epoch = epoch;
    }
    if (shared || epoch != s->epoch) {
        s->epoch = epoch;
        s->gaps.count = 0;
        s->next = end > s->next ? end : s->next;
        return 0;
    }
    uint64_t lost = 0;
    if (first > s->next) {
        lost = first - s->next;
        s->lost += lost;
        gaps_add(&s->gaps, (struct gap){.from = s->next, .to = first});
    } else if (first < s->next && count > 0) {
        uint64_t low = first > s->joined_at ? first : s->joined_at;
        uint64_t high = end < s->next ? end : s->next;
        uint64_t filled = gaps_fill(&s->gaps, first, high);
        s->lost -= filled;
        if (high > low)
            s->duplicates += high - low - filled;
    }
    if (end > s->next)
        s->next = end;
    return lost;
}
