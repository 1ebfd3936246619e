/* statsrow.h - one target at one tick, with all that any of `stats`' outputs is made of.
 */
#pragma once
#include "cmd/session.h"
#include "model/state.h"

/* A row with all that its columns are made of. */
struct stats_row {
    const struct session *session;
    const struct target *target;
    const struct sample *sample; /* NULL: not read, or gone since */
    struct tick_limit limit;
    enum state state;
    uint64_t cpu_centi;
    bool have_cpu, no_trunc, ascii, plain; /* plain: bytes as they are, no marks */
};

/* The row of a slot that the table of targets holds. */
struct stats_row row_of(const struct session *s, uint32_t slot);

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
bool stats_kernel_unsplit(const struct session *s, const struct sample *sample);

/* `stats --json`: one object and a newline. */
void row_add_json(struct buf *out, const struct stats_row *r);
