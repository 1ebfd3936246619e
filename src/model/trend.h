/* trend.h - how a target's memory has moved lately: a slope, and whether it is one.
 *
 * Pure, allocates nothing. Keeps the lowest `used` of up to TREND_BLOCKS blocks of time. Blocks begin
 * at TREND_BLOCK_MS and double whenever the table is full, up to TREND_BLOCK_MAX_MS; from then on the
 * oldest goes: so the window grows from a minute to an hour. The lowest of a block is what stays
 * after a collection, so a saw is steady. A hint for lists, not a verdict about a leak.
 */
#pragma once
#include "model/sample.h"

enum {
    TREND_BLOCKS = 64,
    TREND_BLOCK_MS = 1000,
    TREND_BLOCK_MAX_MS = 60000,
    TREND_MIN_MS = 15000, /* below this window nothing is said */
};

enum trend_word { TREND_UNKNOWN, TREND_STEADY, TREND_GROWING, TREND_SHRINKING };

struct trend {
    int64_t block_ms, first_ms; /* length of a block; when the oldest one began, a multiple of it */
    uint32_t n, start;          /* a ring */
    uint64_t low[TREND_BLOCKS]; /* UINT64_MAX: nothing was seen in that block */
    /* cache pages read again: the counter ten seconds or so ago, and now */
    uint64_t refaults[2];
    int64_t refaults_ms[2];
};

struct trend_view {
    enum trend_word word;
    int64_t bytes_per_h; /* Theil-Sen slope over the window; 0 when the word is UNKNOWN */
    uint32_t window_s;
    bool have_refaults;
    uint64_t refaults_per_s; /* REFAULT_FILE and REFAULT_ANON, of about the last ten seconds */
};

/* A zeroed struct is one that has seen nothing. Times that go back begin it anew, as does a gap of
 * more than the window. */
void trend_add(struct trend *t, const struct sample *s);

/* A point of history, older than all that was added: fills the window backwards when a program that
 * has a store starts. Blocks it cannot take are left out. */
void trend_begin(struct trend *t, int64_t block_ms, int64_t first_ms, const uint64_t *low, size_t n);

/* GROWING and SHRINKING need a monotonic trend (Mann-Kendall, two-sided p < 0.01), growth over the
 * window above both 1 MiB and 2 % of the level, and that its last third still goes that way. */
struct trend_view trend_look(const struct trend *t);

/* Seconds until `used` meets the limit at this slope: headroom over slope. Only while GROWING and
 * with a known headroom. */
bool trend_time_to_limit(const struct trend_view *v, const struct sample *s, uint64_t *s_out);
