/* assets.h - the page's files, compressed and built into the program. assets.c is made by
 * tools/embed_page out of web/dist; there is always a "/".
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct asset {
    const char *path; /* "/app.js"; the page itself is "/" */
    const char *type;
    const char *etag; /* as it is sent, with its quotes: of the content, whatever its encoding */
    const uint8_t *gzip;
    size_t gzip_n, n; /* compressed, and not */
};

extern const struct asset assets[];
extern const size_t assets_n;

const struct asset *asset_find(struct str path); /* NULL */
