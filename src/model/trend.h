/* trend.h - how a target's memory has moved lately: a slope, and whether it is one.
 *
 * Pure, allocates nothing. Keeps the lowest `used` of up to TREND_BLOCKS blocks of time. Blocks
 * begin at TREND_BLOCK_MS and double whenever the table is full, up to TREND_BLOCK_MAX_MS; from
 * then on the oldest goes: so the window grows from a minute to an hour. The lowest of a block is
 * what stays after a collection, so a saw is steady. A hint for lists, not a verdict about a leak.
 */
#pragma once
#include "model/sample.h"

enum {
    TREND_BLOCKS = 64,
    TREND_BLOCK_MS = 1000,
    TREND_BLOCK_MAX_MS = 64000,
    TREND_MIN_MS = 15000,   /* below this window nothing is said */
    TREND_MIN_BLOCKS = 8,   /* ... and with fewer blocks in which it was seen */
    TREND_REFAULT_MS = 5000 /* refaults are counted over one to two of these */
};

enum trend_word { TREND_UNKNOWN, TREND_STEADY, TREND_GROWING, TREND_SHRINKING };

#define TREND_MISSING UINT64_MAX /* nothing was seen in that block */

/* Cache and swap read back, at a moment. */
struct trend_mark {
    int64_t at_ms; /* 0: none */
    uint64_t pages;
};

struct trend {
    int64_t block_ms, first_ms; /* length of a block; when the oldest one began, a multiple of it */
    uint32_t n, start;          /* a ring; the newest block is not over yet */
    struct trend_mark mark[3];  /* some seconds ago, less, now */
    uint64_t low[TREND_BLOCKS];
};

struct trend_view {
    enum trend_word word;
    int64_t bytes_per_h; /* Theil-Sen slope over the window; 0 unless GROWING or SHRINKING */
    uint32_t window_s;
    bool have_refaults;
    uint64_t refaults_per_s; /* REFAULT_FILE and REFAULT_ANON, of the last five to ten seconds */
};

/* A zeroed struct is one that has seen nothing. Times that go back begin it anew, as does a gap of
 * more than TREND_BLOCKS blocks. Cheap: once a second for each of a thousand targets is nothing. */
void trend_add(struct trend *t, const struct sample *s);

/* History, older than what was added: n blocks of block_ms, the oldest beginning at first_ms, each
 * the lowest `used` in it or TREND_MISSING. Fills the window backwards when a program that has a
 * store starts; t's own blocks become at least as long as those. Blocks it cannot take are left
 * out. */
void trend_begin(struct trend *t, int64_t block_ms, int64_t first_ms, const uint64_t *low,
                 size_t n);

/* When the newest block began: trend_look has something new to say when this moves. */
int64_t trend_newest_ms(const struct trend *t);

/* GROWING and SHRINKING need a monotonic trend (Mann-Kendall, two-sided p < 0.01), growth over the
 * window above both 1 MiB and 2 % of the level, and that its last third still goes that way; all
 * that without the largest step as well, so that a program's start is none. The newest block does
 * not count: its lowest may be to come. Some 20 us. */
struct trend_view trend_look(const struct trend *t);

/* The refaults of a look alone, which change between blocks too. */
void trend_refaults(const struct trend *t, struct trend_view *v);

/* Seconds until `used` meets the limit at this slope: headroom over slope. Only while GROWING and
 * with a known headroom. */
bool trend_time_to_limit(const struct trend_view *v, const struct sample *s, uint64_t *s_out);

/* "steady", "growing", "shrinking"; "-" for unknown */
const char *trend_name(enum trend_word word);
