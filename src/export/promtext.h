/* promtext.h - names, numbers and label values as the text format has them.
 *
 * Everything is counted in whole numbers inside; a number of decimals turns microseconds into
 * seconds and hundredths of a percent into a ratio without a floating point in between.
 */
#pragma once
#include "base/buf.h"
#include "model/metric.h"

enum {
    PROM_WHOLE = 0,
    PROM_MILLI = 3,    /* milliseconds to seconds */
    PROM_CENTIPCT = 4, /* hundredths of a percent to a ratio */
    PROM_MICRO = 6,    /* microseconds to seconds */
    PROM_NUMBER = 24,  /* bytes of the longest number */
    PROM_NAME = 96,    /* and of the longest name */
};

/* value / 10^decimals, without trailing zeros. Returns how many of the PROM_NUMBER bytes at p it
 * took. */
size_t promtext_number(char *p, uint64_t value, unsigned decimals);

unsigned promtext_decimals(enum metric m);

/* Bytes of a container as a label's value: valid UTF-8 (U+FFFD for what is not), and without
 * characters that act on a terminal or are not seen, which become \n, \x1b, \u{200b}. A backslash
 * stays as it is. */
void promtext_add_clean(struct buf *out, struct str s);
