/* highmark.h - values of memory.high that a guard has set as its mark, told from anybody else's.
 *
 * Such a value says where the guard wants to be woken, not where the group is to be held: whoever
 * shows states, and another guard, must not take it for a bound. A mark is a whole number of
 * HIGHMARK_STEP pages, and HIGHMARK_REST pages, and holds no whole number of millions in its last
 * page: what people write, in binary or decimal units and rounded by the kernel, is none.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { HIGHMARK_STEP = 64, HIGHMARK_REST = 19 };

bool highmark_is(uint64_t high, uint64_t page);

/* The first mark at or above `bytes`, less than 2 x HIGHMARK_STEP pages away. */
uint64_t highmark_from(uint64_t bytes, uint64_t page);
