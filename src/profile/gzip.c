#include "profile/gzip.h"

#include <errno.h>
#include <limits.h>
#include <zlib.h>

enum {
    WINDOW = 15 + 16, /* the largest, in gzip's frame */
    STEP = 64 << 10,
    ALWAYS = 16 << 20,
};

bool gzip_is(struct str file) {
    return str_starts(file, STR("\x1f\x8b"));
}

static void give_in(z_stream *z, struct str file) {
    z->next_in = (Bytef *)(uintptr_t)file.p;
    z->avail_in = file.n > UINT_MAX ? UINT_MAX : (uInt)file.n;
}

/* Unpacks one member, taking what it is made of off *rest. */
static int member(z_stream *z, struct str *rest, size_t bound, struct buf *out) {
    int r = Z_OK;

    while (r == Z_OK) {
        size_t left = out->max - out->n < bound - out->n ? out->max - out->n : bound - out->n;
        size_t step = left < STEP ? left : STEP;
        char over, *room = step > 0 ? buf_room(out, step) : &over;

        if (!room)
            return buf_error(out) == -ENOMEM ? -ENOMEM : -E2BIG;
        give_in(z, *rest);
        z->next_out = (Bytef *)room;
        z->avail_out = step > 0 ? (uInt)step : 1;
        r = inflate(z, Z_NO_FLUSH);
        *rest = str_from(*rest, rest->n - z->avail_in);
        if (step > 0)
            buf_grow(out, step - z->avail_out);
        else if (z->avail_out == 0)
            return -E2BIG;
        if (r == Z_OK && rest->n == 0 && z->avail_out > 0)
            return -EBADMSG; /* cut off */
    }
    if (r == Z_STREAM_END)
        return 0;
    return r == Z_MEM_ERROR ? -ENOMEM : -EBADMSG;
}

int gzip_unpack(struct str file, unsigned ratio, struct buf *out) {
    size_t bound = file.n > SIZE_MAX / 2 / ratio ? SIZE_MAX / 2 : file.n * ratio;
    z_stream z = {0};
    int r = 0;

    if (bound < ALWAYS)
        bound = ALWAYS;
    if (file.n > UINT_MAX)
        return -E2BIG;
    if (inflateInit2(&z, WINDOW) != Z_OK)
        return -ENOMEM;
    do {
        r = gzip_is(file) ? member(&z, &file, bound, out) : -EBADMSG;
        if (r == 0 && inflateReset(&z) != Z_OK)
            r = -EBADMSG;
    } while (r == 0 && file.n > 0);
    inflateEnd(&z);
    return r;
}

int gzip_pack(struct str data, struct buf *out) {
    z_stream z = {0};
    int r = Z_OK;

    if (data.n > UINT_MAX)
        return -EFBIG;
    if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return -ENOMEM;
    give_in(&z, data);
    while (r == Z_OK) {
        char *room = buf_room(out, STEP);

        if (!room)
            break;
        z.next_out = (Bytef *)room;
        z.avail_out = STEP;
        r = deflate(&z, Z_FINISH);
        buf_grow(out, STEP - z.avail_out);
    }
    deflateEnd(&z);
    return buf_error(out);
}
