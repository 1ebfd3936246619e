/* pygcread.h - the memory of another process, read a page at a time and remembered: the objects of
 * a heap lie close together, so a million of them cost some ten thousand reads.
 *
 * What is remembered may be out of date; who finds a contradiction reads afresh.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* Whole or not at all: 0 or -errno. */
typedef int pygcread_fn(void *ctx, uint64_t address, void *out, size_t n);

enum { PYGCREAD_PAGE = 4096 };

struct pygcread {
    pygcread_fn *fn;
    void *ctx;
    uint64_t *page; /* which page a slot holds; 0: none */
    char *data;
    uint64_t reads; /* calls of fn */
};

/* 0 or -ENOMEM (16 MiB of addresses, touched as they are needed). */
int pygcread_init(struct pygcread *r, pygcread_fn *fn, void *ctx);
void pygcread_done(struct pygcread *r);

/* 0; -EFAULT for an address that cannot be one; -errno of fn. */
int pygcread_get(struct pygcread *r, uint64_t address, void *out, size_t n);
/* As it is now: what is remembered of these pages is dropped first. */
int pygcread_fresh(struct pygcread *r, uint64_t address, void *out, size_t n);
void pygcread_forget(struct pygcread *r);

int pygcread_u64(struct pygcread *r, uint64_t address, uint64_t *out); /* pygcread_get of a word */

/* Whether an object or a struct may stand there. */
static inline int pygcread_is_place(uint64_t address) {
    return address >= PYGCREAD_PAGE && address < UINT64_C(1) << 47 && address % 8 == 0;
}
