#include "crc32c.h"

#include <string.h>

uint32_t crc32c_plain(struct octets octets)
{
    uint32_t crc = ~0u;
    for (uint32_t i = 0; i < octets.len; i++) {
        crc ^= octets.data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return ~crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc32c_sse(struct octets octets)
{
    uint64_t crc = ~0u;
    const uint8_t *at = octets.data;
    uint32_t left = octets.len;
    for (; left >= 8; left -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, sizeof word);
        crc = __builtin_ia32_crc32di(crc, word);
    }
    for (; left > 0; left--)
        crc = __builtin_ia32_crc32qi((uint32_t)crc, *at++);
    return ~(uint32_t)crc;
}

uint32_t crc32c(struct octets octets)
{
    return __builtin_cpu_supports("sse4.2") ? crc32c_sse(octets) : crc32c_plain(octets);
}
#else
uint32_t crc32c(struct octets octets)
{
    return crc32c_plain(octets);
}
#endif
