#include "cof_sets.h"

#include <assert.h>

#include "../scan/dns_question.h"
#include "../scan/dns_type.h"
#include "../scan/rdata_rewrite.h"

enum { CLASS_IN = 1, TYPE_SIG = 24, META_FIRST = 249, META_LAST = 255 };

struct siphash cof_hash_of(const struct cof_sets *sets, const struct buffer *octets)
{
    return siphash(&sets->key, octets->data, octets->len);
}

/* Records about messages and transactions are no data, nor are those of other classes: what stands there may
 * be what a client only claimed. */
static bool is_data(const struct dns_record *record)
{
    const bool meta = record->type >= META_FIRST && record->type <= META_LAST; /* TKEY, TSIG, ANY, ... */
    return record->class == CLASS_IN && !meta && record->type != DNS_TYPE_OPT && record->type != TYPE_SIG;
}

static void add(struct cof_sets *sets, struct octets dns, const struct dns_record *record)
{
    const unsigned i = sets->count;
    struct question owner;
    if (!question_read_name(record->owner, &owner))
        return;
    buffer_clear(&sets->canonical);
    buffer_put(&sets->canonical, &record->type, sizeof record->type);
    buffer_put(&sets->canonical, owner.name, owner.name_len);
    sets->sets[i] = cof_hash_of(sets, &sets->canonical);
    sets->canonical.len = 0;
    rdata_put_lower(dns, record, &sets->canonical);
    sets->datas[i] = cof_hash_of(sets, &sets->canonical);
    sets->records[i] = *record;
    sets->count++;
}

static int compare_hashes(struct siphash a, struct siphash b)
{
    if (a.high != b.high)
        return a.high < b.high ? -1 : 1;
    return a.low == b.low ? 0 : a.low < b.low ? -1 : 1;
}

static int compare(const struct cof_sets *sets, unsigned a, unsigned b)
{
    int sets_differ = compare_hashes(sets->sets[a], sets->sets[b]);
    return sets_differ ? sets_differ : compare_hashes(sets->datas[a], sets->datas[b]);
}

/* Shell's sort: it allocates nothing, and most messages have a few records. */
static void sort(struct cof_sets *sets)
{
    static const unsigned gaps[] = {1750, 701, 301, 132, 57, 23, 10, 4, 1};
    for (size_t g = 0; g < sizeof gaps / sizeof gaps[0]; g++) {
        for (unsigned i = gaps[g]; i < sets->count; i++) {
            const uint16_t here = sets->order[i];
            unsigned k = i;
            for (; k >= gaps[g] && compare(sets, sets->order[k - gaps[g]], here) > 0; k -= gaps[g])
                sets->order[k] = sets->order[k - gaps[g]];
            sets->order[k] = here;
        }
    }
}

/* Of equal records one stays. */
static void drop_doubles(struct cof_sets *sets)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < sets->count; i++) {
        if (kept == 0 || compare(sets, sets->order[kept - 1], sets->order[i]) != 0)
            sets->order[kept++] = sets->order[i];
    }
    sets->count = kept;
}

bool cof_sets_find(struct cof_sets *sets, struct octets dns)
{
    struct dns_walk walk;
    struct dns_record record;
    assert(dns.len <= COF_DNS_MAX);
    sets->count = sets->next = 0;
    buffer_clear(&sets->canonical);
    if (!dns_walk_begin(&walk, dns))
        return true;
    while (dns_walk_record(&walk, &record)) {
        assert(sets->count < COF_RECORDS_MAX); /* a record has 11 octets at least */
        if (is_data(&record))
            add(sets, dns, &record);
    }
    for (unsigned i = 0; i < sets->count; i++)
        sets->order[i] = (uint16_t)i;
    sort(sets);
    drop_doubles(sets);
    return !sets->canonical.failed;
}

bool cof_sets_next(struct cof_sets *sets, struct cof_set *set)
{
    if (sets->next == sets->count)
        return false;
    const struct siphash name = sets->sets[sets->order[sets->next]];
    set->first = sets->next;
    buffer_clear(&sets->canonical);
    buffer_put(&sets->canonical, &name, sizeof name);
    while (sets->next < sets->count && compare_hashes(sets->sets[sets->order[sets->next]], name) == 0) {
        buffer_put(&sets->canonical, &sets->datas[sets->order[sets->next]], sizeof sets->datas[0]);
        sets->next++;
    }
    set->count = sets->next - set->first;
    set->hash = cof_hash_of(sets, &sets->canonical);
    return true;
}
