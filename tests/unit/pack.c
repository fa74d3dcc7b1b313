/* Packed streams: whole at the end, readable at each flush, and whole where they are cut at one. */
#include "adapters/pack.h"

#include <unistd.h>

#include "adapters/unpack.h"
#include "harness.h"

static void put_noise(struct buffer *out, size_t len)
{
    for (size_t i = 0; i < len; i++)
        buffer_put_char(out, (char)("abc"[random() % 3] + random() % 2 * (random() % 9)));
}

/* Unpacks; returns the octets, and whether the stream ended well. */
static bool unpack_all(const struct buffer *packed, struct buffer *plain)
{
    char path[] = "/tmp/dnstap-pack-XXXXXX";
    int fd = mkstemp(path);
    unlink(path);
    assert_int_equal(write(fd, packed->data, packed->len), packed->len);
    lseek(fd, 0, SEEK_SET);
    struct unpack *unpack = unpack_new(fd);
    struct error error = {{0}};
    ssize_t n;
    buffer_clear(plain);
    while ((n = unpack_read(unpack, buffer_reserve(plain, 65536), 65536, &error)) > 0)
        plain->len += (size_t)n;
    unpack_free(unpack);
    close(fd);
    return n == 0;
}

static void check(enum packing packing)
{
    struct pack *pack = pack_new(packing);
    struct buffer data = {0}, packed = {0}, back = {0}, cut = {0};
    uint8_t closing[PACK_CLOSING_MAX];
    for (int round = 0; round < 20; round++) {
        pack_reset(pack);
        buffer_clear(&data);
        buffer_clear(&packed);
        assert_int_equal(pack_closing(pack, closing), 0);
        for (int step = 0; step < 5; step++) {
            size_t before = data.len;
            put_noise(&data, (size_t)(random() % 40000));
            assert_true(pack_add(pack, data.data + before, data.len - before, &packed));
            assert_true(pack_flush(pack, &packed));
            assert_false(unpack_all(&packed, &back)); /* all of it, but no end */
            assert_int_equal(back.len, data.len);
            assert_memory_equal(back.data, data.data, data.len);

            size_t len = pack_closing(pack, closing);
            buffer_clear(&cut);
            buffer_put(&cut, packed.data, packed.len);
            buffer_put(&cut, closing, len);
            assert_true(unpack_all(&cut, &back));
            assert_int_equal(back.len, data.len);
        }
        assert_true(pack_finish(pack, &packed));
        assert_true(unpack_all(&packed, &back));
        assert_int_equal(back.len, data.len);
        assert_true(packed.len <= pack_bound(data.len));
    }
    buffer_free(&data);
    buffer_free(&packed);
    buffer_free(&back);
    buffer_free(&cut);
    pack_free(pack);
}

static void gzip_streams(void **state)
{
    (void)state;
    check(PACKING_GZIP);
}

static void zstd_streams(void **state)
{
    (void)state;
    check(PACKING_ZSTD);
}

static void names_ask_for_packing(void **state)
{
    (void)state;
    size_t len;
    assert_int_equal(packing_of_name("a/b.json.gz", &len), PACKING_GZIP);
    assert_int_equal(len, 3);
    assert_int_equal(packing_of_name("b.zst", &len), PACKING_ZSTD);
    assert_int_equal(len, 4);
    assert_int_equal(packing_of_name("b.gzip", &len), PACKING_NONE);
    assert_int_equal(len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gzip_streams),
        cmocka_unit_test(zstd_streams),
        cmocka_unit_test(names_ask_for_packing),
    };
    srandom(5);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
