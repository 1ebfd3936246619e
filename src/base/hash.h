/* hash.h - where a name belongs in a hash table, so that nobody can know beforehand.
 *
 * Names of groups, files and mappings are chosen by whoever runs the containers. With a hash that
 * anybody can compute, thousands of names could be made to fall into one bucket. This one is
 * SipHash-2-4 (Aumasson and Bernstein): without its key, no such names can be found. Every table
 * has a key of its own.
 */
#pragma once
#include "base/str.h"

struct hash_key {
    uint64_t k[2];
};

/* A random one. Never waits: before the kernel has gathered randomness it is a guessable one. */
void hash_key_init(struct hash_key *out);

/* All 64 bits are as good as each other: take the lowest ones for a table of a power of two. */
uint64_t hash_str(const struct hash_key *key, struct str s);
