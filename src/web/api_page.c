/* The page: its files as they were built in. Nothing in them is secret. */
#include <zlib.h>

#include "web/assets.h"
#include "web/site.h"

const struct asset *asset_find(struct str path) {
    for (size_t i = 0; i < assets_n; i++)
        if (str_eq(path, str_of(assets[i].path)))
            return &assets[i];
    return NULL;
}

/* One of a list of entity tags, or "*". Weak ones are compared without their W/. */
static bool has_tag(struct str list, struct str tag) {
    struct str one;

    (void)str_skip(&tag, STR("W/"));
    while (list.n > 0) {
        if (!str_cut(&list, ',', &one)) {
            one = list;
            list.n = 0;
        }
        one = str_trim(one);
        (void)str_skip(&one, STR("W/"));
        if (str_eq(one, tag) || str_eq(one, STR("*")))
            return true;
    }
    return false;
}

static bool unpack(const struct asset *asset, struct buf *out) {
    z_stream z = {
        /* zlib's type lacks a const; it writes nothing there. */
        .next_in = (Bytef *)(uintptr_t)asset->gzip,
        .avail_in = (unsigned)asset->gzip_n,
    };
    char *room = buf_room(out, asset->n + 1);
    int r;

    if (!room || inflateInit2(&z, 15 + 16) != Z_OK)
        return false;
    z.next_out = (Bytef *)room;
    z.avail_out = (unsigned)asset->n + 1;
    r = inflate(&z, Z_FINISH);
    inflateEnd(&z);
    if (r != Z_STREAM_END || z.total_out != asset->n)
        return false;
    buf_grow(out, asset->n);
    return true;
}

void api_page(struct site *site, const struct request *rq, struct answer *a) {
    const struct asset *asset = asset_find(rq->path);

    (void)site;
    if (!asset) {
        answer_error(a, 404, "there is no page '%.*s'", STR_ARG(str_head(rq->path, 200)));
        return;
    }
    a->type = asset->type;
    a->keep = true;
    a->etag = asset->etag;
    if (has_tag(rq->none_match, str_of(asset->etag))) {
        a->status = 304;
    } else if (rq->gzip) {
        a->encoding = "gzip";
        a->still = (struct str){(const char *)asset->gzip, asset->gzip_n};
    } else if (!unpack(asset, &a->piece)) {
        answer_error(a, 503, "no memory");
    }
}
