/* gcpage.h - what the page of `gctrace --listen` is told, and its files. */
#pragma once
#include "inspect/gcsay.h"
#include "web/assets.h"

/* Of tools/embed_page, as in web/assets.h. */
extern const struct asset gcpage_assets[];
extern const size_t gcpage_assets_n;

struct gcpage {
    const struct gcstats *stats;
    const struct gclines *lines;
    char *const *argv; /* NULL: the standard input */
    int64_t began_ms;  /* since 1970 */
    bool ended;
    int code;
};

/* What a reader has been told. A zeroed one knows nothing. */
struct gcpage_told {
    bool any, ended;
    uint64_t per_point, points, collections, sys, released;
};

bool gcpage_has_news(const struct gcpage *p, const struct gcpage_told *told);

/* One object, everything; with `told` the points only from where the reader's differ ("from"), and
 * told is brought up to date. */
void gcpage_add(struct buf *out, const struct gcpage *p, struct gcpage_told *told);

const struct asset *gcpage_asset(struct str path); /* NULL */
