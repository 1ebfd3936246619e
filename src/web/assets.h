/* assets.h - the page's files, compressed and built into the program. assets.c is made by
 * tools/embed_page out of web/dist.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct asset {
    const char *path; /* "/app.js"; the page itself is "/" */
    const char *type;
    const char *etag; /* with its quotes: of the content */
    const uint8_t *gzip;
    size_t gzip_n, n; /* compressed, and not */
};

extern const struct asset assets[];
extern const size_t assets_n;
