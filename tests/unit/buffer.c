#include "buffer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void grows_and_keeps_what_it_holds(void **state)
{
    (void)state;
    struct buffer b = {0};
    for (int i = 0; i < 100000; i++)
        buffer_put_char(&b, (char)('a' + i % 26));
    assert_int_equal(b.len, 100000);
    for (int i = 0; i < 100000; i++)
        assert_int_equal(b.data[i], 'a' + i % 26);
    size_t cap = b.cap;
    buffer_clear(&b);
    buffer_put_string(&b, "again");
    assert_int_equal(b.cap, cap);
    assert_memory_equal(b.data, "again", 5);
    buffer_free(&b);
    assert_null(b.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(grows_and_keeps_what_it_holds)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
