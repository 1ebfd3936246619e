#include "base/hash.h"

#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"

void hash_key_init(struct hash_key *out) {
    struct hash_key key;

    if (getrandom(&key, sizeof(key), GRND_NONBLOCK) != (ssize_t)sizeof(key)) {
        key.k[0] = (uint64_t)clock_mono_us();
        key.k[1] = (uint64_t)getpid();
    }
    *out = key;
}

static uint64_t rotate(uint64_t x, unsigned bits) {
    return x << bits | x >> (64 - bits);
}

static void mix(uint64_t v[4], unsigned rounds) {
    while (rounds-- > 0) {
        v[0] += v[1];
        v[2] += v[3];
        v[1] = rotate(v[1], 13) ^ v[0];
        v[3] = rotate(v[3], 16) ^ v[2];
        v[0] = rotate(v[0], 32);
        v[2] += v[1];
        v[0] += v[3];
        v[1] = rotate(v[1], 17) ^ v[2];
        v[3] = rotate(v[3], 21) ^ v[0];
        v[2] = rotate(v[2], 32);
    }
}

/* At most 8 bytes, the first one lowest. */
static uint64_t word(const char *p, size_t n) {
    uint64_t w = 0;

    for (size_t i = 0; i < n; i++)
        w |= (uint64_t)(unsigned char)p[i] << (8 * i);
    return w;
}

static void take(uint64_t v[4], uint64_t w) {
    v[3] ^= w;
    mix(v, 2);
    v[0] ^= w;
}

uint64_t hash_str(const struct hash_key *key, struct str s) {
    uint64_t v[4] = {key->k[0] ^ 0x736f6d6570736575u, key->k[1] ^ 0x646f72616e646f6du,
                     key->k[0] ^ 0x6c7967656e657261u, key->k[1] ^ 0x7465646279746573u};
    const char *p = s.p;
    size_t left = s.n;

    for (; left >= 8; left -= 8, p += 8)
        take(v, word(p, 8));
    take(v, word(p, left) | (uint64_t)s.n << 56);
    v[2] ^= 0xff;
    mix(v, 4);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}
