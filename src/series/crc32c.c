#include "series/crc32c.h"

#include <string.h>

enum { SLICES = 8 };

static const uint32_t POLYNOMIAL = 0x82f63b78; /* bits reversed */

/* table[k][b]: the remainder of byte b with k bytes of zeros behind it. */
static uint32_t table[SLICES][256];

/* At the start of the program, so that no call need ask whether it is filled. */
__attribute__((constructor)) static void fill_table(void) {
    for (uint32_t b = 0; b < 256; b++) {
        uint32_t rest = b;

        for (int bit = 0; bit < 8; bit++)
            rest = rest >> 1 ^ (rest & 1 ? POLYNOMIAL : 0);
        table[0][b] = rest;
    }
    for (size_t k = 1; k < SLICES; k++)
        for (size_t b = 0; b < 256; b++)
            table[k][b] = table[k - 1][b] >> 8 ^ table[0][table[k - 1][b] & 0xff];
}

static uint32_t by_byte(uint32_t rest, const char *p, size_t n) {
    for (size_t i = 0; i < n; i++)
        rest = rest >> 8 ^ table[0][(rest ^ (uint8_t)p[i]) & 0xff];
    return rest;
}

uint32_t crc32c_plain(uint32_t before, struct str text) {
    const char *p = text.p, *end = text.p + text.n;
    uint32_t rest = ~before;

    for (; end - p >= SLICES; p += SLICES) {
        uint32_t next = 0;

        for (unsigned k = 0; k < SLICES; k++)
            next ^= table[SLICES - 1 - k][(uint8_t)p[k] ^ (k < 4 ? rest >> 8 * k & 0xff : 0)];
        rest = next;
    }
    return ~by_byte(rest, p, (size_t)(end - p));
}

#ifdef __x86_64__
__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t before, struct str text) {
    const char *p = text.p, *end = text.p + text.n;
    uint64_t rest = (uint32_t)~before;

    for (; end - p >= 8; p += 8) {
        uint64_t word;

        memcpy(&word, p, sizeof(word));
        rest = __builtin_ia32_crc32di(rest, word);
    }
    for (; p < end; p++)
        rest = __builtin_ia32_crc32qi((uint32_t)rest, (uint8_t)*p);
    return ~(uint32_t)rest;
}
#endif

uint32_t crc32c(uint32_t before, struct str text) {
#ifdef __x86_64__
    if (__builtin_cpu_supports("sse4.2"))
        return by_instruction(before, text);
#endif
    return crc32c_plain(before, text);
}
