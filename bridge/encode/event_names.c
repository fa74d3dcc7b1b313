#include "event_names.h"

#include <stddef.h>

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

static const char *name_of(const char *const *names, size_t count, uint64_t number)
{
    return number < count ? names[number] : NULL;
}

const char *event_type_name(uint64_t type)
{
    static const char *const names[] = {NULL,           "RRL_START",   "RRL_END",
                                        "XFR_IN_START", "XFR_IN_END",  "XFR_OUT_START",
                                        "XFR_OUT_END",  "CACHE_PURGE", "CACHE_EXPIRY"};
    return name_of(names, COUNT(names), type);
}

const char *event_line_name(uint64_t type)
{
    static const char *const names[] = {NULL,           "rrl-start",   "rrl-end",
                                        "xfr-in-start", "xfr-in-end",  "xfr-out-start",
                                        "xfr-out-end",  "cache-purge", "cache-expiry"};
    return name_of(names, COUNT(names), type);
}

const char *event_outcome_name(uint64_t outcome)
{
    static const char *const names[] = {NULL, "SUCCESS", "UP_TO_DATE", "REFUSED", "FAILED"};
    return name_of(names, COUNT(names), outcome);
}

const char *event_category_name(uint64_t category)
{
    static const char *const names[] = {NULL,        "ANSWERS", "REFERRALS", "NODATA_ANSWERS",
                                        "NXDOMAINS", "ERRORS",  "ALL"};
    return name_of(names, COUNT(names), category);
}
