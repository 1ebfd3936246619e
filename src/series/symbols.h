/* symbols.h - numbers, most of them small and some often, in few bits: an entropy coder.
 *
 * A number is a symbol, which says its magnitude, and the low bits that the symbol leaves open: the
 * smallest numbers are symbols of their own, and above them each power of two is parted into 2^fine
 * symbols. Symbols are coded by rANS with frequencies that are told before, rounded to half powers
 * of two; low bits are written as they are.
 */
#pragma once
#include "base/buf.h"

enum { SYMBOLS_FINE = 4, SYMBOLS_ALL = (64 - SYMBOLS_FINE + 1) << SYMBOLS_FINE };

/* How often each symbol comes, the finest parting, and what follows from that. */
struct symbols {
    uint32_t count[SYMBOLS_ALL];
    size_t n;      /* numbers */
    unsigned fine; /* what serves best */
    uint64_t bits; /* the code will have, about */
};

/* Looks at n > 0 numbers: which parting serves best, and what it costs. */
void symbols_plan(struct symbols *plan, const uint64_t *number, size_t n);

/* Appends the code, which knows neither n nor where it ends. Allocates scratch: -ENOMEM. */
int symbols_encode(struct buf *out, const struct symbols *plan, const uint64_t *number, size_t n);

/* Decodes n > 0 numbers from the whole text. -EBADMSG on anything that is not such a code. */
int symbols_decode(struct str text, size_t n, uint64_t *number_out);
