/* What the tests of the pump share: cmocka with all it wants included before it, and how much work
 * a test may do under which build. */
#ifndef TESTS_HARNESS_H
#define TESTS_HARNESS_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"

/* The amount of work for this build: all of it in a release, less where the compiler or a sanitizer
 * makes it slow. */
static inline uint64_t work_for_build(uint64_t release)
{
#if defined(__SANITIZE_THREAD__)
    return release / 100;
#elif defined(__SANITIZE_ADDRESS__)
    return release / 20;
#elif !defined(__OPTIMIZE__)
    return release / 10;
#else
    return release;
#endif
}

/* The same, unless the environment names another number. */
static inline uint64_t work_asked_for(const char *variable, uint64_t release)
{
    const char *text = getenv(variable);
    return text ? strtoull(text, NULL, 10) : work_for_build(release);
}

#endif
