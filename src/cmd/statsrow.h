/* statsrow.h - one target at one tick, with all that any of `stats`' outputs is made of.
 */
#pragma once
#include "cmd/session.h"
#include "cmd/statslang.h"
#include "model/state.h"

/* A row with all that its columns are made of. */
struct stats_row {
    const struct target *target;
    const struct sample *sample; /* NULL: not read, or gone since */
    struct tick_limit limit;
    enum state state;
    uint64_t cpu_centi, host_memory;       /* of the machine; 0: not known */
    bool v1;                               /* of its memory controller */
    bool io_counted, shares_network;       /* whether figures of I/O and network can be had */
    bool have_cpu, no_trunc, ascii, plain; /* plain: bytes as they are, no marks */
    bool wide;                             /* the language is asked for */
    struct str lang;                       /* "" not known */
};

/* Rows of a view, wherever they come from: each is made when it is asked for. */
struct stats_rows {
    size_t n;
    struct stats_row (*at)(const void *ctx, size_t i);
    const void *ctx;
};

/* Those of a session: `ctx` is a struct session_rows, whose slots the table of targets holds. */
struct session_rows {
    const struct session *session;
    const uint32_t *slot;
    struct statslang *lang; /* NULL: not asked for */
};

struct stats_row session_row(const void *ctx, size_t i);

/* What rows are sorted by, the greatest first; the name is the caller's to compare. */
enum stats_sort {
    SORT_NAME,
    SORT_CPU,
    SORT_USED,
    SORT_PCT,
    SORT_USAGE,
    SORT_LIMIT,
    SORT_PIDS,
    SORT_OOM,
    SORT_N,
};

extern const char *const stats_sort_names[SORT_N];

/* s may be NULL; 0 when the value is not known. Not of SORT_NAME and SORT_CPU. */
uint64_t stats_sort_value(enum stats_sort key, const struct sample *s);

/* By name, as bytes: below, equal or above 0. */
int stats_compare_names(const struct target *a, const struct target *b);

bool row_has(const struct stats_row *r, enum metric m);
uint64_t row_value(const struct stats_row *r, enum metric m); /* of a metric it has */

/* used of the limit, in hundredths of a percent; false when either is not known. */
bool row_used_pct(const struct stats_row *r, uint64_t *centi_out);

/* Whose limit it is: "host", "outside", or the group's path; with `words`, "own" for its own. */
struct str row_limit_from(const struct stats_row *r, bool words);

/* Cells; what is not known is "-". */
void row_add_dash(struct buf *out);
void row_add_bytes(struct buf *out, const struct stats_row *r, enum metric m);
void row_add_count(struct buf *out, const struct stats_row *r, enum metric m);
void row_add_centi(struct buf *out, bool have, uint64_t centi);
void row_add_used_pct(struct buf *out, const struct stats_row *r);
void row_add_pair(struct buf *out, const struct stats_row *r, enum metric a, enum metric b);
void row_add_visible(struct buf *out, struct str s, const struct stats_row *r);

/* Whether v1 hides how much of a group's kernel memory could be reclaimed, and it is enough to make
 * `used` misleading. */
bool row_kernel_unsplit(const struct stats_row *r);

/* `stats --json`: one object and a newline. */
void row_add_json(struct buf *out, const struct stats_row *r);
