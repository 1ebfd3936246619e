#include "model/highmark.h"

enum { MILLION = 1000000 };

/* As "80M" of decimal units reads once the kernel has rounded it down to a page. */
static bool is_round(uint64_t high, uint64_t page) {
    return (high + page - 1) / MILLION * MILLION >= high;
}

bool highmark_is(uint64_t high, uint64_t page) {
    return high % page == 0 && high / page % HIGHMARK_STEP == HIGHMARK_REST &&
           !is_round(high, page);
}

uint64_t highmark_from(uint64_t bytes, uint64_t page) {
    uint64_t pages = bytes / page + (bytes % page != 0);
    uint64_t ahead = (HIGHMARK_STEP + HIGHMARK_REST - pages % HIGHMARK_STEP) % HIGHMARK_STEP;
    uint64_t mark = (pages + ahead) * page;

    return is_round(mark, page) ? mark + HIGHMARK_STEP * page : mark;
}
