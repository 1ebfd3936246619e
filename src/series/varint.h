/* varint.h - numbers of any size in few bytes: LEB128, and signed ones folded so that small ones of
 * either sign are short.
 */
#pragma once
#include "base/buf.h"

static inline void varint_add(struct buf *out, uint64_t value) {
    for (; value >= 0x80; value >>= 7)
        buf_add_char(out, (char)(value | 0x80));
    buf_add_char(out, (char)value);
}

static inline unsigned varint_bytes(uint64_t value) {
    return (unsigned)(63 - __builtin_clzll(value | 1)) / 7 + 1;
}

/* Cuts one off the front. False when there is none whole, or it is above 64 bits. */
static inline bool varint_cut(struct str *in, uint64_t *out) {
    uint64_t value = 0;

    for (size_t i = 0; i < in->n && i < 10; i++) {
        uint8_t byte = (uint8_t)in->p[i];

        if (i == 9 && byte > 1)
            return false;
        value |= (uint64_t)(byte & 0x7f) << 7 * i;
        if (byte < 0x80) {
            in->p += i + 1;
            in->n -= i + 1;
            *out = value;
            return true;
        }
    }
    return false;
}

/* 0, -1, 1, -2 ... as 0, 1, 2, 3 ...; the number in two's complement. */
static inline uint64_t zigzag(uint64_t value) {
    return value << 1 ^ (0 - (value >> 63));
}

static inline uint64_t unzigzag(uint64_t folded) {
    return folded >> 1 ^ (0 - (folded & 1));
}
